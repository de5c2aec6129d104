//! No client: the status of a virtual service.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use lvs_crds::v1alpha1::{
    AdminState, BackendCount, BindAddresses, FirewallMark, Port, Protocol, ServicePlan,
    UnhealthyBackend, VirtualService, VirtualServiceStatus,
    condition::{self, reason},
};

mod health;

use self::health::{ALL_MEMBERS_DRAINING, count, health, quorum};
use super::{
    compile::Waiting,
    pools::UsedPool,
    validate::{ValidatedService, foreign_message, orphan_message},
};
use crate::{
    conditions::{Conditions, Finding, accepted, held, some_of},
    director_pair::{observe::PairReport, status::programmed},
    pipeline::{Plans, Verdicts},
    rejection::Rejection,
    world::{Current, key},
};

/// Longest list of failing members in a status; the rest is in metrics.
const UNHEALTHY_LIMIT: usize = 16;
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
    let instance = &service.spec.instance;
    let active = report.and_then(|report| report.active.get(instance).cloned());
    let unhealthy = failing(report, instance, &key);
    let backends = plan.map(|plan| {
        let members = plan.pools.iter().filter_map(|pool| match content {
            Some(content) => content.pools.get(pool).map(Vec::as_slice),
            None => inputs.current.pool(pair_name, pool),
        });
        count(plan, members, unhealthy)
    });
    let waiting = inputs.plans.content.waiting.get(&key);

    if let Some(valid) = valid {
        conditions.set(condition::RESOLVED_REFS, resolved(valid, inputs.verdicts));
    }
    let held_before = held(old_conditions, condition::PROGRAMMED, generation)
        && !begins_to_serve(old_conditions, backends.as_ref());
    conditions.set(
        condition::PROGRAMMED,
        match report {
            Some(report) if valid.is_some() => {
                carried(&key, pair_name, inputs, report, held_before)
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
    if let (Some(backends), Some(plan)) = (&backends, plan) {
        let lost = report.is_some_and(|report| {
            report
                .without_quorum
                .contains(&(instance.as_str(), key.as_str()))
        });
        let members = waiting.iter().flat_map(|waiting| &waiting.members);
        let health =
            quorum(plan, backends, lost).unwrap_or_else(|| health(backends, unhealthy, members));
        conditions.set(condition::BACKENDS_HEALTHY, health);
    }
    if let Some(report) = report.filter(|_| service.spec.admin_state == AdminState::Drain) {
        let was_drained = held(old_conditions, condition::DRAINED, generation);
        conditions.set(
            condition::DRAINED,
            drained(&key, pair_name, report, was_drained),
        );
    }
    summarize(&mut conditions, backends.as_ref());
    VirtualServiceStatus {
        addresses: plan.map(|plan| plan.addresses.clone()).unwrap_or_default(),
        firewall_mark: plan
            .and_then(|plan| plan.firewall_mark.as_ref())
            .map(|mark| mark.mark),
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

/// Members whose checks fail, as the Active Router sees them.
fn failing<'a>(
    report: Option<&'a PairReport<'a>>,
    instance: &str,
    key: &str,
) -> &'a [&'a UnhealthyBackend] {
    report
        .and_then(|report| {
            let place = (instance.to_owned(), key.to_owned());
            report.unhealthy.get(&place)
        })
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A status with what the specification alone tells.
fn frame(service: &VirtualService) -> VirtualServiceStatus {
    let frontend = &service.spec.frontend;
    let ports: Vec<_> = frontend.ports.iter().map(port_text).collect();
    let vip = match &frontend.firewall_mark {
        // As ipvsadm has it.
        Some(FirewallMark {
            mark: Some(mark), ..
        }) if frontend.addresses.is_empty() => format!("FWM {mark}"),
        _ => frontend.addresses.join(","),
    };
    VirtualServiceStatus {
        observed_generation: service.metadata.generation.unwrap_or_default(),
        addresses: Vec::new(),
        vip: Some(vip),
        ports: Some(ports.join(",")),
        // One that was allocated stays, whatever becomes of the service for a while.
        firewall_mark: service
            .status
            .as_ref()
            .filter(|_| frontend.firewall_mark.is_some())
            .and_then(|status| status.firewall_mark),
        active: None,
        backends: None,
        up: None,
        unhealthy: Vec::new(),
        conditions: Vec::new(),
    }
}

/// `80`, `8000-8100` or `53/UDP`.
fn port_text(port: &Port) -> String {
    let range = match port.end_port {
        Some(last) => format!("{}-{last}", port.port),
        None => port.port.to_string(),
    };
    match port.protocol {
        Protocol::TCP => range,
        protocol => format!("{range}/{protocol:?}"),
    }
}

/// Whether the plan has members that get connections where it had none: until the directors have
/// taken it over there is nobody who answers, whatever they carried before.
fn begins_to_serve(old: &[Condition], backends: Option<&BackendCount>) -> bool {
    let had_none = old.iter().any(|condition| {
        condition.type_ == condition::BACKENDS_HEALTHY
            && [ALL_MEMBERS_DRAINING, reason::NO_BACKENDS].contains(&condition.reason.as_str())
    });
    had_none && backends.is_some_and(|backends| backends.up > 0)
}

/// Whether the directors carry a service that is accepted.
fn carried(
    key: &str,
    pair: &str,
    inputs: Inputs<'_>,
    report: &PairReport<'_>,
    held: bool,
) -> Finding {
    match inputs.verdicts.pairs.accepted(pair) {
        None => {
            return Finding::no(
                reason::NOT_ACCEPTED,
                format!(
                    "DirectorPair {pair} is not accepted, so its directors keep what they have; \
                     kubectl describe directorpair {pair} says why"
                ),
            );
        }
        Some(validated) if validated.disabled => {
            return Finding::no(
                reason::DISABLED,
                format!("adminState of DirectorPair {pair} is Disabled; set it to Enabled"),
            );
        }
        Some(_) => {}
    }
    if let Some(problems) = report.problems.get(key)
        && let Some((_, first)) = problems.first()
    {
        let messages: Vec<_> = problems
            .iter()
            .map(|(node, problem)| format!("{node}: {}", problem.message))
            .collect();
        return Finding::no(first.reason.clone(), messages.join("; "));
    }
    let waiting = inputs.plans.content.waiting.get(key);
    match waiting.filter(|waiting| !waiting.others.is_empty()) {
        Some(waiting) => Finding::no(reason::PENDING, held_back(waiting)),
        None => programmed(&report.progress, held),
    }
}

/// Why the directors do not get what the object asks for yet.
fn held_back(waiting: &Waiting) -> String {
    let names: Vec<_> = waiting.others.iter().map(String::as_str).collect();
    let names = some_of(&names);
    if waiting.forwarding {
        return format!(
            "the directors keep the former forwarding until {names} can take packets in the new way"
        );
    }
    let vips: Vec<_> = waiting.vips.iter().map(ToString::to_string).collect();
    let vips: Vec<_> = vips.iter().map(String::as_str).collect();
    format!(
        "the directors do not answer for {} until {names} has it on the loopback",
        some_of(&vips)
    )
}

/// Whether the connections of a service that drains have ended.
fn drained(key: &str, pair: &str, report: &PairReport<'_>, held: bool) -> Finding {
    let remaining = report.remaining(pair, held, |server| server.virtual_service == key);
    remaining.unwrap_or_else(|| {
        Finding::yes(
            reason::DRAINING,
            "adminState is Drain: no director has connections of it",
        )
    })
}

/// It is ready while it serves with the quorum that it asks for: some members may be down.
fn summarize(conditions: &mut Conditions, backends: Option<&BackendCount>) {
    let mut needed = vec![
        condition::ACCEPTED,
        condition::PROGRAMMED,
        condition::ADVERTISED,
    ];
    let quorum_lost = conditions
        .reason_of(condition::BACKENDS_HEALTHY)
        .is_some_and(|reason| reason == reason::QUORUM_LOST);
    if quorum_lost || backends.is_none_or(|backends| backends.up == 0) {
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
    let frontend = &service.spec.frontend;
    if frontend.addresses.is_empty() || frontend.bind_addresses == BindAddresses::External {
        return Finding::yes(
            reason::EXTERNAL,
            "left to whoever brings the packets to the directors, as spec.frontend says",
        );
    }
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
