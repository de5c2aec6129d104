//! No client: the role of a director, as its node plan carries it.

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::{
    AdminState, Director, DirectorRole, InstancePlan, OtherDirector, PreemptionMode, SysctlMode,
    Sysctls, TransportMode,
};

use super::validate::ValidatedPair;

/// How often directors tell of each connection where somebody waits for that and the pair does not
/// say: often enough for a return within a minute, and for connections that are quiet for seconds.
const REFRESH_PERIOD_SECONDS: i32 = 5;

/// The roles of a pair's directors by node. A director that is disabled has none, and a pair
/// that is disabled has none at all.
#[must_use]
pub fn compile(pair: &ValidatedPair, slices_digest: &str) -> BTreeMap<String, DirectorRole> {
    if pair.disabled {
        return BTreeMap::new();
    }
    pair.directors
        .iter()
        .filter(|director| director.admin_state != AdminState::Disabled)
        .map(|director| {
            (
                director.node_name.clone(),
                role(pair, director, slices_digest),
            )
        })
        .collect()
}

fn role(pair: &ValidatedPair, director: &Director, slices_digest: &str) -> DirectorRole {
    let interface = director.interface.as_ref().unwrap_or(&pair.interface);
    let instances = pair
        .instances
        .iter()
        .map(|instance| InstancePlan {
            name: instance.name.clone(),
            virtual_router_id: instance.vrid,
            priority: instance
                .priorities
                .get(&director.node_name)
                .copied()
                .unwrap_or(1),
            interface: instance.interface.as_ref().unwrap_or(interface).clone(),
            addresses: instance.addresses.clone(),
            routes: instance.routes.clone(),
            peers: peers(pair, director, &instance.name),
            track: instance.track.clone(),
        })
        .collect();
    DirectorRole {
        pair: pair.name.clone(),
        interface: interface.clone(),
        source_address: director.source_address.clone(),
        admin_state: director.admin_state,
        instances,
        sync_groups: pair.sync_groups.clone(),
        vrrp: pair.vrrp.clone(),
        fencing: pair.fencing.clone(),
        other_directors: other_directors(pair, director),
        connection_sync: pair.connection_sync.clone(),
        timeouts: pair.timeouts.clone(),
        sysctls: sysctls(pair),
        slices_digest: slices_digest.to_owned(),
    }
}

/// The other directors of a pair that are in service.
fn others<'a>(pair: &'a ValidatedPair, director: &Director) -> impl Iterator<Item = &'a Director> {
    let own = director.node_name.clone();
    pair.directors
        .iter()
        .filter(move |other| other.node_name != own && other.admin_state != AdminState::Disabled)
}

/// Where the other directors send the advertisements of an instance from, as far as that is known.
fn peers(pair: &ValidatedPair, director: &Director, instance: &str) -> Vec<String> {
    if pair.vrrp.transport.mode == TransportMode::Multicast {
        return Vec::new();
    }
    let addresses: BTreeSet<&String> = others(pair, director)
        .filter_map(|other| {
            let of = (other.node_name.clone(), instance.to_owned());
            pair.sources.get(&of)
        })
        .flatten()
        .collect();
    addresses.into_iter().cloned().collect()
}

/// Whom a director may have to fence, and what they are known by.
fn other_directors(pair: &ValidatedPair, director: &Director) -> Vec<OtherDirector> {
    if pair.fencing.is_none() {
        return Vec::new();
    }
    let sources = |node: &str| {
        let own = pair.sources.iter().filter(|((of, _), _)| of == node);
        let addresses: BTreeSet<&String> = own.flat_map(|(_, addresses)| addresses).collect();
        addresses.into_iter().cloned().collect()
    };
    others(pair, director)
        .map(|other| OtherDirector {
            node_name: other.node_name.clone(),
            addresses: sources(&other.node_name),
        })
        .collect()
}

/// The sysctls of a pair. Waiting for connections needs them to be told of again and again.
fn sysctls(pair: &ValidatedPair) -> Sysctls {
    let mut sysctls = pair.sysctls.clone();
    if pair.vrrp.preemption.mode == PreemptionMode::AfterSync && sysctls.mode == SysctlMode::Managed
    {
        sysctls
            .sync_refresh_period_seconds
            .get_or_insert(REFRESH_PERIOD_SECONDS);
    }
    sysctls
}
