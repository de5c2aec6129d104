//! Needs a client: writes the slices, which hold what virtual services and their pools became.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use kube::ResourceExt;
use lvs_crds::{
    GROUP,
    v1alpha1::{PlanSlice, PlanSliceSpec, plan_slice::PAIR_LABEL},
};
use serde_json::{Value, json};

use super::slices::COUNT_LABEL;
use crate::{
    cluster::{Cluster, FirstError, WriteError},
    pipeline::Plans,
    world::{World, slice_pair},
};

/// How many slices are written at the same time.
const CONCURRENCY: usize = 8;

/// What is to be written, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Slices that gain an entry: first, so that no entry is ever in no slice while it moves, and
    /// pools come before the services that use them.
    pub gaining: Vec<(String, Value)>,
    /// Slices with other changes.
    pub others: Vec<(String, Value)>,
    /// Slices without entries.
    pub obsolete: Vec<String>,
}

/// What differs between the slices that are there and those that should be.
#[must_use]
pub fn changes(world: &World, plans: &Plans) -> Changes {
    let mut changes = Changes::default();
    for (pair_name, desired) in &plans.slices {
        let Some(pair) = world.pair(pair_name) else {
            continue;
        };
        let count = desired.count.to_string();
        for (name, spec) in &desired.slices {
            let present = world.slices.get(name);
            if present.is_some_and(|slice| {
                &slice.spec == spec && slice.labels().get(COUNT_LABEL) == Some(&count)
            }) {
                continue;
            }
            let body = json!({
                "apiVersion": format!("{GROUP}/v1alpha1"),
                "kind": "PlanSlice",
                "metadata": {
                    "name": name,
                    "labels": {PAIR_LABEL: pair_name, COUNT_LABEL: &count},
                    "ownerReferences": [{
                        "apiVersion": format!("{GROUP}/v1alpha1"),
                        "kind": "DirectorPair",
                        "name": pair_name,
                        "uid": pair.uid().unwrap_or_default(),
                        "controller": true,
                        "blockOwnerDeletion": true,
                    }],
                },
                "spec": spec,
            });
            if gains(present.map(|slice| &slice.spec), spec) {
                changes.gaining.push((name.clone(), body));
            } else {
                changes.others.push((name.clone(), body));
            }
        }
    }
    changes.gaining.sort_by_key(|(_, body)| !has_pools(body));
    for (name, slice) in &world.slices {
        let pair = slice_pair(slice).unwrap_or_default();
        let wanted = plans
            .slices
            .get(pair)
            .is_some_and(|desired| desired.slices.contains_key(name));
        if !wanted && !plans.frozen.contains(pair) {
            changes.obsolete.push(name.clone());
        }
    }
    changes
}

fn has_pools(body: &Value) -> bool {
    body.pointer("/spec/pools").is_some()
}

/// Whether the slice gets a service or a pool that it does not have.
fn gains(present: Option<&PlanSliceSpec>, desired: &PlanSliceSpec) -> bool {
    let Some(present) = present else { return true };
    let names = |spec: &PlanSliceSpec| -> BTreeSet<String> {
        let pools = spec.pools.iter().map(|pool| format!("pool {}", pool.name));
        spec.services
            .iter()
            .map(|service| service.name.clone())
            .chain(pools)
            .collect()
    };
    !names(desired).is_subset(&names(present))
}

/// Writes the slices. One that is refused stops no other; a pair's directors take nothing over until
/// all of its slices are what the digest in their plans says.
///
/// # Errors
/// When a write fails: the first that did, after all have been tried.
pub async fn apply(cluster: &Cluster, changes: &Changes) -> Result<(), WriteError> {
    let api = cluster.all::<PlanSlice>();
    let mut first = FirstError::default();
    for group in [&changes.gaining, &changes.others] {
        let mut results = stream::iter(group)
            .map(|(name, body)| cluster.apply(&api, name, body))
            .buffered(CONCURRENCY);
        while let Some(result) = results.next().await {
            first.note(result);
        }
    }
    for name in &changes.obsolete {
        first.note(cluster.delete(&api, name).await);
    }
    first.result()
}
