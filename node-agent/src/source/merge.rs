//! What is known of a node's plan and its pair's slices, and whether it is whole. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use lvs_crds::v1alpha1::{NodePlanSpec, PlanSliceSpec};

use crate::bundle::PlanBundle;

/// The objects that make up a [`PlanBundle`], as they arrive.
#[derive(Clone, Debug)]
pub struct Merge {
    node: String,
    plan: Option<(i64, NodePlanSpec)>,
    pair: Option<String>,
    /// `None` until the pair's slices have been listed once.
    slices: Option<BTreeMap<String, Arc<PlanSliceSpec>>>,
}

impl Merge {
    /// Nothing is known of `node` yet.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            plan: None,
            pair: None,
            slices: None,
        }
    }

    /// The node's plan, with its generation. Slices of another pair are forgotten.
    pub fn set_plan(&mut self, generation: i64, plan: NodePlanSpec) {
        let pair = plan.director.as_ref().map(|director| director.pair.clone());
        if pair != self.pair {
            self.slices = None;
            self.pair = pair;
        }
        self.plan = Some((generation, plan));
    }

    /// The API has no plan for this node. Nothing is taken down for that; until a plan is there
    /// again, no bundle is whole.
    pub fn forget_plan(&mut self) {
        self.plan = None;
    }

    /// The pair whose slices are needed.
    #[must_use]
    pub fn pair(&self) -> Option<&str> {
        self.pair.as_deref()
    }

    /// All slices of the pair.
    pub fn set_slices(&mut self, slices: BTreeMap<String, Arc<PlanSliceSpec>>) {
        self.slices = Some(slices);
    }

    /// One slice is new or has changed.
    pub fn set_slice(&mut self, name: String, slice: Arc<PlanSliceSpec>) {
        if let Some(slices) = &mut self.slices {
            slices.insert(name, slice);
        }
    }

    /// One slice is gone.
    pub fn remove_slice(&mut self, name: &str) {
        if let Some(slices) = &mut self.slices {
            slices.remove(name);
        }
    }

    /// A slice as it is known, for one whose successor does not decode.
    #[must_use]
    pub fn slice(&self, name: &str) -> Option<&Arc<PlanSliceSpec>> {
        self.slices.as_ref()?.get(name)
    }

    /// The plan with its slices, once both are known. A node that is no director needs none.
    #[must_use]
    pub fn bundle(&self) -> Option<PlanBundle> {
        let (generation, plan) = self.plan.clone()?;
        let slices = match &self.pair {
            Some(_) => self.slices.clone()?,
            None => BTreeMap::new(),
        };
        Some(PlanBundle {
            name: self.node.clone(),
            plan,
            generation,
            slices,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(pair: Option<&str>) -> NodePlanSpec {
        let director = pair.map(|pair| {
            json!({
                "pair": pair, "interface": {"name": "eth0"}, "instances": [], "vrrp": {},
                "connectionSync": {}, "slicesDigest": "d",
            })
        });
        serde_json::from_value(json!({"formatVersion": 1, "revision": "r", "director": director}))
            .expect("a plan")
    }

    fn slice(digest: &str) -> Arc<PlanSliceSpec> {
        serde_json::from_value(json!({ "digest": digest })).expect("a slice")
    }

    #[test]
    fn a_real_server_needs_no_slices() {
        let mut merge = Merge::new("web-1");
        assert_eq!(merge.bundle(), None);
        merge.set_plan(4, plan(None));
        let bundle = merge.bundle().expect("whole");
        assert_eq!((bundle.name.as_str(), bundle.generation), ("web-1", 4));
    }

    #[test]
    fn a_director_waits_for_the_list_of_its_slices() {
        let mut merge = Merge::new("lb-1");
        merge.set_plan(1, plan(Some("edge")));
        merge.set_slice("early".into(), slice("x"));
        assert_eq!(merge.bundle(), None);
        merge.set_slices(BTreeMap::from([("a".into(), slice("1"))]));
        merge.set_slice("b".into(), slice("2"));
        merge.remove_slice("a");
        let bundle = merge.bundle().expect("whole");
        assert_eq!(bundle.slices, BTreeMap::from([("b".into(), slice("2"))]));
    }

    #[test]
    fn another_pair_means_other_slices() {
        let mut merge = Merge::new("lb-1");
        merge.set_plan(1, plan(Some("edge")));
        merge.set_slices(BTreeMap::from([("a".into(), slice("1"))]));
        merge.set_plan(2, plan(Some("edge")));
        assert!(merge.bundle().is_some());
        merge.set_plan(3, plan(Some("inner")));
        assert_eq!(merge.pair(), Some("inner"));
        assert_eq!(merge.bundle(), None);
    }

    #[test]
    fn a_plan_that_the_api_has_lost_leaves_nothing_to_hand_on() {
        let mut merge = Merge::new("lb-1");
        merge.set_plan(1, plan(Some("edge")));
        merge.set_slices(BTreeMap::new());
        merge.forget_plan();
        merge.remove_slice("a");
        assert_eq!(merge.bundle(), None);
        merge.set_plan(2, plan(Some("edge")));
        assert!(merge.bundle().is_some());
    }
}
