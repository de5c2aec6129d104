//! From virtual services and the health of their members to the kernel's IPVS table. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lvs_crds::v1alpha1::{FailureAction, ForwardingMethod, SchedulerFlag};
use lvs_ipvs::{
    Destination, DestinationKey, Family, Forwarding, Name, Netmask, Persistence, Service,
    ServiceFlags, ServiceKey,
};

use super::members::MemberKey;
use super::services::{Member, ResolvedService, Services};
use crate::report::Subject;

/// A service of the kernel as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedService {
    /// The service.
    pub service: Service,
    /// Its destinations.
    pub destinations: BTreeMap<DestinationKey, Destination>,
    /// The object that asks for it.
    pub subject: Arc<Subject>,
}

/// The whole table. `is_up` says whether a member's checks let it have new connections.
#[must_use]
pub fn table(
    services: &Services,
    is_up: &dyn Fn(&MemberKey) -> bool,
) -> BTreeMap<ServiceKey, PlannedService> {
    let mut table = BTreeMap::new();
    for service in services.resolved.values() {
        for key in service.keys() {
            let Some(planned) = planned_service(service, key, is_up) else {
                continue;
            };
            // The operator lets one service have a key; should two claim it, the order of their
            // names decides, on both directors alike.
            table.entry(key).or_insert(planned);
        }
    }
    table
}

fn planned_service(
    service: &ResolvedService,
    key: ServiceKey,
    is_up: &dyn Fn(&MemberKey) -> bool,
) -> Option<PlannedService> {
    let ServiceKey::Address { address, port, .. } = key else {
        return None;
    };
    let destinations = service
        .destinations(address, port)
        .filter_map(|(destination, member)| {
            let weight = effective_weight(service, destination, *member, is_up)?;
            let forwarding = forwarding(service.plan.forwarding.method);
            Some((
                destination,
                Destination::new(destination, forwarding, weight),
            ))
        })
        .collect();
    Some(PlannedService {
        service: kernel_service(service, key, address)?,
        destinations,
        subject: Arc::clone(&service.subject),
    })
}

/// The weight that a member gets: the plan's, or 0 for one that drains or whose checks fail.
/// Nothing for a member that is to be out of the table.
fn effective_weight(
    service: &ResolvedService,
    destination: DestinationKey,
    member: Member,
    is_up: &dyn Fn(&MemberKey) -> bool,
) -> Option<u32> {
    let on_failure = service
        .plan
        .health_check
        .as_ref()
        .map(|check| check.on_failure);
    let key = MemberKey {
        service: Arc::clone(&service.name),
        destination,
    };
    if service.is_checked(&member) && !is_up(&key) {
        return match on_failure {
            Some(FailureAction::Remove) => None,
            Some(FailureAction::Quiesce) | None => Some(0),
        };
    }
    Some(if service.plan.drain.is_some() {
        0
    } else {
        member.weight
    })
}

fn kernel_service(service: &ResolvedService, key: ServiceKey, vip: IpAddr) -> Option<Service> {
    let plan = &service.plan;
    let scheduler = Name::new(plan.scheduler.name.kernel_name()).ok()?;
    let flags = plan
        .scheduler
        .flags
        .iter()
        .fold(ServiceFlags::empty(), |flags, flag| {
            flags
                | match flag {
                    SchedulerFlag::SHFallback | SchedulerFlag::MHFallback => {
                        ServiceFlags::SCHEDULER_1
                    }
                    SchedulerFlag::SHPort | SchedulerFlag::MHPort => ServiceFlags::SCHEDULER_2,
                }
        });
    let persistence = plan.persistence.as_ref().map(|persistence| {
        let family = Family::of(vip);
        let bits = match family {
            Family::Ipv4 => persistence.ipv4_prefix_length,
            Family::Ipv6 => persistence.ipv6_prefix_length,
        };
        let netmask = u8::try_from(bits)
            .ok()
            .and_then(|bits| Netmask::from_prefix_length(family, bits))
            .unwrap_or_else(|| Netmask::host(family));
        let timeout_seconds = u32::try_from(persistence.timeout_seconds).unwrap_or(1);
        Persistence {
            timeout_seconds,
            netmask,
        }
    });
    Some(Service {
        flags,
        persistence,
        ..Service::new(key, scheduler)
    })
}

fn forwarding(method: ForwardingMethod) -> Forwarding {
    match method {
        ForwardingMethod::DR => Forwarding::DirectRouting,
        ForwardingMethod::NAT => Forwarding::Nat,
        ForwardingMethod::TUN => Forwarding::Tunnel(lvs_ipvs::Tunnel::IPIP),
        ForwardingMethod::Local => Forwarding::Local,
    }
}

#[cfg(test)]
mod tests;
