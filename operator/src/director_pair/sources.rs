//! No client: where the directors' advertisements come from.
//!
//! An agent reports it. Before the first report it is what the objects say, as far as they leave no
//! choice, so that nobody has to wait for a director that has never run.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use lvs_crds::v1alpha1::{Director, DirectorPair, TransportMode, VrrpInstance};

use crate::world::World;

/// Addresses that advertisements come from, by node and instance.
pub type Sources = BTreeMap<(String, String), Vec<String>>;

/// The sources of a pair whose transport or fencing needs them.
#[must_use]
pub fn sources(world: &World, pair: &DirectorPair) -> Sources {
    let mut sources = Sources::new();
    if pair.spec.vrrp.transport.mode == TransportMode::Multicast && pair.spec.fencing.is_none() {
        return sources;
    }
    for director in &pair.spec.directors {
        for instance in &pair.spec.instances {
            let mut addresses = reported(world, director, instance);
            if addresses.is_empty() {
                addresses.extend(expected(world, pair, director, instance));
            }
            let of = (director.node_name.clone(), instance.name.clone());
            sources.insert(of, addresses);
        }
    }
    sources
}

/// What the director's agent has reported.
fn reported(world: &World, director: &Director, instance: &VrrpInstance) -> Vec<String> {
    world
        .node_plans
        .get(&director.node_name)
        .and_then(|plan| plan.status.as_ref())
        .iter()
        .flat_map(|status| &status.instances)
        .filter(|report| report.name == instance.name)
        .flat_map(|report| report.source_addresses.iter().cloned())
        .collect()
}

/// What the agent is going to report: the address that the director names for its own interface, else
/// the only one that the node has in the instance's subnet. Of IPv6 that says nothing: advertisements
/// come from a link-local address (RFC 9568 section 5.1.2.1), which a Node does not show.
fn expected(
    world: &World,
    pair: &DirectorPair,
    director: &Director,
    instance: &VrrpInstance,
) -> Option<String> {
    let own = director.interface.as_ref().unwrap_or(&pair.spec.interface);
    let interface = instance.interface.as_ref().unwrap_or(own);
    if interface == own && director.source_address.is_some() {
        return director.source_address.clone();
    }
    let subnet: IpNet = interface.subnet.as_ref()?.parse().ok()?;
    let addresses = world.node_addresses(&director.node_name).into_iter();
    let mut candidates = addresses.filter(|address| address.is_ipv4() && subnet.contains(address));
    let only: IpAddr = candidates.next()?;
    candidates.next().is_none().then(|| only.to_string())
}
