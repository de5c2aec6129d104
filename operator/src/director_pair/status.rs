//! No client: the status of a pair.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    DirectorPair, DirectorPairStatus, DirectorStatus, FencingRun, InstanceStatus, RouterState,
    TransportMode,
    condition::{self, reason},
};

use super::{
    observe::{PairReport, Progress},
    validate::ValidatedPair,
};
use crate::{
    conditions::{Conditions, Finding, accepted, held, some_of},
    rejection::Rejection,
    world::World,
};

/// How many instances with a problem a message describes.
const TROUBLES_LIMIT: usize = 4;

/// The status that a pair should have, beside the `old` one.
#[must_use]
pub fn status(
    world: &World,
    pair: &DirectorPair,
    old: Option<&DirectorPairStatus>,
    verdict: Option<&Result<ValidatedPair, Rejection>>,
    report: &PairReport<'_>,
    now: Timestamp,
) -> DirectorPairStatus {
    let generation = pair.metadata.generation.unwrap_or_default();
    let old_conditions = old
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let valid = verdict.and_then(|verdict| verdict.as_ref().ok());
    let was_programmed = held(old_conditions, condition::PROGRAMMED, generation);

    let mut conditions = Conditions::new(generation, now);
    conditions.set(condition::ACCEPTED, acceptance(verdict));
    if valid.is_some_and(|pair| pair.disabled) {
        let message = "adminState is Disabled: the directors are released";
        conditions.set(
            condition::PROGRAMMED,
            Finding::yes(reason::DISABLED, message),
        );
        conditions.summarize(
            &[condition::ACCEPTED],
            Finding::yes(reason::DISABLED, message),
        );
    } else {
        let mut programmed = programmed(&report.progress, was_programmed);
        // What single virtual services lack stands on them; the others are served.
        if let Some(limits) = limits(report) {
            programmed.message = format!("{}; {limits}", programmed.message);
        }
        conditions.set(condition::PROGRAMMED, programmed);
        conditions.set(condition::PEERS_REACHABLE, peers_reachable(report));
        conditions.set(condition::ACTIVE_ELECTED, active_elected(pair, report));
        if let Some(finding) = connection_synced(world, pair, report) {
            conditions.set(condition::CONNECTION_SYNCED, finding);
        }
        let split = split_brain(pair, report);
        let healthy = vrrp_healthy(report);
        let fencing = pair.spec.fencing.is_some().then(|| fencing_healthy(report));
        let ready = ready(
            &split,
            [Some(&healthy), fencing.as_ref()].into_iter().flatten(),
        );
        conditions.set(condition::SPLIT_BRAIN, split);
        conditions.set(condition::VRRP_HEALTHY, healthy);
        if let Some(fencing) = fencing {
            conditions.set(condition::FENCING_HEALTHY, fencing);
        }
        conditions.summarize(
            &[
                condition::ACCEPTED,
                condition::PROGRAMMED,
                condition::ACTIVE_ELECTED,
            ],
            ready,
        );
    }
    DirectorPairStatus {
        observed_generation: generation,
        members: Some(joined(
            pair.spec
                .directors
                .iter()
                .map(|director| &director.node_name),
        )),
        active: (!report.active.is_empty())
            .then(|| joined(report.active.values().collect::<BTreeSet<_>>().into_iter())),
        instances: instances(pair, valid, report),
        directors: directors(world, pair),
        conditions: conditions.finish(old_conditions),
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(",")
}

fn acceptance(verdict: Option<&Result<ValidatedPair, Rejection>>) -> Finding {
    match verdict {
        Some(Err(rejection)) => Finding::no(rejection.reason, rejection.message.clone()),
        Some(Ok(pair)) if !pair.missing_nodes.is_empty() => Finding::no(
            reason::NODE_NOT_FOUND,
            format!(
                "spec.directors: the cluster has no Node {}; kubectl get nodes lists those that it \
                 has; the other directors work meanwhile",
                pair.missing_nodes.join(", ")
            ),
        ),
        _ => accepted(),
    }
}

/// Whether the directors carry what they should. `held` says that they did for this generation of
/// the object: then a director that is merely busy with the next revision changes nothing.
#[must_use]
pub fn programmed(progress: &Progress, held: bool) -> Finding {
    if let Some(failure) = progress.failing.first() {
        return Finding::no(
            failure.reason.clone(),
            format!("the agent on {} says: {}", failure.node, failure.message),
        );
    }
    if held {
        return Finding::yes(reason::AS_EXPECTED, "the directors carry the plan");
    }
    if !progress.waiting.is_empty() {
        return Finding::no(
            reason::PENDING,
            format!(
                "waiting for the agent on {} to carry out the plan; kubectl get nodeplans shows how \
                 far it is",
                progress.waiting.join(", ")
            ),
        );
    }
    if progress.applied.is_empty() {
        return Finding::no(
            reason::AGENT_NOT_REPORTING,
            format!(
                "no director can carry out the plan: {} not ready; kubectl get nodes says why",
                progress.absent.join(", ")
            ),
        );
    }
    Finding::yes(reason::AS_EXPECTED, "the directors carry the plan")
}

/// What the directors cannot carry out.
fn limits(report: &PairReport<'_>) -> Option<String> {
    let mut limits = Vec::new();
    if !report.problems.is_empty() {
        let names: Vec<_> = report.problems.keys().copied().collect();
        let count = names.len();
        let (noun, verb) = if count == 1 {
            ("virtual service", "has")
        } else {
            ("virtual services", "have")
        };
        limits.push(format!(
            "{count} {noun} {verb} a problem: {}",
            some_of(&names)
        ));
    }
    for (node, modules) in &report.missing_modules {
        let modules: Vec<_> = modules.iter().map(String::as_str).collect();
        limits.push(format!("{node} lacks {}", some_of(&modules)));
    }
    (!limits.is_empty()).then(|| limits.join("; "))
}

fn peers_reachable(report: &PairReport<'_>) -> Finding {
    if !report.progress.absent.is_empty() {
        return Finding::no(
            "NodeNotReady",
            format!(
                "{}: the node is not ready or does not exist, so it cannot take over; kubectl \
                 describe node says why",
                report.progress.absent.join(", ")
            ),
        );
    }
    if !report.silent.is_empty() {
        return Finding::no(
            reason::AGENT_NOT_REPORTING,
            format!(
                "the agent on {} has not reported; look at its pod with kubectl get pods -l \
                 app.kubernetes.io/component=director-agent -A -o wide",
                report.silent.join(", ")
            ),
        );
    }
    Finding::yes(reason::AS_EXPECTED, "every director's agent reports")
}

fn active_elected(pair: &DirectorPair, report: &PairReport<'_>) -> Finding {
    let missing: Vec<_> = pair
        .spec
        .instances
        .iter()
        .map(|instance| instance.name.as_str())
        .filter(|name| !report.active.contains_key(*name) && !report.idle.contains(*name))
        .collect();
    if missing.is_empty() {
        return Finding::yes(
            reason::AS_EXPECTED,
            "every instance with addresses has an Active Router",
        );
    }
    Finding::no(
        reason::NO_ACTIVE_ROUTER,
        format!(
            "no director is Active in instance {}; condition VRRPHealthy says which cannot run, and \
             kubectl get nodeplans -o yaml shows the states",
            missing.join(", ")
        ),
    )
}

/// Present when the agents report on connection synchronisation.
fn connection_synced(
    world: &World,
    pair: &DirectorPair,
    report: &PairReport<'_>,
) -> Option<Finding> {
    let mut finding = None;
    for director in &pair.spec.directors {
        let name = &director.node_name;
        let is_away = report.progress.absent.contains(name) || report.silent.contains(name);
        let plan = world.node_plans.get(name)?;
        let reported = plan
            .status
            .iter()
            .flat_map(|status| &status.conditions)
            .find(|reported| reported.type_ == condition::CONNECTION_SYNCED)?;
        if is_away {
            return Some(Finding::no(
                reason::AGENT_NOT_REPORTING,
                format!(
                    "{name} is not there to be told of connections; condition PeersReachable says why"
                ),
            ));
        }
        if reported.status != "True" {
            return Some(Finding::no(
                reported.reason.clone(),
                format!("the agent on {name} says: {}", reported.message),
            ));
        }
        finding = Some(Finding::yes(
            reason::AS_EXPECTED,
            "connections are synchronised",
        ));
    }
    finding
}

fn split_brain(pair: &DirectorPair, report: &PairReport<'_>) -> Finding {
    let group = match pair.spec.vrrp.transport.mode {
        TransportMode::Multicast => " and multicast group 224.0.0.18 (ff02::12) pass",
        TransportMode::Unicast => " passes",
    };
    let advice = format!(
        "check that IP protocol 112{group} between them in both directions, and that both have the same \
         authentication"
    );
    if let Some(contested) = report.contested.first() {
        let other = match contested.other {
            Some(node) => format!("{node} ({})", contested.split.peer),
            None => format!(
                "{}, which is no director of this pair,",
                contested.split.peer
            ),
        };
        return Finding::yes(
            reason::MULTIPLE_ACTIVE_ROUTERS,
            format!(
                "{} is Active in instance {} and has heard that {other} is too since {}; {advice}",
                contested.node, contested.instance, contested.split.since.0
            ),
        );
    }
    let Some((instance, nodes)) = report.split.first() else {
        return Finding::no(
            reason::AS_EXPECTED,
            "at most one director is Active in each instance",
        );
    };
    Finding::yes(
        reason::MULTIPLE_ACTIVE_ROUTERS,
        format!(
            "{} are all Active in instance {instance}: they do not hear each other's advertisements; \
             {advice}",
            nodes.join(" and ")
        ),
    )
}

/// Whether every instance runs on every director, and nothing is wrong with it.
fn vrrp_healthy(report: &PairReport<'_>) -> Finding {
    if report.troubled.is_empty() {
        return Finding::yes(
            reason::AS_EXPECTED,
            "every instance runs as it should on every director",
        );
    }
    let troubles: Vec<String> = report
        .troubled
        .iter()
        .map(|(node, instance)| {
            let what = match (instance.state, instance.problem.as_deref()) {
                (RouterState::Fault, None) => "cannot run".to_owned(),
                (RouterState::Fault, Some(problem)) => format!("cannot run: {problem}"),
                (_, problem) => problem.unwrap_or_default().to_owned(),
            };
            format!("{node}, instance {}: {what}", instance.name)
        })
        .collect();
    let mut message = troubles
        .iter()
        .take(TROUBLES_LIMIT)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    if troubles.len() > TROUBLES_LIMIT {
        message.push_str("; kubectl get nodeplans -o yaml shows more");
    }
    Finding::no(reason::INSTANCE_PROBLEM, message)
}

/// Whether all that was to be fenced was, and the next could be.
fn fencing_healthy(report: &PairReport<'_>) -> Finding {
    let lasts = report.fencing.iter().filter_map(|(node, fencing)| {
        let last = fencing.last.as_ref().filter(|last| last.ended)?;
        Some((node, last))
    });
    // A failure is told before any success, and of several the latest.
    let last = lasts.max_by_key(|(_, last)| (last.problem.is_some(), last.since.clone()));
    let silent = |last: &FencingRun| {
        format!(
            "{} ({}) fell silent in instance {} at {}",
            last.peer, last.peer_address, last.instance, last.since.0
        )
    };
    if let Some((node, last)) = last
        && let Some(problem) = &last.problem
    {
        return Finding::no(
            reason::FENCING_FAILED,
            format!(
                "{} and {node} could not fence it: {problem}; see that it is off or holds no VIP",
                silent(last)
            ),
        );
    }
    let mut problems = report.fencing.iter();
    if let Some((node, problem)) =
        problems.find_map(|(node, fencing)| Some((node, fencing.problem.as_ref()?)))
    {
        return Finding::no(reason::FENCING_PROBLEM, format!("{node}: {problem}"));
    }
    match last {
        Some((node, last)) => Finding::yes(
            reason::PEER_FENCED,
            format!("{} and was fenced by {node}", silent(last)),
        ),
        None => Finding::yes(reason::AS_EXPECTED, "no director has had to be fenced"),
    }
}

/// `Ready`, when all that it needs is there: two Active Routers are none, and what is wrong with one of
/// several directors does not hinder the others, but is to be seen.
fn ready<'a>(split: &Finding, mut healthy: impl Iterator<Item = &'a Finding>) -> Finding {
    if split.is_true() {
        Finding::no(split.reason.clone(), split.message.clone())
    } else if let Some(wrong) = healthy.find(|finding| !finding.is_true()) {
        Finding::yes(wrong.reason.clone(), wrong.message.clone())
    } else {
        Finding::yes(
            reason::AS_EXPECTED,
            "the directors carry the plan and have elected",
        )
    }
}

fn instances(
    pair: &DirectorPair,
    valid: Option<&ValidatedPair>,
    report: &PairReport<'_>,
) -> Vec<InstanceStatus> {
    let with_active = |name: &str, virtual_router_id: i32| InstanceStatus {
        name: name.to_owned(),
        virtual_router_id,
        active: report.active.get(name).cloned(),
    };
    match valid {
        Some(valid) => valid
            .instances
            .iter()
            .map(|instance| with_active(&instance.name, instance.vrid))
            .collect(),
        None => pair
            .status
            .iter()
            .flat_map(|status| &status.instances)
            .map(|old| with_active(&old.name, old.virtual_router_id))
            .collect(),
    }
}

fn directors(world: &World, pair: &DirectorPair) -> Vec<DirectorStatus> {
    let name = pair.name_any();
    pair.spec
        .directors
        .iter()
        .map(|director| {
            let status = world
                .node_plans
                .get(&director.node_name)
                .filter(|plan| {
                    plan.spec
                        .director
                        .as_ref()
                        .is_some_and(|role| role.pair == name)
                })
                .and_then(|plan| plan.status.as_ref());
            DirectorStatus {
                node_name: director.node_name.clone(),
                applied_revision: status.and_then(|status| status.applied_revision.clone()),
                agent_version: status.and_then(|status| status.agent_version.clone()),
            }
        })
        .collect()
}
