//! No client: the role of a real server, as its node's plan carries it.

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::{ForwardingMethod, LoopbackAddress, RealServerRole};

use super::validate::RealServerVerdicts;
use crate::{
    director_pair::validate::PairVerdicts, virtual_service::validate::ServiceVerdicts, world::World,
};

/// What decides when a VIP may leave a loopback.
#[derive(Clone, Copy, Debug)]
pub struct Removal<'a> {
    /// Every director has confirmed what it should balance, so that none sends to a real server
    /// that is not in it any more. Until then no loopback loses a VIP: its connections would break.
    pub directors_settled: bool,
    /// VIPs of services that go on with their last plan.
    pub carried_vips: &'a BTreeSet<String>,
}

/// The roles of managed real servers by node.
#[must_use]
pub fn compile(
    world: &World,
    pairs: &PairVerdicts,
    real_servers: &RealServerVerdicts,
    services: &ServiceVerdicts,
    removal: Removal<'_>,
) -> BTreeMap<String, RealServerRole> {
    let mut roles: BTreeMap<String, RealServerRole> = BTreeMap::new();
    let mut addresses: BTreeMap<String, BTreeMap<String, LoopbackAddress>> = BTreeMap::new();
    for real_server in real_servers.by_namespace.values().flatten() {
        let (Some(node), Some(address)) =
            (real_server.managed_node(), real_server.addresses.first())
        else {
            continue;
        };
        roles
            .entry(node.to_owned())
            .or_insert_with(|| RealServerRole {
                node_address: address.to_string(),
                addresses: Vec::new(),
                tunnels: Vec::new(),
            });
    }
    for service in services.values().flatten() {
        if service.disabled() || service.object.spec.forwarding.method != ForwardingMethod::DR {
            continue;
        }
        for member in service.pools.iter().flat_map(|pool| &pool.members) {
            let Some(real_server) = &member.real_server else {
                continue;
            };
            let Some(node) = real_server.managed_node() else {
                continue;
            };
            // A director's interface gets the VIP when it is Active; on its loopback too, it would
            // balance what the Active Router sends to it, and the two would pass it to and fro.
            if pairs.director_of.get(node) == Some(&service.pair) {
                continue;
            }
            let entries = addresses.entry(node.to_owned()).or_default();
            for vip in &service.addresses {
                if vip.is_ipv4() == member.address.is_ipv4() {
                    entries
                        .entry(vip.to_string())
                        .or_insert_with(|| LoopbackAddress {
                            address: vip.to_string(),
                            interface: real_server.interface.clone(),
                            suppress_arp: real_server.suppress_arp,
                        });
                }
            }
        }
    }
    retain(world, removal, &mut roles, &mut addresses);
    for (node, entries) in addresses {
        if let Some(role) = roles.get_mut(&node) {
            role.addresses = entries.into_values().collect();
        }
    }
    roles
}

/// Keeps the VIPs that it is too early to remove.
fn retain(
    world: &World,
    removal: Removal<'_>,
    roles: &mut BTreeMap<String, RealServerRole>,
    addresses: &mut BTreeMap<String, BTreeMap<String, LoopbackAddress>>,
) {
    for (node, plan) in &world.node_plans {
        let Some(present) = &plan.spec.real_server else {
            continue;
        };
        for entry in &present.addresses {
            if removal.directors_settled && !removal.carried_vips.contains(&entry.address) {
                continue;
            }
            roles.entry(node.clone()).or_insert_with(|| RealServerRole {
                node_address: present.node_address.clone(),
                addresses: Vec::new(),
                tunnels: Vec::new(),
            });
            addresses
                .entry(node.clone())
                .or_default()
                .entry(entry.address.clone())
                .or_insert_with(|| entry.clone());
        }
    }
}
