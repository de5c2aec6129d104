//! No client: the plan and the labels of every node.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    DirectorRole, NodePlan, NodePlanSpec, RealServerRole, node_plan::FORMAT_VERSION, revision,
};

use super::readiness::applied;
use crate::world::World;

/// Label of a node that is a director; its value is the pair.
pub const DIRECTOR_LABEL: &str = "lvs-operator.dev/director";
/// Label of a node that is a managed real server; its value is `true`.
pub const REAL_SERVER_LABEL: &str = "lvs-operator.dev/real-server";

/// Labels that schedule the agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLabels {
    /// Pair, if the node is a director.
    pub director: Option<String>,
    /// Whether the node is a managed real server.
    pub real_server: bool,
}

impl NodeLabels {
    /// The labels that a node has.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        Self {
            director: labels.get(DIRECTOR_LABEL).cloned(),
            real_server: labels.contains_key(REAL_SERVER_LABEL),
        }
    }
}

/// What nodes should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePlans {
    /// Plans by node.
    pub plans: BTreeMap<String, NodePlanSpec>,
    /// Nodes whose plan has served: everything is released, or the node is gone.
    pub obsolete: BTreeSet<String>,
    /// Labels by node, of all nodes of the cluster.
    pub labels: BTreeMap<String, NodeLabels>,
}

/// Joins the roles of each node. A node that loses a role keeps the label, and with it its agent,
/// until the agent has confirmed that everything of the role is released.
///
/// # Errors
/// When a revision cannot be made.
pub fn compile(
    world: &World,
    mut directors: BTreeMap<String, DirectorRole>,
    mut real_servers: BTreeMap<String, RealServerRole>,
) -> Result<NodePlans, serde_json::Error> {
    let mut result = NodePlans::default();
    for (name, node) in &world.nodes {
        let mut spec = NodePlanSpec {
            format_version: FORMAT_VERSION,
            required_features: Vec::new(),
            revision: String::new(),
            director: directors.remove(name),
            real_server: real_servers.remove(name),
        };
        spec.revision = revision::node_revision(&spec)?;
        let mut labels = NodeLabels {
            director: spec.director.as_ref().map(|role| role.pair.clone()),
            real_server: spec.real_server.is_some(),
        };
        let present = world.node_plans.get(name);
        let released = present.is_some_and(|present| released(world, present, &spec));
        if present.is_some() && !released {
            let has = NodeLabels::of(node.labels());
            labels.director = labels.director.or(has.director);
            labels.real_server |= has.real_server;
        }
        let has_role = spec.director.is_some() || spec.real_server.is_some();
        match present {
            Some(_) if !has_role && released => {
                result.obsolete.insert(name.clone());
            }
            None if !has_role => {}
            _ => {
                result.plans.insert(name.clone(), spec);
            }
        }
        result.labels.insert(name.clone(), labels);
    }
    let gone = world
        .node_plans
        .keys()
        .filter(|name| !world.nodes.contains_key(*name));
    result.obsolete.extend(gone.cloned());
    Ok(result)
}

/// Whether the node carries this plan and nothing of an earlier one. A node whose agent has never
/// run has nothing to release.
fn released(world: &World, present: &NodePlan, desired: &NodePlanSpec) -> bool {
    let reported = present
        .status
        .as_ref()
        .is_some_and(|status| status.observed_generation >= 0);
    let untouched = || !reported && !agent_has_run(world, &present.name_any());
    &present.spec == desired && (applied(present) || untouched())
}

/// Whether a container of an agent's pod on that node has ever been started.
fn agent_has_run(world: &World, node: &str) -> bool {
    world
        .agent_pods
        .iter()
        .filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node))
        .flat_map(|pod| pod.status.iter())
        .flat_map(|status| status.container_statuses.iter().flatten())
        .any(|container| {
            let running = container
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some());
            running || container.restart_count > 0
        })
}

/// Pairs with a director that has not confirmed what it should balance now. A director whose node is
/// not ready is not waited for.
#[must_use]
pub fn unsettled(world: &World, desired: &BTreeMap<String, DirectorRole>) -> BTreeSet<String> {
    let mut unsettled = BTreeSet::new();
    for (name, node) in &world.nodes {
        let plan = world.node_plans.get(name);
        let present = plan.and_then(|plan| plan.spec.director.as_ref());
        let role = desired.get(name);
        let settled =
            !world.node_ready(name) || (present == role && plan.is_none_or(|plan| applied(plan)));
        if !settled {
            let roles = [present, role];
            unsettled.extend(roles.into_iter().flatten().map(|role| role.pair.clone()));
            unsettled.extend(node.labels().get(DIRECTOR_LABEL).cloned());
        }
    }
    unsettled
}
