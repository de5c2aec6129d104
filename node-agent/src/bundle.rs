//! A node's plan together with the slices that belong to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use lvs_crds::v1alpha1::{NodePlanSpec, PlanSliceSpec, ServicePlan, revision};
use serde::{Deserialize, Serialize};

/// What a plan says of the slices, by object name, that belong to it.
#[must_use]
pub fn slices_digest(slices: &BTreeMap<String, Arc<PlanSliceSpec>>) -> String {
    let digests = slices.iter();
    revision::slices_digest(digests.map(|(name, slice)| (name.as_str(), slice.digest.as_str())))
}

/// Everything that one node is told to be. It is handed on, and kept on disk, as a whole. Slices
/// that have not changed are shared between one bundle and the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanBundle {
    /// Name of the node, which is the name of its `NodePlan`.
    pub name: String,
    /// Spec of the `NodePlan`.
    pub plan: NodePlanSpec,
    /// `metadata.generation` of the `NodePlan`.
    pub generation: i64,
    /// Specs of the pair's `PlanSlice`s by object name; empty on a node that is no director.
    pub slices: BTreeMap<String, Arc<PlanSliceSpec>>,
}

impl PlanBundle {
    /// Whether the slices are the ones that the plan speaks of. A node that is no director needs
    /// none.
    #[must_use]
    pub fn has_its_slices(&self) -> bool {
        self.plan
            .director
            .as_ref()
            .is_none_or(|director| director.slices_digest == slices_digest(&self.slices))
    }

    /// The virtual services that this node balances: none unless it is a director.
    pub fn services(&self) -> impl Iterator<Item = &ServicePlan> {
        let is_director = self.plan.director.is_some();
        self.slices
            .values()
            .filter(move |_| is_director)
            .flat_map(|slice| &slice.services)
    }

    /// The slices with what this node balances: none unless it is a director.
    #[must_use]
    pub fn balanced(&self) -> BTreeMap<String, Arc<PlanSliceSpec>> {
        match self.plan.director {
            Some(_) => self.slices.clone(),
            None => BTreeMap::new(),
        }
    }
}
