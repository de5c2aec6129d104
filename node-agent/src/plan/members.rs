//! Which members are checked, and how. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lvs_crds::v1alpha1::{Check, CheckMode, CheckType, HealthCheck, InitialState};
use lvs_health::{Mode, Policy, Probe, Target, escape};
use lvs_ipvs::{DestinationKey, ServiceKey};

use super::pool::Member;
use super::services::{ResolvedService, Services};

/// A real server of a virtual service. The same host in two services is two members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey {
    /// Virtual service, as `namespace/name`.
    pub service: Arc<str>,
    /// Address and port that it serves on.
    pub destination: DestinationKey,
}

/// What is to be checked. `is_up_before` says in which state a member begins.
#[must_use]
pub fn targets(
    services: &Services,
    is_up_before: &dyn Fn(&MemberKey) -> bool,
) -> Vec<Target<MemberKey>> {
    services
        .resolved
        .values()
        .flat_map(|service| targets_of(service, is_up_before))
        .collect()
}

/// Whether the same members are checked in the same way.
#[must_use]
pub fn are_same(a: &ResolvedService, b: &ResolvedService) -> bool {
    a.plan.health_check == b.plan.health_check && checked(a) == checked(b)
}

/// The members of a service that are checked, each once, in order.
#[must_use]
pub fn checked(service: &ResolvedService) -> Vec<MemberKey> {
    let mut keys: Vec<MemberKey> = service
        .keys()
        .take_while(|_| service.has_checks())
        .flat_map(|key| service.members_of(&key))
        .filter(|placed| service.is_checked(placed.member))
        .map(|placed| MemberKey {
            service: Arc::clone(&service.name),
            destination: placed.key,
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The states in which the checked members of a service begin: one that the kernel knows keeps the
/// state that its weight shows, so that a restart of the agent changes nothing. `weight` is that of a
/// destination in the kernel. A destination behind several VIPs is up if it is up behind any.
#[must_use]
pub fn initial_states(
    service: &ResolvedService,
    weight: &dyn Fn(&ServiceKey, &DestinationKey) -> Option<u32>,
) -> BTreeMap<MemberKey, bool> {
    let mut states = BTreeMap::new();
    let Some(health_check) = &service.plan.health_check else {
        return states;
    };
    for key in service.keys() {
        for placed in service.members_of(&key) {
            let member = placed.member;
            if !service.is_checked(member) {
                continue;
            }
            let has_no_weight_to_lose =
                member.weight == 0 || member.drain.is_some() || service.plan.drain.is_some();
            let is_up = match weight(&key, &placed.key) {
                Some(weight) if weight > 0 => true,
                // Its state is known before it gets a weight.
                Some(_) if has_no_weight_to_lose => true,
                _ => health_check.initial_state == InitialState::Up,
            };
            let key = MemberKey {
                service: Arc::clone(&service.name),
                destination: placed.key,
            };
            *states.entry(key).or_default() |= is_up;
        }
    }
    states
}

fn targets_of<'a>(
    service: &'a ResolvedService,
    is_up_before: &'a dyn Fn(&MemberKey) -> bool,
) -> impl Iterator<Item = Target<MemberKey>> + 'a {
    let health_check = service.plan.health_check.as_ref();
    checked(service).into_iter().filter_map(move |key| {
        let health_check = health_check?;
        Some(Target {
            checks: health_check
                .checks
                .iter()
                .filter_map(|check| probe_of(check, health_check, key.destination))
                .collect(),
            mode: match health_check.mode {
                CheckMode::Any => Mode::Any,
                CheckMode::All | CheckMode::Disabled => Mode::All,
            },
            initially_up: is_up_before(&key),
            key,
        })
    })
}

impl ResolvedService {
    /// Whether checks decide about a member.
    #[must_use]
    pub fn is_checked(&self, member: &Member) -> bool {
        member.checked && self.has_checks()
    }

    fn has_checks(&self) -> bool {
        self.plan
            .health_check
            .as_ref()
            .is_some_and(|check| check.mode != CheckMode::Disabled)
    }
}

/// The probe of a check; none for a TCP check of a service on all ports that names no port itself,
/// which the API refuses.
fn probe_of(
    check: &Check,
    health_check: &HealthCheck,
    destination: DestinationKey,
) -> Option<lvs_health::Check> {
    let probe = match check.type_ {
        CheckType::Ping => Probe::Ping {
            to: destination.address,
        },
        CheckType::TCP => {
            let port = match check.port {
                Some(port) => u16::try_from(port).ok()?,
                None => destination.port,
            };
            if port == 0 {
                return None;
            }
            // The API refuses escapes that do not parse; such text stands for itself.
            let bytes = |text: &Option<String>| {
                let text = text.as_deref().unwrap_or_default();
                escape::parse(text).unwrap_or_else(|_| text.as_bytes().to_vec())
            };
            Probe::Tcp {
                to: SocketAddr::new(destination.address, port),
                send: bytes(&check.send),
                expect: bytes(&check.expect),
            }
        }
    };
    Some(lvs_health::Check {
        name: check.name.clone(),
        probe: Arc::new(probe),
        policy: policy(health_check),
    })
}

fn policy(check: &HealthCheck) -> Policy {
    let milliseconds = |value: i32| Duration::from_millis(u64::try_from(value).unwrap_or_default());
    let count = |value: i32| u32::try_from(value).unwrap_or_default();
    Policy {
        interval: milliseconds(check.interval_milliseconds),
        timeout: milliseconds(check.timeout_milliseconds),
        rise: count(check.success_threshold),
        fall: count(check.failure_threshold),
        retry_interval: milliseconds(check.retry_interval_milliseconds),
    }
    .clamped()
}

#[cfg(test)]
mod tests;
