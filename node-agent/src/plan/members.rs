//! Which members are checked, and how. Pure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lvs_crds::v1alpha1::{Check, CheckMode, CheckType, HealthCheck, InitialState};
use lvs_health::{Mode, Policy, Probe, Target, escape};
use lvs_ipvs::{DestinationKey, ServiceKey, Table};

use super::services::{Member, ResolvedService, Services};

/// A real server of a virtual service. The same host in two services is two members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey {
    /// Virtual service, as `namespace/name`.
    pub service: Arc<str>,
    /// Address and port that it serves on.
    pub destination: DestinationKey,
}

/// What is to be checked. A member that the kernel knows keeps the state that its weight shows, so
/// that a restart of the agent changes nothing.
#[must_use]
pub fn targets(services: &Services, kernel: &Table) -> Vec<Target<MemberKey>> {
    services
        .resolved
        .values()
        .flat_map(|service| targets_of(service, kernel))
        .collect()
}

fn targets_of(service: &ResolvedService, kernel: &Table) -> Vec<Target<MemberKey>> {
    let Some(health_check) = &service.plan.health_check else {
        return Vec::new();
    };
    let mut targets: Vec<Target<MemberKey>> = Vec::new();
    for key in service.keys() {
        let ServiceKey::Address { address, port, .. } = key else {
            continue;
        };
        for (destination, member) in service.destinations(address, port) {
            if !service.is_checked(member) {
                continue;
            }
            let weight = kernel
                .get(&key)
                .and_then(|entry| entry.destination(&destination))
                .map(|observed| observed.destination.weight);
            let initially_up = match weight {
                Some(weight) if weight > 0 => true,
                // It has no weight to lose, and its state is known before it gets one.
                Some(_) if member.weight == 0 || service.plan.drain.is_some() => true,
                _ => health_check.initial_state == InitialState::Up,
            };
            targets.push(Target {
                key: MemberKey {
                    service: Arc::clone(&service.name),
                    destination,
                },
                checks: health_check
                    .checks
                    .iter()
                    .filter_map(|check| probe_of(check, health_check, destination))
                    .collect(),
                mode: match health_check.mode {
                    CheckMode::Any => Mode::Any,
                    CheckMode::All | CheckMode::Disabled => Mode::All,
                },
                initially_up,
            });
        }
    }
    // A destination behind several VIPs is one target; it is up if it is up behind any.
    targets.sort_by(|a, b| a.key.cmp(&b.key).then(b.initially_up.cmp(&a.initially_up)));
    targets.dedup_by(|a, b| a.key == b.key);
    targets
}

impl ResolvedService {
    /// Whether checks decide about a member.
    #[must_use]
    pub fn is_checked(&self, member: &Member) -> bool {
        let has_checks = self
            .plan
            .health_check
            .as_ref()
            .is_some_and(|check| check.mode != CheckMode::Disabled);
        has_checks && member.checked
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
