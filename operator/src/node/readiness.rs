//! No client: what the agents have confirmed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    LoopbackMode, NodePlan,
    condition::{self, reason},
};

use crate::{real_server::validate::ValidatedRealServer, world::World};

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

/// VIPs that nodes are known to have on their loopback, with ARP suppressed.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    vips: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Readiness {
    /// What the agents say at this moment.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let vips = world
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
                Some((plan.name_any(), vips))
            })
            .collect();
        Self { vips }
    }

    /// Whether a real server may get connections to these VIPs by direct routing: before its
    /// loopback has them it would drop the packets, and before ARP is suppressed it would take the
    /// VIPs from the directors.
    #[must_use]
    pub fn ready(
        &self,
        real_server: &ValidatedRealServer,
        address: IpAddr,
        vips: &[IpAddr],
    ) -> bool {
        if real_server.loopback != LoopbackMode::Managed {
            return true;
        }
        let Some(node) = &real_server.node else {
            return true;
        };
        let has = self.vips.get(node);
        vips.iter()
            .filter(|vip| vip.is_ipv4() == address.is_ipv4())
            .all(|vip| has.is_some_and(|has| has.contains(vip)))
    }
}
