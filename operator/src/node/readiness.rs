//! No client: what the agents have confirmed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    AddressFamily, NodePlan, TunnelPlan, TunnelType,
    condition::{self, reason},
};

use crate::{
    real_server::validate::ValidatedRealServer, virtual_service::needs::Needs, world::World,
};

/// Whether the agent says that the kernel equals the plan that the object carries.
#[must_use]
pub fn applied(plan: &NodePlan) -> bool {
    plan.status
        .as_ref()
        .is_some_and(|status| status.applied_revision.as_ref() == Some(&plan.spec.revision))
}

/// What the agent's report on the present generation of its plan says of a condition: whether it is
/// so, and its message. Nothing while the agent is at work on it.
#[must_use]
pub fn confirmed(plan: &NodePlan, type_: &str) -> Option<(bool, String)> {
    let status = plan.status.as_ref()?;
    if status.observed_generation != plan.metadata.generation.unwrap_or_default() {
        return None;
    }
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_ && condition.reason != reason::PENDING)?;
    Some((condition.status == "True", condition.message.clone()))
}

/// Whether the loopback of the node is as its plan says: VIPs in place and ARP suppressed.
#[must_use]
pub fn loopback_ready(plan: &NodePlan) -> bool {
    let loopback = confirmed(plan, condition::LOOPBACK_CONFIGURED).map(|(so, _)| so);
    let arp = confirmed(plan, condition::ARP_SUPPRESSED).map(|(so, _)| so);
    match (loopback, arp) {
        (Some(true), Some(true)) => true,
        (Some(false), _) | (_, Some(false)) => false,
        _ => applied(plan),
    }
}

/// What tells one tunnel from another at its end: kind, UDP port, family inside and outside.
pub type TunnelKey = (TunnelType, i32, AddressFamily, AddressFamily);

/// The key of a tunnel in a plan.
#[must_use]
pub const fn tunnel_key(tunnel: &TunnelPlan) -> TunnelKey {
    (tunnel.type_, tunnel.port, tunnel.inner, tunnel.outer)
}

/// What nodes are known to have: VIPs on their loopback with ARP suppressed, and tunnels.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    nodes: BTreeMap<String, Ready>,
    /// Nodes that can confirm something.
    alive: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Ready {
    vips: BTreeSet<IpAddr>,
    tunnels: BTreeSet<TunnelKey>,
}

impl Readiness {
    /// What the agents say at this moment.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let nodes = world
            .node_plans
            .values()
            .filter(|plan| loopback_ready(plan))
            .filter_map(|plan| {
                let role = plan.spec.real_server.as_ref()?;
                let vips = role
                    .addresses
                    .iter()
                    .filter_map(|entry| entry.address.parse().ok())
                    .collect();
                let tunnels = role.tunnels.iter().map(tunnel_key).collect();
                Some((plan.name_any(), Ready { vips, tunnels }))
            })
            .collect();
        let alive = world
            .nodes
            .keys()
            .filter(|node| world.node_ready(node))
            .cloned()
            .collect();
        Self { nodes, alive }
    }

    /// Whether a real server may get packets that keep the VIP as their destination: before it has
    /// the VIP and the tunnel it would drop them, and before ARP is suppressed it would take the VIP
    /// from the directors.
    #[must_use]
    pub fn ready(&self, real_server: &ValidatedRealServer, needs: &Needs) -> bool {
        let Some(node) = real_server.managed_node() else {
            return true;
        };
        self.nodes
            .get(node)
            .map_or(needs.vips.is_empty() && needs.tunnels.is_empty(), |has| {
                needs.vips.iter().all(|vip| has.vips.contains(vip))
                    && needs.tunnels.iter().all(|key| has.tunnels.contains(key))
            })
    }

    /// Whether somebody can be expected to make it ready. A node that is not ready itself confirms
    /// nothing, so nobody waits for it.
    #[must_use]
    pub fn expected(&self, real_server: &ValidatedRealServer) -> bool {
        real_server
            .managed_node()
            .is_some_and(|node| self.alive.contains(node))
    }
}
