//! Takes in what the watches of the cluster say. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use lvs_crds::v1alpha1::PlanSliceSpec;
use serde_json::Value;

use super::decode::{self, Refusal};
use super::merge::Merge;
use crate::bundle::PlanBundle;

/// What is known of the objects that concern a node, and what of them was refused.
#[derive(Debug)]
pub struct Objects {
    node: String,
    merge: Merge,
    /// Whether the present list of plans has the node's.
    listed: bool,
    /// Slices of a list that is not complete.
    listing: BTreeMap<String, Arc<PlanSliceSpec>>,
    /// Why the present plan is refused.
    refused_plan: Option<Refusal>,
    /// Slices that stay as they were because what is there now does not decode.
    refused_slices: BTreeMap<String, Refusal>,
}

impl Objects {
    /// Nothing is known of `node` yet.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            merge: Merge::new(node),
            listed: false,
            listing: BTreeMap::new(),
            refused_plan: None,
            refused_slices: BTreeMap::new(),
        }
    }

    /// The pair whose slices are needed.
    #[must_use]
    pub fn pair(&self) -> Option<&str> {
        self.merge.pair()
    }

    /// The plan to carry out, when all of it is known.
    #[must_use]
    pub fn bundle(&self) -> Option<PlanBundle> {
        self.merge.bundle()
    }

    /// Why something of the newest plan is not carried out.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refused_plan
            .as_ref()
            .or_else(|| self.refused_slices.values().next())
    }

    /// Takes in an event of the watch on the node's `NodePlan`.
    pub fn plan_event(&mut self, event: &Event<DynamicObject>) {
        match event {
            Event::Apply(plan) | Event::InitApply(plan) => {
                self.listed = true;
                self.plan(plan);
            }
            Event::Init => self.listed = false,
            // An API server that has no plan for this node has been restored or reset, or the node
            // has left; only a plan without roles says that it has left.
            Event::InitDone if !self.listed => self.merge.forget_plan(),
            Event::InitDone => {}
            Event::Delete(_) => self.merge.forget_plan(),
        }
    }

    fn plan(&mut self, plan: &DynamicObject) {
        let generation = plan.metadata.generation.unwrap_or(-1);
        match decode::node_plan(&self.node, generation, spec(plan)) {
            Ok(plan) => {
                let pair = self.merge.pair().map(ToOwned::to_owned);
                self.merge.set_plan(generation, plan);
                self.refused_plan = None;
                if self.merge.pair() != pair.as_deref() {
                    self.listing.clear();
                    self.refused_slices.clear();
                }
            }
            Err(refusal) => {
                // The slices belong to the refused plan by now, not to the one in force.
                self.merge.forget_plan();
                self.refused_plan = Some(refusal);
            }
        }
    }

    /// Takes in an event of the watch on the pair's `PlanSlice`s.
    pub fn slice_event(&mut self, event: &Event<DynamicObject>) {
        match event {
            Event::Init => {
                self.listing.clear();
                self.refused_slices.clear();
            }
            Event::InitApply(object) => {
                if let Some(slice) = self.slice(object) {
                    self.listing.insert(object.name_any(), slice);
                }
            }
            Event::InitDone => self.merge.set_slices(std::mem::take(&mut self.listing)),
            Event::Apply(object) => {
                if let Some(slice) = self.slice(object) {
                    self.merge.set_slice(object.name_any(), slice);
                }
            }
            Event::Delete(object) => {
                self.refused_slices.remove(&object.name_any());
                self.merge.remove_slice(&object.name_any());
            }
        }
    }

    /// Decodes a slice. One that does not decode stays as it was known; the digest in the plan then
    /// says that not all has arrived.
    fn slice(&mut self, object: &DynamicObject) -> Option<Arc<PlanSliceSpec>> {
        let name = object.name_any();
        match decode::plan_slice(&name, spec(object)) {
            Ok(slice) => {
                self.refused_slices.remove(&name);
                let known = self.merge.slice(&name);
                let is_known = |known: &&Arc<PlanSliceSpec>| ***known == slice;
                Some(
                    known
                        .filter(is_known)
                        .cloned()
                        .unwrap_or_else(|| Arc::new(slice)),
                )
            }
            Err(refusal) => {
                self.refused_slices.insert(name.clone(), refusal);
                self.merge.slice(&name).cloned()
            }
        }
    }
}

fn spec(object: &DynamicObject) -> &Value {
    object.data.get("spec").unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(generation: i64, spec: &Value) -> DynamicObject {
        let object = json!({
            "metadata": {"name": "lb-1", "generation": generation}, "spec": spec,
        });
        serde_json::from_value(object).expect("an object")
    }

    fn director(generation: i64, pair: &str) -> DynamicObject {
        let spec = json!({
            "formatVersion": 1, "revision": format!("r{generation}"),
            "director": {
                "pair": pair, "interface": {"name": "eth0"}, "instances": [], "vrrp": {},
                "connectionSync": {}, "slicesDigest": "d",
            },
        });
        plan(generation, &spec)
    }

    fn slice(name: &str, spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))
            .expect("an object")
    }

    /// A director of pair `edge` whose plan and one slice are known.
    fn known() -> Objects {
        let mut objects = Objects::new("lb-1");
        objects.plan_event(&Event::Init);
        objects.plan_event(&Event::InitApply(director(1, "edge")));
        objects.plan_event(&Event::InitDone);
        assert_eq!(objects.bundle(), None);
        objects.slice_event(&Event::Init);
        objects.slice_event(&Event::InitApply(slice("edge-0", &json!({"digest": "1"}))));
        objects.slice_event(&Event::InitDone);
        objects
    }

    #[test]
    fn plan_and_slices_make_a_bundle() {
        let bundle = known().bundle().expect("whole");
        assert_eq!(bundle.generation, 1);
        assert_eq!(bundle.slices["edge-0"].digest, "1");
    }

    #[test]
    fn a_list_replaces_the_slices_at_its_end_and_not_before() {
        let mut objects = known();
        objects.slice_event(&Event::Init);
        objects.slice_event(&Event::InitApply(slice("edge-1", &json!({"digest": "2"}))));
        let before: Vec<_> = objects
            .bundle()
            .expect("whole")
            .slices
            .into_keys()
            .collect();
        assert_eq!(before, ["edge-0"]);
        objects.slice_event(&Event::InitDone);
        let after: Vec<_> = objects
            .bundle()
            .expect("whole")
            .slices
            .into_keys()
            .collect();
        assert_eq!(after, ["edge-1"]);
    }

    #[test]
    fn a_plan_that_the_api_has_lost_is_neither_carried_out_nor_taken_down() {
        let gone: [&[Event<DynamicObject>]; 2] = [
            &[Event::Delete(director(1, "edge"))],
            &[Event::Init, Event::InitDone],
        ];
        for events in gone {
            let mut objects = known();
            for event in events {
                objects.plan_event(event);
            }
            // Its slices are collected with it.
            objects.slice_event(&Event::Delete(slice("edge-0", &json!({"digest": "1"}))));
            assert_eq!(objects.bundle(), None);
            assert_eq!(objects.refusal(), None);
        }
    }

    #[test]
    fn a_later_format_is_refused_until_a_known_one_comes() {
        let mut objects = known();
        objects.plan_event(&Event::Apply(plan(2, &json!({"formatVersion": 2}))));
        assert_eq!(objects.bundle(), None);
        let refusal = objects.refusal().expect("refused");
        assert_eq!(refusal.generation, Some(2));
        objects.plan_event(&Event::Apply(director(3, "edge")));
        assert_eq!(objects.refusal(), None);
        assert_eq!(objects.bundle().expect("whole").generation, 3);
    }

    #[test]
    fn an_unreadable_slice_stays_as_it_was() {
        let mut objects = known();
        objects.slice_event(&Event::Apply(slice("edge-0", &json!({"digest": 7}))));
        assert_eq!(
            objects.bundle().expect("whole").slices["edge-0"].digest,
            "1"
        );
        assert!(objects.refusal().is_some());
        // The same in a list, after the watch was interrupted.
        objects.slice_event(&Event::Init);
        objects.slice_event(&Event::InitApply(slice("edge-0", &json!({"digest": 7}))));
        objects.slice_event(&Event::InitDone);
        assert_eq!(
            objects.bundle().expect("whole").slices["edge-0"].digest,
            "1"
        );
        assert!(objects.refusal().is_some());
        objects.slice_event(&Event::Apply(slice("edge-0", &json!({"digest": "2"}))));
        assert_eq!(objects.refusal(), None);
    }

    #[test]
    fn the_slices_of_another_pair_are_waited_for() {
        let mut objects = known();
        objects.plan_event(&Event::Apply(director(2, "inner")));
        assert_eq!(objects.pair(), Some("inner"));
        assert_eq!(objects.bundle(), None);
        objects.slice_event(&Event::Init);
        objects.slice_event(&Event::InitDone);
        assert!(objects.bundle().expect("whole").slices.is_empty());
    }
}
