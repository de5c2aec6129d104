//! From a virtual service and the health of its members to a service of the kernel. Pure.
//!
//! A service is planned when it is looked at and forgotten afterwards: a table of a million
//! destinations is never in memory.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use lvs_crds::v1alpha1::{FailureAction, Fallback, PersistenceEngine, SchedulerFlag};
use lvs_ipvs::{
    Destination, DestinationKey, Family, Name, Netmask, Persistence, Service, ServiceFlags,
    ServiceKey,
};

use super::drain::{Departure, Drains};
use super::members::MemberKey;
use super::pool;
use super::quorum;
use super::services::{PlacedMember, ResolvedService};

/// Weight of the fallback while the quorum is lost. It is alone, so any would do.
const FALLBACK_WEIGHT: u32 = 1;

/// A service of the kernel as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlannedService {
    /// The service.
    pub service: Service,
    /// Its destinations, ordered by their keys, each once.
    pub destinations: Vec<PlannedDestination>,
    /// Whether the members that are up weigh less than the quorum.
    pub is_without_quorum: bool,
}

/// A destination as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlannedDestination {
    /// The destination.
    pub destination: Destination,
    /// It has weight 0 and stays only while it has connections; when it is not there it is not
    /// added.
    pub leaves: bool,
}

/// What decides beside the plan.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    /// Whether a member's checks let it have new connections.
    pub is_up: &'a dyn Fn(&MemberKey) -> bool,
    /// Since when members leave.
    pub drains: &'a Drains,
    /// Whether the quorum of this service of the kernel was lost.
    pub was_without_quorum: bool,
    /// Unix seconds.
    pub now_unix_seconds: i64,
}

impl PlannedService {
    /// Number that another plan of the service does not have.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// Plans the service of the kernel that has this key. `None` when a name is none of the kernel's,
/// which the API refuses.
#[must_use]
pub fn plan(
    service: &ResolvedService,
    key: &ServiceKey,
    conditions: Conditions<'_>,
) -> Option<PlannedService> {
    let mut destinations: Vec<PlannedDestination> = service
        .members_of(key)
        .iter()
        .filter_map(|placed| destination(service, placed, conditions))
        .collect();
    let up_weight = destinations
        .iter()
        .map(|planned| u64::from(planned.destination.weight))
        .sum();
    let is_without_quorum = quorum::is_lost(
        &service.plan.quorum,
        conditions.was_without_quorum,
        up_weight,
    );
    if let Some(fallback) = fallback_destination(service, key) {
        put_fallback(&mut destinations, fallback, is_without_quorum);
    }
    Some(PlannedService {
        service: kernel_service(service, key)?,
        destinations,
        is_without_quorum,
    })
}

/// What a member is to be: at its weight, or at 0 while it drains or its checks fail. Nothing for one
/// that is to be out of the table.
fn destination(
    service: &ResolvedService,
    placed: &PlacedMember<'_>,
    conditions: Conditions<'_>,
) -> Option<PlannedDestination> {
    let member = placed.member;
    let with_weight = |weight, leaves| PlannedDestination {
        destination: Destination {
            upper_threshold: member.upper_threshold,
            lower_threshold: member.lower_threshold,
            ..Destination::new(placed.key, placed.forwarding, weight)
        },
        leaves,
    };
    match conditions
        .drains
        .departure(service, member, conditions.now_unix_seconds)
    {
        Some(Departure::Now) => return None,
        Some(Departure::WhileConnected) => return Some(with_weight(0, true)),
        None => {}
    }
    let key = MemberKey {
        service: service.name.clone(),
        destination: placed.key,
    };
    if service.is_checked(member) && !(conditions.is_up)(&key) {
        let check = service.plan.health_check.as_ref();
        return match check.map(|check| check.on_failure) {
            Some(FailureAction::Remove) => None,
            Some(FailureAction::Quiesce) | None => Some(with_weight(0, false)),
        };
    }
    Some(with_weight(member.weight, false))
}

/// The destination of a service's fallback, at the weight that it has while it serves.
#[must_use]
pub fn fallback_destination(service: &ResolvedService, key: &ServiceKey) -> Option<Destination> {
    let Fallback {
        address,
        port,
        forwarding,
    } = service.plan.fallback.as_ref()?;
    let forwarding = pool::forwarding(forwarding);
    let place = service.place(
        key,
        address.parse().ok()?,
        u16::try_from(*port).ok()?,
        forwarding,
    )?;
    Some(Destination::new(place, forwarding, FALLBACK_WEIGHT))
}

/// While the quorum is lost the fallback gets all new connections, and members keep those that they
/// have. Otherwise it leaves when its connections have ended. One that is a member too is a member
/// until it is needed.
fn put_fallback(
    destinations: &mut Vec<PlannedDestination>,
    fallback: Destination,
    is_without_quorum: bool,
) {
    if is_without_quorum {
        for planned in &mut *destinations {
            planned.destination.weight = 0;
        }
    }
    let planned = PlannedDestination {
        destination: Destination {
            weight: if is_without_quorum {
                fallback.weight
            } else {
                0
            },
            ..fallback
        },
        leaves: !is_without_quorum,
    };
    match destinations.binary_search_by_key(&fallback.key, |planned| planned.destination.key) {
        Err(position) => destinations.insert(position, planned),
        Ok(position) if is_without_quorum => {
            if let Some(member) = destinations.get_mut(position) {
                *member = planned;
            }
        }
        Ok(_) => {}
    }
}

fn kernel_service(service: &ResolvedService, key: &ServiceKey) -> Option<Service> {
    let plan = &service.plan;
    let scheduler = Name::new(plan.scheduler.name.kernel_name()).ok()?;
    let one_packet = if plan.scheduler.one_packet {
        ServiceFlags::ONE_PACKET
    } else {
        ServiceFlags::empty()
    };
    let flags = plan.scheduler.flags.iter().fold(one_packet, |flags, flag| {
        flags
            | match flag {
                SchedulerFlag::SHFallback | SchedulerFlag::MHFallback => ServiceFlags::SCHEDULER_1,
                SchedulerFlag::SHPort | SchedulerFlag::MHPort => ServiceFlags::SCHEDULER_2,
            }
    });
    let persistence = plan.persistence.as_ref().map(|persistence| {
        let family = key.family();
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
    let engine = plan.persistence.as_ref().map(|it| it.engine);
    let persistence_engine = match engine {
        Some(PersistenceEngine::SIP) => Some(Name::new("sip").ok()?),
        Some(PersistenceEngine::None) | None => None,
    };
    Some(Service {
        flags,
        persistence,
        persistence_engine,
        ..Service::new(*key, scheduler)
    })
}

/// Whether the kernel's destinations show that the fallback serves: what a new agent knows of the
/// quorum.
#[must_use]
pub fn shows_lost_quorum(
    service: &ResolvedService,
    key: &ServiceKey,
    observed: impl IntoIterator<Item = (DestinationKey, u32)>,
) -> bool {
    let Some(fallback) = fallback_destination(service, key) else {
        return false;
    };
    let is_member = service
        .members_of(key)
        .iter()
        .any(|placed| placed.key == fallback.key);
    !is_member
        && observed
            .into_iter()
            .any(|(key, weight)| key == fallback.key && weight > 0)
}

#[cfg(test)]
mod tests;
