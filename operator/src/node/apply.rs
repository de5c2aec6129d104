//! Needs a client: writes plans and labels of nodes. It runs after the slices, so that what
//! a plan's digest names is there already, unless the API server has refused it.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use lvs_crds::{GROUP, v1alpha1::NodePlan};
use serde_json::{Map, Value, json};

use super::compile::{DIRECTOR_LABEL, NodeLabels, REAL_SERVER_LABEL};
use crate::{
    cluster::{Cluster, FirstError, WriteError},
    pipeline::Plans,
    world::World,
};

/// What is to be written, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Plans by node.
    pub plans: Vec<(String, Value)>,
    /// Labels by node.
    pub labels: Vec<(String, Value)>,
    /// Nodes whose plan has served.
    pub obsolete: Vec<String>,
}

/// What differs between the nodes that are there and those that should be.
#[must_use]
pub fn changes(world: &World, plans: &Plans) -> Changes {
    let mut changes = Changes::default();
    for (name, spec) in &plans.nodes.plans {
        if world
            .node_plans
            .get(name)
            .is_none_or(|present| &present.spec != spec)
        {
            let body = json!({
                "apiVersion": format!("{GROUP}/v1alpha1"),
                "kind": "NodePlan",
                "metadata": {"name": name},
                "spec": spec,
            });
            changes.plans.push((name.clone(), body));
        }
    }
    for (name, labels) in &plans.nodes.labels {
        let Some(node) = world.nodes.get(name) else {
            continue;
        };
        if NodeLabels::of(node.labels()) != *labels {
            changes
                .labels
                .push((name.clone(), label_patch(node, labels)));
        }
    }
    changes
        .obsolete
        .extend(plans.nodes.obsolete.iter().cloned());
    changes
}

/// The labels that are ours; applying without one removes it. The UID keeps a node that has just
/// been deleted from coming back as an empty object.
fn label_patch(node: &Node, labels: &NodeLabels) -> Value {
    let mut ours = Map::new();
    if let Some(pair) = &labels.director {
        ours.insert(DIRECTOR_LABEL.to_owned(), json!(pair));
    }
    if labels.real_server {
        ours.insert(REAL_SERVER_LABEL.to_owned(), json!("true"));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name_any(), "uid": node.uid(), "labels": ours},
    })
}

/// Writes plans, then labels; deletes last. One that is refused stops no other.
///
/// # Errors
/// When a write fails: the first that did, after all have been tried.
pub async fn apply(cluster: &Cluster, changes: &Changes) -> Result<(), WriteError> {
    let mut first = FirstError::default();
    let plans = cluster.all::<NodePlan>();
    for (name, body) in &changes.plans {
        first.note(cluster.apply(&plans, name, body).await);
    }
    let nodes = cluster.all::<Node>();
    for (name, body) in &changes.labels {
        first.note(cluster.apply(&nodes, name, body).await);
    }
    for name in &changes.obsolete {
        first.note(cluster.delete(&plans, name).await);
    }
    first.result()
}
