//! Sysctls of a director. Pure.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use lvs_crds::v1alpha1::{DirectorRole, InstancePlan, SysctlMode, Sysctls, VirtualMac};
use lvs_ipvs::{Family, Forwarding};

use super::pool;
use super::services::{ResolvedService, Services};
use crate::facts::{Interface, NodeFacts};
use crate::kernel::sysctls::Sysctl;
use crate::vrrp;
use crate::vrrp::device::VirtualDevice;

/// Sysctls below `net.ipv4.vs` that have a client meet a server that lives, where the plan does not say
/// otherwise (Documentation/networking/ipvs-sysctl.rst, `ip_vs_in_hook` in
/// `net/netfilter/ipvs/ip_vs_core.c`).
///
/// - Port reuse: a SYN on a connection that is over is scheduled anew. The second bit counts states
///   that directors of direct routing see last; without it a client that takes a port again within two
///   minutes reaches the real server of that time, also when it is dead.
/// - A SYN on any connection of a server at weight 0 is scheduled anew: the repeated one of a client
///   that asked a dead server before its checks had failed.
const DEFAULTS: [(&str, &str); 2] = [("conn_reuse_mode", "3"), ("expire_nodest_conn", "1")];

/// `net.ipv4.vs.sync_threshold` where connections are told of anew after a time, as the kernel prints it: with
/// the second number above 0 (the kernel's own is 50) that would be put off until the number of a connection's
/// packets, divided by it, leaves the first number, so a quiet connection would not be told of for minutes
/// (`ip_vs_sync_conn_needed` in `net/netfilter/ipvs/ip_vs_sync.c`).
const SYNC_THRESHOLD: &str = "3\t0";

/// The sysctls of a director.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectorSysctls {
    /// Those that the agent sets and keeps.
    pub managed: BTreeMap<Sysctl, String>,
    /// Those that it only looks at.
    pub checked: BTreeMap<Sysctl, String>,
}

/// The sysctls that the role and its services need.
#[must_use]
pub fn plan(
    director: Option<&DirectorRole>,
    services: &Services,
    facts: &NodeFacts,
) -> DirectorSysctls {
    let mut plan = DirectorSysctls::default();
    let Some(director) = director else {
        return plan;
    };
    let mut wanted = named(&director.sysctls);
    // NAT makes a director a router between clients and real servers.
    wanted.extend(
        services
            .resolved
            .values()
            .filter(|service| translates(service))
            .flat_map(|service| service.families())
            .map(|family| (forwarding(family), "1".to_owned())),
    );
    wanted.extend(silence_about_vips(director, facts));
    match director.sysctls.mode {
        SysctlMode::Ignore => {}
        SysctlMode::CheckOnly => plan.checked = wanted,
        SysctlMode::Managed => {
            if !services.resolved.is_empty() {
                for (name, value) in DEFAULTS {
                    wanted
                        .entry(Sysctl::of_ipvs(name))
                        .or_insert_with(|| value.to_owned());
                }
            }
            plan.managed = wanted;
        }
    }
    // Those of the agent's own devices are nobody else's.
    plan.managed.extend(of_devices(director, facts));
    plan
}

/// A VIP with a MAC address of its own is on a device of its own, and the interface below must not tell
/// another: `arp_ignore` 1 has each interface answer ARP for its own addresses, and with `arp_announce` 2
/// it asks by them alone, also when what it asks for is a packet from a VIP
/// (Documentation/networking/ip-sysctl.rst).
fn silence_about_vips<'a>(
    director: &'a DirectorRole,
    facts: &'a NodeFacts,
) -> impl Iterator<Item = (Sysctl, String)> + 'a {
    virtual_instances(director, facts).flat_map(|(_, interface)| {
        [("arp_ignore", "1"), ("arp_announce", "2")].map(|(name, value)| {
            let sysctl = Sysctl::of_interface_ipv4(&interface.name, name);
            (sysctl, value.to_owned())
        })
    })
}

/// What a Router Advertisement says is for the interface below: no address is to be made of the
/// virtual MAC address (RFC 9568 section 7.4), and no route is to lead through its device. For devices that are
/// there, on nodes with IPv6.
fn of_devices(director: &DirectorRole, facts: &NodeFacts) -> Vec<(Sysctl, String)> {
    let mut addresses = facts
        .interfaces
        .values()
        .flat_map(|interface| &interface.addresses);
    if !addresses.any(|address| address.address.is_ipv6()) {
        return Vec::new();
    }
    virtual_instances(director, facts)
        .filter_map(|(instance, interface)| {
            let virtual_router_id = u8::try_from(instance.virtual_router_id).ok()?;
            Some((virtual_router_id, interface.index))
        })
        .flat_map(|(virtual_router_id, parent)| {
            [vrrp::Family::Ipv4, vrrp::Family::Ipv6]
                .into_iter()
                .filter_map(move |family| VirtualDevice::of(family, virtual_router_id, parent))
        })
        .filter(|device| facts.named(&device.name).is_ok())
        .map(|device| Sysctl::of_interface_ipv6(&device.name, "accept_ra"))
        .map(|sysctl| (sysctl, "0".to_owned()))
        .collect()
}

/// Instances whose VIPs have MAC addresses of their own, with their interface.
fn virtual_instances<'a>(
    director: &'a DirectorRole,
    facts: &'a NodeFacts,
) -> impl Iterator<Item = (&'a InstancePlan, &'a Interface)> {
    let instances = match director.vrrp.virtual_mac {
        VirtualMac::Disabled => [].iter(),
        VirtualMac::Macvlan => director.instances.iter(),
    };
    instances.filter_map(|instance| {
        let interface = facts.select(&instance.interface).ok()?;
        Some((instance, interface))
    })
}

fn translates(service: &ResolvedService) -> bool {
    let own = pool::forwarding(&service.plan.forwarding);
    let fallback = service.plan.fallback.as_ref();
    own == Forwarding::Nat
        || fallback.is_some_and(|it| pool::forwarding(&it.forwarding) == Forwarding::Nat)
        || service.pools.iter().any(|pool| pool.translates)
}

fn forwarding(family: Family) -> Sysctl {
    Sysctl::forwarding(match family {
        Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
    })
}

/// The sysctls that the plan names, with the kernel's names.
fn named(plan: &Sysctls) -> BTreeMap<Sysctl, String> {
    let switch = |value: Option<bool>| value.map(i32::from);
    let is_refreshed = plan
        .sync_refresh_period_seconds
        .is_some_and(|seconds| seconds > 0);
    let threshold =
        is_refreshed.then(|| (Sysctl::of_ipvs("sync_threshold"), SYNC_THRESHOLD.to_owned()));
    [
        ("conntrack", switch(plan.conntrack)),
        ("conn_reuse_mode", plan.conn_reuse_mode),
        ("expire_nodest_conn", switch(plan.expire_nodest_conn)),
        (
            "expire_quiescent_template",
            switch(plan.expire_quiescent_template),
        ),
        ("sloppy_tcp", switch(plan.sloppy_tcp)),
        ("sloppy_sctp", switch(plan.sloppy_sctp)),
        ("backup_only", switch(plan.backup_only)),
        ("sync_persist_mode", switch(plan.sync_persist_mode)),
        ("sync_refresh_period", plan.sync_refresh_period_seconds),
        ("sync_retries", plan.sync_retries),
        ("drop_entry", plan.drop_entry),
        ("drop_packet", plan.drop_packet),
        ("secure_tcp", plan.secure_tcp),
        ("pmtu_disc", switch(plan.pmtu_disc)),
        ("run_estimation", switch(plan.run_estimation)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((Sysctl::of_ipvs(name), value?.to_string())))
    .chain(threshold)
    .collect()
}

#[cfg(test)]
mod tests;
