//! No client: the role of a real server, as its node's plan carries it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lvs_crds::v1alpha1::{LoopbackAddress, RealServerRole, TunnelPlan};

use super::validate::{RealServerVerdicts, ValidatedRealServer};
use crate::{
    director_pair::validate::PairVerdicts,
    node::readiness::{TunnelKey, tunnel_key},
    virtual_service::{
        needs::{Needs, needs},
        validate::{ServiceVerdicts, ValidatedService},
    },
    world::World,
};

/// Most VIPs of one node, as the schema of `NodePlan` has it.
pub const ADDRESSES_LIMIT: usize = 4096;
/// Most tunnels of one node, as the schema of `NodePlan` has it.
pub const TUNNELS_LIMIT: usize = 64;

/// What decides when a VIP may leave a loopback.
#[derive(Clone, Copy, Debug)]
pub struct Removal<'a> {
    /// Pairs with a director that has not confirmed what it should balance, so that it may send to
    /// a real server that is not in it any more: until then its connections would break.
    pub unsettled: &'a BTreeSet<String>,
    /// VIPs of services that go on with their last plan, by pair.
    pub carried_vips: &'a BTreeMap<String, BTreeSet<IpAddr>>,
}

/// The roles of managed real servers.
#[derive(Clone, Debug, Default)]
pub struct RealServerRoles {
    /// By node.
    pub roles: BTreeMap<String, RealServerRole>,
    /// Nodes that need more than a plan can hold, with what is too much.
    pub overfull: BTreeMap<String, String>,
}

/// What one node needs.
#[derive(Debug, Default)]
struct Site {
    addresses: BTreeMap<IpAddr, LoopbackAddress>,
    tunnels: BTreeMap<TunnelKey, TunnelPlan>,
}

/// The roles of managed real servers by node.
#[must_use]
pub fn compile(
    world: &World,
    pairs: &PairVerdicts,
    real_servers: &RealServerVerdicts,
    services: &ServiceVerdicts,
    removal: Removal<'_>,
) -> RealServerRoles {
    let mut result = RealServerRoles::default();
    for real_server in real_servers.by_namespace.values().flatten() {
        let (Some(node), Some(address)) =
            (real_server.managed_node(), real_server.addresses.first())
        else {
            continue;
        };
        result
            .roles
            .entry(node.to_owned())
            .or_insert_with(|| role(&address.to_string()));
    }
    let mut sites: BTreeMap<String, Site> = BTreeMap::new();
    for service in services.values().flatten() {
        if !service.disabled() {
            collect(service, pairs, &mut sites);
        }
    }
    retain(world, removal, &mut result.roles, &mut sites);
    for (node, site) in sites {
        let present = world
            .node_plans
            .get(&node)
            .and_then(|plan| plan.spec.real_server.as_ref());
        let role = result.roles.get_mut(&node);
        if let Some(excess) = role.and_then(|role| fill(role, site, present)) {
            result.overfull.insert(node, excess);
        }
    }
    result
}

fn role(node_address: &str) -> RealServerRole {
    RealServerRole {
        node_address: node_address.to_owned(),
        addresses: Vec::new(),
        tunnels: Vec::new(),
    }
}

/// Notes what a service needs at the nodes of its members.
fn collect(service: &ValidatedService, pairs: &PairVerdicts, sites: &mut BTreeMap<String, Site>) {
    for used in &service.pools {
        // What a member needs depends on its family alone.
        let mut by_family: BTreeMap<bool, Needs> = BTreeMap::new();
        for member in &used.pool.members {
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
            let needs = by_family
                .entry(member.address.is_ipv4())
                .or_insert_with(|| needs(service, used, &service.addresses, &member.address));
            if needs == &Needs::default() {
                continue;
            }
            if !sites.contains_key(node) {
                sites.insert(node.to_owned(), Site::default());
            }
            if let Some(site) = sites.get_mut(node) {
                site.add(needs, real_server, &service.pair);
            }
        }
    }
}

impl Site {
    fn add(&mut self, needs: &Needs, real_server: &Arc<ValidatedRealServer>, pair: &str) {
        for vip in &needs.vips {
            let entry = self
                .addresses
                .entry(*vip)
                .or_insert_with(|| LoopbackAddress {
                    address: vip.to_string(),
                    interface: real_server.interface.clone(),
                    suppress_arp: real_server.suppress_arp,
                    pairs: Vec::new(),
                });
            add_pair(entry, pair);
        }
        for key in &needs.tunnels {
            let (type_, port, inner, outer) = *key;
            self.tunnels.entry(*key).or_insert_with(|| TunnelPlan {
                type_,
                port,
                inner,
                outer,
                device: real_server.tunnel_device.clone(),
                manage_rp_filter: real_server.manage_rp_filter,
            });
        }
    }
}

/// Names a pair in an entry, in one order.
fn add_pair(entry: &mut LoopbackAddress, pair: &str) {
    if let Err(index) = entry
        .pairs
        .binary_search_by(|other| other.as_str().cmp(pair))
    {
        entry.pairs.insert(index, pair.to_owned());
    }
}

/// Keeps what it is too early to remove.
fn retain(
    world: &World,
    removal: Removal<'_>,
    roles: &mut BTreeMap<String, RealServerRole>,
    sites: &mut BTreeMap<String, Site>,
) {
    for (node, plan) in &world.node_plans {
        let Some(present) = &plan.spec.real_server else {
            continue;
        };
        let mut in_use = false;
        for entry in &present.addresses {
            let Ok(vip) = entry.address.parse::<IpAddr>() else {
                continue;
            };
            let users = entry.pairs.iter().filter(|pair| {
                removal.unsettled.contains(*pair)
                    || removal
                        .carried_vips
                        .get(*pair)
                        .is_some_and(|vips| vips.contains(&vip))
            });
            for pair in users {
                in_use = true;
                roles
                    .entry(node.clone())
                    .or_insert_with(|| role(&present.node_address));
                let site = sites.entry(node.clone()).or_default();
                let kept = site
                    .addresses
                    .entry(vip)
                    .or_insert_with(|| LoopbackAddress {
                        pairs: Vec::new(),
                        ..entry.clone()
                    });
                add_pair(kept, pair);
            }
        }
        // Which service a tunnel is for, nothing tells.
        if in_use {
            let site = sites.entry(node.clone()).or_default();
            for tunnel in &present.tunnels {
                site.tunnels
                    .entry(tunnel_key(tunnel))
                    .or_insert_with(|| tunnel.clone());
            }
        }
    }
}

/// Fills a role with as much as a plan can hold, what is there already first. Returns what is too
/// much: the members that lack it stay at weight 0.
fn fill(role: &mut RealServerRole, site: Site, present: Option<&RealServerRole>) -> Option<String> {
    let mut excess = None;
    let Site {
        mut addresses,
        mut tunnels,
    } = site;
    if addresses.len() > ADDRESSES_LIMIT {
        excess = Some(format!(
            "its virtual services need {} VIPs on it, and a node holds {ADDRESSES_LIMIT}; spread \
             them over more real servers, or use forwarding NAT",
            addresses.len()
        ));
        let has: BTreeSet<IpAddr> = present
            .into_iter()
            .flat_map(|role| &role.addresses)
            .filter_map(|entry| entry.address.parse().ok())
            .collect();
        keep_first(&mut addresses, &has, ADDRESSES_LIMIT);
    }
    if tunnels.len() > TUNNELS_LIMIT {
        excess = Some(format!(
            "its virtual services need {} kinds of tunnels on it, and a node holds {TUNNELS_LIMIT}; \
             give them one type and port",
            tunnels.len()
        ));
        let has = present
            .into_iter()
            .flat_map(|role| role.tunnels.iter().map(tunnel_key))
            .collect();
        keep_first(&mut tunnels, &has, TUNNELS_LIMIT);
    }
    role.addresses = addresses.into_values().collect();
    role.tunnels = tunnels.into_values().collect();
    excess
}

/// Cuts a map to a length, keeping first what is in `has`.
fn keep_first<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, has: &BTreeSet<K>, limit: usize) {
    let (old, new): (Vec<K>, Vec<K>) = map.keys().cloned().partition(|key| has.contains(key));
    for key in old.into_iter().chain(new).skip(limit) {
        map.remove(&key);
    }
}
