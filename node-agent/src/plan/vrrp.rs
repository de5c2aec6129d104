//! The VRRP routers of a director: one for each instance and address family. Pure.

mod authentication;
mod routes;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use lvs_crds::v1alpha1::condition::reason;
use lvs_crds::v1alpha1::{
    AdminState, BindAddresses, Checksum, DirectorRole, InstancePlan, PreemptionMode, TransportMode,
    VirtualMac, Vrrp,
};
use lvs_ipvs::ServiceKey;
use lvs_vrrp::{
    Authentication, Centiseconds, CheckedConfig, ChecksumConvention, Config,
    GratuitousAnnouncements, LowerPriorityAdvertisement, Preemption, Transport, Version,
};

use super::Problem;
use super::services::Services;
use super::sync_hold::SyncHold;
use crate::facts::{Interface, NodeFacts};
use crate::secrets::Secrets;
use crate::vrrp::device::VirtualDevice;
use crate::vrrp::{Family, RouterPlan, VrrpPlan};

/// What decides about the routers beside the plan of the director.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Interfaces of the node.
    pub facts: &'a NodeFacts,
    /// Passwords.
    pub secrets: &'a Secrets,
    /// The director's services.
    pub services: &'a Services,
    /// Services that the kernel has: a VIP is taken when its services are programmed, not before.
    pub programmed: &'a BTreeSet<ServiceKey>,
    /// What runs now.
    pub previous: &'a VrrpPlan,
    /// Instances that wait for connections.
    pub hold: &'a SyncHold,
}

/// The routers that are to run, and what is wrong. A router that runs and cannot be planned anew,
/// for example while a new password is on its way, goes on as it is: it ends only when the plan does
/// not have it any more.
#[must_use]
pub fn plan(
    director: Option<&DirectorRole>,
    surroundings: Surroundings<'_>,
) -> (VrrpPlan, Vec<Problem>) {
    let mut plan = VrrpPlan::default();
    let mut problems = Vec::new();
    let Some(director) = director else {
        return (plan, problems);
    };
    plan.watchdog = director.fencing.as_ref().and_then(watchdog::plan);
    // Groups of which something cannot run here.
    let mut incomplete = BTreeSet::new();
    for instance in &director.instances {
        let group = group(director, instance);
        let vips = match vips(instance, surroundings) {
            Ok(vips) => vips,
            Err(message) => {
                problems.push(problem(instance, reason::NOT_ACCEPTED, &message));
                let kept = running(instance, surroundings.previous).map(|router| RouterPlan {
                    group: group.to_owned(),
                    ..router.clone()
                });
                let before = plan.routers.len();
                plan.routers.extend(kept);
                if plan.routers.len() == before {
                    incomplete.insert(group);
                }
                continue;
            }
        };
        let (ipv4, ipv6): (BTreeMap<_, _>, BTreeMap<_, _>) =
            vips.into_iter().partition(|(vip, _)| vip.is_ipv4());
        for (family, vips) in [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)] {
            if vips.is_empty() {
                problems.extend(
                    routes::without_router(instance, family)
                        .map(|message| problem(instance, reason::PENDING, &message)),
                );
                continue;
            }
            match router(director, instance, family, &vips, surroundings) {
                Ok(router) => plan.routers.push(router),
                Err(problem) => {
                    problems.push(problem);
                    let running = running(instance, surroundings.previous)
                        .find(|router| router.family == family);
                    match running.and_then(|router| kept(router, group, director, &vips)) {
                        Some(router) => plan.routers.push(router),
                        None => {
                            incomplete.insert(group);
                        }
                    }
                }
            }
        }
    }
    let held = held_groups(director, &plan, surroundings.hold);
    for router in &mut plan.routers {
        router.hold_preemption = held.contains(&router.group);
        // The last choice: another director can perhaps run all of the group, but nobody gains if its
        // VIPs are nowhere when none can.
        router.drain |= incomplete.contains(router.group.as_str());
    }
    (plan, problems)
}

/// The groups of which something waits for connections: they move together, and so none of them moves.
fn held_groups(director: &DirectorRole, plan: &VrrpPlan, hold: &SyncHold) -> BTreeSet<String> {
    let routers = plan.routers.iter();
    routers
        .filter(|router| {
            director.vrrp.preemption.mode == PreemptionMode::AfterSync
                && hold.is_held(&router.instance)
        })
        .map(|router| router.group.clone())
        .collect()
}

/// The instance by which the sync group of `instance` is called: the first one of the group. The
/// two families of an instance always move together.
fn group<'a>(director: &'a DirectorRole, instance: &'a InstancePlan) -> &'a str {
    director
        .sync_groups
        .iter()
        .find(|group| group.instances.contains(&instance.name))
        .and_then(|group| group.instances.first())
        .unwrap_or(&instance.name)
}

/// The routers of an instance that run.
fn running<'a>(
    instance: &'a InstancePlan,
    previous: &'a VrrpPlan,
) -> impl Iterator<Item = &'a RouterPlan> {
    previous
        .routers
        .iter()
        .filter(|router| router.instance == instance.name)
}

/// A router that goes on as it is, but without the VIPs that the plan has taken from it;
/// `None` if those were all.
fn kept(
    running: &RouterPlan,
    group: &str,
    director: &DirectorRole,
    vips: &BTreeMap<IpAddr, u8>,
) -> Option<RouterPlan> {
    let mut router = RouterPlan {
        group: group.to_owned(),
        drain: is_drained(director),
        ..running.clone()
    };
    router
        .prefix_lengths
        .retain(|vip, _| vips.contains_key(vip));
    router.routes.retain(|route| {
        route.source.is_none_or(|source| {
            !running.prefix_lengths.contains_key(&source) || vips.contains_key(&source)
        })
    });
    let mut config = Config::clone(&router.config);
    config.virtual_addresses = router.prefix_lengths.keys().copied().collect();
    let config = config.check().ok()?;
    Some(RouterPlan { config, ..router })
}

fn is_drained(director: &DirectorRole) -> bool {
    director.admin_state != AdminState::Enabled
}

/// The VIPs of a plan.
#[must_use]
pub fn planned_vips(plan: &VrrpPlan) -> BTreeSet<IpAddr> {
    plan.routers
        .iter()
        .flat_map(|router| router.prefix_lengths.keys().copied())
        .collect()
}

/// The addresses that the services of an instance have in the kernel, and its own, with their
/// prefix lengths. A VIP that is held already stays while one of its ports works: a port that cannot
/// be added does not take it from the others.
fn vips(
    instance: &InstancePlan,
    surroundings: Surroundings<'_>,
) -> Result<BTreeMap<IpAddr, u8>, String> {
    let mut vips = BTreeMap::new();
    let held: BTreeSet<IpAddr> = running(instance, surroundings.previous)
        .flat_map(|router| router.prefix_lengths.keys().copied())
        .collect();
    for service in surroundings.services.resolved.values() {
        let is_bound = service.plan.bind_addresses == BindAddresses::Managed;
        if service.plan.instance != instance.name || !is_bound {
            continue;
        }
        for &vip in &service.addresses {
            let mut keys = service.keys_of(vip);
            let is_programmed = |key: ServiceKey| surroundings.programmed.contains(&key);
            let is_served = if held.contains(&vip) {
                keys.any(is_programmed)
            } else {
                keys.all(is_programmed)
            };
            if is_served {
                vips.insert(vip, host_prefix_length(vip));
            }
        }
    }
    for (key, owner) in &surroundings.services.untouched {
        if let ServiceKey::Address { address, .. } = *key
            && *owner == instance.name
            && surroundings.programmed.contains(key)
        {
            vips.insert(address, host_prefix_length(address));
        }
    }
    for own in &instance.addresses {
        let address: IpAddr = own
            .address
            .parse()
            .map_err(|_unspecific| format!("address {} is none", own.address))?;
        let host = host_prefix_length(address);
        let prefix_length = match own.prefix_length {
            None => host,
            Some(length) => u8::try_from(length)
                .ok()
                .filter(|length| *length <= host)
                .ok_or_else(|| format!("prefix length {length} of {address} is above {host}"))?,
        };
        vips.insert(address, prefix_length);
    }
    Ok(vips)
}

fn router(
    director: &DirectorRole,
    instance: &InstancePlan,
    family: Family,
    vips: &BTreeMap<IpAddr, u8>,
    surroundings: Surroundings<'_>,
) -> Result<RouterPlan, Problem> {
    let of_node = |message: String| problem(instance, reason::KERNEL_ERROR, &message);
    let interface = surroundings
        .facts
        .select(&instance.interface)
        .map_err(|error| of_node(error.to_string()))?;
    let named = named_source(director, instance);
    let taken = vips.keys().copied().collect();
    let own_address = own_address(named, interface, family, &taken).map_err(of_node)?;
    if director.vrrp.transport.mode == TransportMode::Unicast
        && peers(instance, own_address).is_empty()
    {
        let message = "no other director's agent has reported the address that it sends from; directors[].sourceAddress would \
                       name it before that";
        return Err(problem(instance, reason::PENDING, message));
    }
    let authentication = authentication::plan(&director.vrrp.authentication, surroundings.secrets)
        .map_err(|message| problem(instance, reason::SECRET_NOT_FOUND, &message))?;
    let config = config(director, instance, own_address, authentication, vips)
        .map_err(|message| problem(instance, reason::NOT_ACCEPTED, &message))?;
    Ok(RouterPlan {
        instance: instance.name.clone(),
        family,
        group: group(director, instance).to_owned(),
        interface_index: interface.index,
        interface_name: interface.name.clone(),
        config,
        prefix_lengths: vips.clone(),
        virtual_device: virtual_device(director, instance, family, interface)?,
        routes: routes::plan(instance, family, interface.index, vips)
            .map_err(|message| problem(instance, reason::NOT_ACCEPTED, &message))?,
        drain: is_drained(director),
        hold_preemption: false,
    })
}

/// The device of a router whose VIPs have a MAC address of their own.
fn virtual_device(
    director: &DirectorRole,
    instance: &InstancePlan,
    family: Family,
    interface: &Interface,
) -> Result<Option<VirtualDevice>, Problem> {
    if director.vrrp.virtual_mac == VirtualMac::Disabled {
        return Ok(None);
    }
    if director.vrrp.transport.mode == TransportMode::Unicast {
        let message = "virtualMAC Macvlan needs multicast";
        return Err(problem(instance, reason::NOT_ACCEPTED, message));
    }
    let virtual_router_id = byte("virtual router id", instance.virtual_router_id)
        .map_err(|message| problem(instance, reason::NOT_ACCEPTED, &message))?;
    let device = VirtualDevice::of(family, virtual_router_id, interface.index);
    device.map(Some).ok_or_else(|| {
        let (name, index) = (&interface.name, interface.index);
        let message = format!(
            "interface {name} has index {index}, which is too long for the name of a device on it: \
             set vrrp.virtualMAC to Disabled"
        );
        problem(instance, reason::KERNEL_ERROR, &message)
    })
}

/// Source of the advertisements: the one that the plan names for the director's interface, else the
/// interface's first address.
fn own_address(
    named: Option<&str>,
    interface: &Interface,
    family: Family,
    vips: &BTreeSet<IpAddr>,
) -> Result<IpAddr, String> {
    let named = named.and_then(|address| address.parse().ok());
    if let Some(address) = named.filter(|address| Family::of(*address) == family) {
        return Ok(address);
    }
    let mut own = interface
        .own_addresses()
        .map(|own| own.address)
        .filter(|address| Family::of(*address) == family && !vips.contains(address));
    match family {
        Family::Ipv4 => own.next(),
        Family::Ipv6 => own.find(
            |address| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()),
        ),
    }
    .ok_or_else(|| {
        let what = match family {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6 link-local",
        };
        format!(
            "interface {} has no {what} address to send advertisements from",
            interface.name
        )
    })
}

fn config(
    director: &DirectorRole,
    instance: &InstancePlan,
    own_address: IpAddr,
    authentication: Option<Authentication>,
    vips: &BTreeMap<IpAddr, u8>,
) -> Result<CheckedConfig, String> {
    let vrrp = &director.vrrp;
    let version = match vrrp.version {
        2 => Version::V2,
        _ => Version::V3,
    };
    let interval = vrrp.advertisement_interval_milliseconds;
    let transport = match vrrp.transport.mode {
        TransportMode::Multicast => Transport::Multicast,
        TransportMode::Unicast => Transport::Unicast {
            peers: peers(instance, own_address),
            minimum_ttl: byte("minimum TTL", vrrp.transport.min_ttl)?,
        },
    };
    let config = Config {
        virtual_router_id: byte("virtual router id", instance.virtual_router_id)?,
        version,
        priority: byte("priority", priority(director, instance))?,
        own_address,
        advertisement_interval: u32::try_from(interval)
            .ok()
            .and_then(Centiseconds::from_milliseconds)
            .ok_or_else(|| format!("advertisement interval {interval} ms is no multiple of 10"))?,
        down_advertisements: byte("down advertisements", vrrp.active_down_advertisements)?,
        preemption: match vrrp.preemption.mode {
            PreemptionMode::Never => Preemption::Never,
            PreemptionMode::Immediate | PreemptionMode::AfterSync => Preemption::Immediate,
        },
        preempt_delay: seconds(vrrp.preemption.delay_seconds),
        authentication,
        transport,
        checksum: match vrrp.checksum {
            Checksum::RFC9568 => ChecksumConvention::Rfc9568,
            Checksum::PseudoHeader => ChecksumConvention::PseudoHeader,
        },
        virtual_addresses: vips.keys().copied().collect(),
        gratuitous: gratuitous(vrrp)?,
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    };
    config.check().map_err(|error| error.to_string())
}

/// The peers of a router's family.
fn peers(instance: &InstancePlan, own_address: IpAddr) -> Vec<IpAddr> {
    let peers = instance.peers.iter();
    peers
        .filter_map(|peer| peer.parse().ok())
        .filter(|peer: &IpAddr| Family::of(*peer) == Family::of(own_address))
        .collect()
}

/// Where the advertisements of each instance come from, for the other directors to know: one address
/// of each family that its interface has one of.
#[must_use]
pub fn sources(
    director: Option<&DirectorRole>,
    facts: &NodeFacts,
    vips: &BTreeSet<IpAddr>,
) -> BTreeMap<String, Vec<IpAddr>> {
    let instances = director.into_iter().flat_map(|director| {
        let instances = director.instances.iter();
        instances.map(move |instance| (director, instance))
    });
    instances
        .filter_map(|(director, instance)| {
            let interface = facts.select(&instance.interface).ok()?;
            let named = named_source(director, instance);
            let addresses = [Family::Ipv4, Family::Ipv6]
                .into_iter()
                .filter_map(|family| own_address(named, interface, family, vips).ok())
                .collect();
            Some((instance.name.clone(), addresses))
        })
        .collect()
}

/// The source address that the plan names, which is for the director's own interface.
fn named_source<'a>(director: &'a DirectorRole, instance: &InstancePlan) -> Option<&'a str> {
    (instance.interface == director.interface)
        .then_some(director.source_address.as_deref())
        .flatten()
}

/// All routers of a group have the priority of the instance by which it is called. With priorities of
/// their own one director could win here and another there.
fn priority(director: &DirectorRole, instance: &InstancePlan) -> i32 {
    let group = group(director, instance);
    director
        .instances
        .iter()
        .find(|instance| instance.name == group)
        .unwrap_or(instance)
        .priority
}

fn gratuitous(vrrp: &Vrrp) -> Result<GratuitousAnnouncements, String> {
    let arp = &vrrp.gratuitous_arp;
    let interval = u64::try_from(arp.interval_milliseconds).unwrap_or_default();
    Ok(GratuitousAnnouncements {
        count: byte("gratuitous ARP count", arp.count)?,
        interval: Duration::from_millis(interval),
        repeat_delay: seconds(arp.repeat_delay_seconds),
        refresh: seconds(arp.refresh_seconds),
    })
}

fn problem(instance: &InstancePlan, reason: &'static str, message: &str) -> Problem {
    Problem {
        reason,
        message: format!("VRRP instance {}: {message}", instance.name),
        instance: Some(instance.name.clone()),
        is_advice: false,
    }
}

fn byte(what: &str, value: i32) -> Result<u8, String> {
    u8::try_from(value).map_err(|_unspecific| format!("{what} {value} is not within 0 to 255"))
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or_default())
}

fn host_prefix_length(address: IpAddr) -> u8 {
    let bits = if address.is_ipv4() {
        Ipv4Addr::BITS
    } else {
        Ipv6Addr::BITS
    };
    u8::try_from(bits).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
