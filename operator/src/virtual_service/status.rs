//! No client: the status of a virtual service.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use lvs_crds::v1alpha1::{
    AdminState, BackendCount, MemberPlan, ServicePlan, UnhealthyBackend, VirtualService,
    VirtualServiceStatus,
    condition::{self, reason},
};

use super::{
    pools::UsedPool,
    validate::{ValidatedService, foreign_message, orphan_message},
};
use crate::{
    conditions::{Conditions, Finding, accepted, held},
    director_pair::{observe::PairReport, status::programmed},
    pipeline::{Plans, Verdicts},
    rejection::Rejection,
    world::{Current, key},
};

/// Longest list of failing members in a status; the rest is in metrics.
const UNHEALTHY_LIMIT: usize = 16;
/// How many names a message lists.
const NAMES_LIMIT: usize = 3;

/// Reason: no member gets new connections, because somebody asked for it or until it is ready.
const ALL_MEMBERS_DRAINING: &str = "AllBackendsDraining";
/// Reason: two real servers of a pool have one address.
const DUPLICATE_BACKEND: &str = "DuplicateBackend";
/// Reason: a director of the pair cannot be its real server with DR.
const REAL_SERVER_IS_DIRECTOR: &str = "RealServerIsDirector";

/// Everything that the status of a virtual service is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What the slices say at this moment.
    pub current: &'a Current<'a>,
    /// Whether objects are accepted.
    pub verdicts: &'a Verdicts,
    /// What agents should carry out.
    pub plans: &'a Plans,
    /// What the directors report, by pair.
    pub reports: &'a BTreeMap<String, PairReport<'a>>,
    /// The time.
    pub now: Timestamp,
}

/// The status that a virtual service should have, beside the `old` one.
#[must_use]
pub fn status(
    service: &VirtualService,
    old: Option<&VirtualServiceStatus>,
    inputs: Inputs<'_>,
) -> VirtualServiceStatus {
    let key = key(service);
    let generation = service.metadata.generation.unwrap_or_default();
    let old_conditions = old
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let verdict = inputs.verdicts.services.get(&key);
    let valid = verdict.and_then(|verdict| verdict.as_ref().ok());
    let pair_name = &service.spec.director_pair_ref.name;
    let report = inputs.reports.get(pair_name);

    let mut conditions = Conditions::new(generation, inputs.now);
    conditions.set(condition::ACCEPTED, acceptance(verdict));
    if service.spec.admin_state == AdminState::Disabled && valid.is_some() {
        let message = "adminState is Disabled: no director carries it";
        conditions.summarize(
            &[condition::ACCEPTED],
            Finding::yes(reason::DISABLED, message),
        );
        return VirtualServiceStatus {
            conditions: conditions.finish(old_conditions),
            ..frame(service)
        };
    }

    let content = inputs.plans.content.pairs.get(pair_name);
    let plan = match content {
        Some(content) => content.services.get(&key),
        None => inputs.current.service(&key).map(|(_, plan)| plan),
    };
    let active = report
        .and_then(|report| report.active.get(&service.spec.instance))
        .cloned();
    let unhealthy: &[&UnhealthyBackend] = report
        .and_then(|report| {
            report
                .unhealthy
                .get(&(service.spec.instance.clone(), key.clone()))
        })
        .map(Vec::as_slice)
        .unwrap_or_default();
    let backends = plan.map(|plan| {
        let members = plan.pools.iter().filter_map(|pool| match content {
            Some(content) => content.pools.get(pool).map(Vec::as_slice),
            None => inputs.current.pool(pair_name, pool),
        });
        count(plan, members, unhealthy)
    });

    if let Some(valid) = valid {
        conditions.set(condition::RESOLVED_REFS, resolved(valid, inputs.verdicts));
    }
    let was_programmed = held(old_conditions, condition::PROGRAMMED, generation);
    conditions.set(
        condition::PROGRAMMED,
        match report {
            Some(report) if valid.is_some() => {
                carried(pair_name, inputs.verdicts, report, was_programmed)
            }
            _ if plan.is_some() => Finding::no(
                reason::NOT_ACCEPTED,
                "the directors keep the last version that was accepted",
            ),
            _ => Finding::no(
                reason::NOT_ACCEPTED,
                "no director carries it, because it is not accepted",
            ),
        },
    );
    conditions.set(
        condition::ADVERTISED,
        advertised(plan, active.as_deref(), service),
    );
    if let Some(backends) = &backends {
        let waiting = inputs.plans.content.waiting.get(&key);
        conditions.set(
            condition::BACKENDS_HEALTHY,
            health(
                backends,
                unhealthy,
                waiting.iter().flat_map(|waiting| &waiting.members),
            ),
        );
    }
    summarize(&mut conditions, backends.as_ref());
    VirtualServiceStatus {
        addresses: plan.map(|plan| plan.addresses.clone()).unwrap_or_default(),
        active,
        up: backends
            .as_ref()
            .map(|backends| format!("{}/{}", backends.up, backends.total)),
        backends,
        unhealthy: unhealthy
            .iter()
            .take(UNHEALTHY_LIMIT)
            .map(|backend| (*backend).clone())
            .collect(),
        conditions: conditions.finish(old_conditions),
        ..frame(service)
    }
}

/// A status with what the specification alone tells.
fn frame(service: &VirtualService) -> VirtualServiceStatus {
    let frontend = &service.spec.frontend;
    let ports: Vec<_> = frontend
        .ports
        .iter()
        .map(|port| port.port.to_string())
        .collect();
    VirtualServiceStatus {
        observed_generation: service.metadata.generation.unwrap_or_default(),
        addresses: Vec::new(),
        vip: Some(frontend.addresses.join(",")),
        ports: Some(ports.join(",")),
        firewall_mark: None,
        active: None,
        backends: None,
        up: None,
        unhealthy: Vec::new(),
        conditions: Vec::new(),
    }
}

/// Whether the directors carry a service that is accepted.
fn carried(pair: &str, verdicts: &Verdicts, report: &PairReport<'_>, held: bool) -> Finding {
    match verdicts.pairs.accepted(pair) {
        None => Finding::no(
            reason::NOT_ACCEPTED,
            format!(
                "DirectorPair {pair} is not accepted, so its directors keep what they have; kubectl \
                 describe directorpair {pair} says why"
            ),
        ),
        Some(validated) if validated.disabled => Finding::no(
            reason::DISABLED,
            format!("adminState of DirectorPair {pair} is Disabled; set it to Enabled"),
        ),
        Some(_) => programmed(&report.progress, held),
    }
}

/// It is ready while it serves: some members may be down.
fn summarize(conditions: &mut Conditions, backends: Option<&BackendCount>) {
    let mut needed = vec![
        condition::ACCEPTED,
        condition::PROGRAMMED,
        condition::ADVERTISED,
    ];
    if backends.is_none_or(|backends| backends.up == 0) {
        needed.push(condition::BACKENDS_HEALTHY);
    }
    conditions.summarize(
        &needed,
        Finding::yes(reason::AS_EXPECTED, "the directors serve it"),
    );
}

fn acceptance(verdict: Option<&Result<ValidatedService, Rejection>>) -> Finding {
    match verdict {
        Some(Err(rejection)) => Finding::no(rejection.reason, rejection.message.clone()),
        _ => accepted(),
    }
}

fn resolved(service: &ValidatedService, verdicts: &Verdicts) -> Finding {
    for used in &service.pools {
        let UsedPool {
            backend,
            forwarding,
            pool,
        } = used;
        let foreign = pool.foreign_server.map(|server| server.to_string());
        let wrong = pool.wrong_family.first();
        if let Some(member) = foreign.or_else(|| wrong.map(|name| format!("RealServer {name}"))) {
            return Finding::no(
                reason::MIXED_FAMILY,
                format!(
                    "{}; it is left out",
                    foreign_message(service, used, &member)
                ),
            );
        }
        if let Some(real_server) = pool.duplicates.first() {
            return Finding::no(
                DUPLICATE_BACKEND,
                format!(
                    "spec.backends[{backend}]: RealServer {real_server} has the address of an older \
                     one that is selected too, and is left out; delete one of them or change its \
                     labels"
                ),
            );
        }
        let director = pool
            .members
            .iter()
            .filter_map(|member| member.real_server.as_ref())
            .find(|real_server| {
                let node = real_server.managed_node();
                node.is_some_and(|node| verdicts.pairs.director_of.get(node) == Some(&service.pair))
            });
        if let Some(real_server) = director.filter(|_| forwarding.method.keeps_destination()) {
            return Finding::no(
                REAL_SERVER_IS_DIRECTOR,
                format!(
                    "spec.backends[{backend}]: RealServer {} is on a director of the same pair; \
                     with forwarding {:?} the two directors would pass packets to and fro, so it \
                     gets weight 0",
                    real_server.key, forwarding.method
                ),
            );
        }
    }
    if let Some(vip) = service.orphan() {
        return Finding::no(reason::MIXED_FAMILY, orphan_message(service, vip));
    }
    Finding::yes(reason::AS_EXPECTED, "everything that it names exists")
}

fn advertised(
    plan: Option<&ServicePlan>,
    active: Option<&str>,
    service: &VirtualService,
) -> Finding {
    match (plan, active) {
        (None, _) => Finding::no(reason::PENDING, "no director has its addresses"),
        (Some(_), None) => Finding::no(
            reason::NO_ACTIVE_ROUTER,
            format!(
                "no director is Active in instance {} of DirectorPair {}; kubectl describe \
                 directorpair {} says why",
                service.spec.instance,
                service.spec.director_pair_ref.name,
                service.spec.director_pair_ref.name
            ),
        ),
        (Some(_), Some(_)) => Finding::yes(
            reason::AS_EXPECTED,
            "the Active Router answers for its addresses",
        ),
    }
}

/// Counts members. One that fails is down, whatever its weight.
fn count<'a>(
    plan: &ServicePlan,
    pools: impl Iterator<Item = &'a [MemberPlan]>,
    unhealthy: &[&UnhealthyBackend],
) -> BackendCount {
    let mut backends = BackendCount::default();
    for member in pools.flatten() {
        let fails = unhealthy.iter().any(|backend| {
            backend.address == member.address && (member.port == 0 || backend.port == member.port)
        });
        backends.total += 1;
        if fails {
            backends.down += 1;
        } else if plan.drain.is_some() || member.weight == 0 {
            backends.draining += 1;
        } else {
            backends.up += 1;
        }
    }
    backends
}

fn health<'a>(
    backends: &BackendCount,
    unhealthy: &[&UnhealthyBackend],
    waiting: impl Iterator<Item = &'a String>,
) -> Finding {
    let failing = || {
        let list: Vec<_> = unhealthy
            .iter()
            .take(3)
            .map(|backend| {
                format!(
                    "{} port {}: {}",
                    backend.address, backend.port, backend.reason
                )
            })
            .collect();
        list.join("; ")
    };
    match *backends {
        BackendCount { total: 0, .. } => Finding::no(
            reason::NO_BACKENDS,
            "spec.backends gives no real server; kubectl get realservers --show-labels shows what \
             realServerSelector can match",
        ),
        BackendCount { up: 0, down, .. } if down > 0 => {
            Finding::no(reason::ALL_BACKENDS_DOWN, failing())
        }
        BackendCount { up: 0, .. } => {
            let names: Vec<_> = waiting.map(String::as_str).collect();
            Finding::no(
                ALL_MEMBERS_DRAINING,
                if names.is_empty() {
                    "every real server has weight 0 because somebody asked for it".to_owned()
                } else {
                    format!(
                        "waiting for the VIPs on the loopback of {}, before which they would drop \
                         what they get",
                        some_of(&names)
                    )
                },
            )
        }
        BackendCount { down, .. } if down > 0 => Finding::no(reason::SOME_BACKENDS_DOWN, failing()),
        _ => Finding::yes(
            reason::AS_EXPECTED,
            "every real server that should be in is up",
        ),
    }
}

/// The first names of a list that may be long.
fn some_of(names: &[&str]) -> String {
    let list: Vec<_> = names.iter().take(NAMES_LIMIT).copied().collect();
    let list = list.join(", ");
    match names.len().saturating_sub(NAMES_LIMIT) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(some_of(&["a", "b", "c"]), "a, b, c");
        assert_eq!(some_of(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
