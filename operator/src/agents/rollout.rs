//! No client: which director's agent is restarted next when the pod template has changed.
//!
//! One at a time in each pair, Backup Routers first, and an Active Router only when another
//! director is ready to take over: the restart hands the VIPs over.

use std::{cmp::Reverse, collections::BTreeMap};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::template::{Agent, COMPONENT_LABEL, TEMPLATE_ANNOTATION};
use crate::{
    director_pair::observe::{PairReport, Progress},
    world::World,
};

/// A director's agent.
struct Candidate<'a> {
    pod: &'a Pod,
    node: &'a str,
    outdated: bool,
    ready: bool,
    leaving: bool,
    active_instances: usize,
}

/// Names of the pods to delete now; their `DaemonSet` makes new ones.
#[must_use]
pub fn restarts(
    world: &World,
    reports: &BTreeMap<String, PairReport<'_>>,
    template: &str,
) -> Vec<String> {
    reports
        .iter()
        .filter_map(|(pair, report)| {
            let candidates = candidates(world, pair, report, template);
            next(&candidates, report).map(|candidate| candidate.pod.name_any())
        })
        .collect()
}

fn candidates<'a>(
    world: &'a World,
    pair: &str,
    report: &PairReport<'_>,
    template: &str,
) -> Vec<Candidate<'a>> {
    world
        .agent_pods
        .iter()
        .filter(|pod| {
            pod.labels().get(COMPONENT_LABEL).map(String::as_str)
                == Some(Agent::Director.component())
        })
        .filter_map(|pod| {
            let node = pod.spec.as_ref()?.node_name.as_deref()?;
            let role = world.node_plans.get(node)?.spec.director.as_ref()?;
            (role.pair == pair).then(|| Candidate {
                pod,
                node,
                outdated: pod
                    .annotations()
                    .get(TEMPLATE_ANNOTATION)
                    .map(String::as_str)
                    != Some(template),
                ready: is_ready(pod),
                leaving: pod.metadata.deletion_timestamp.is_some(),
                active_instances: report
                    .active
                    .values()
                    .filter(|active| *active == node)
                    .count(),
            })
        })
        .collect()
}

fn next<'a>(candidates: &'a [Candidate<'a>], report: &PairReport<'_>) -> Option<&'a Candidate<'a>> {
    if candidates.iter().any(|candidate| candidate.leaving) {
        return None;
    }
    let outdated = || candidates.iter().filter(|candidate| candidate.outdated);
    // One that does not run serves nobody; a template that was broken is replaced first.
    if let Some(broken) = outdated().find(|candidate| !candidate.ready) {
        return Some(broken);
    }
    let candidate =
        outdated().min_by_key(|candidate| (candidate.active_instances, Reverse(candidate.node)))?;
    // Asked of every director, not of every pod: one whose pod is gone has none that could be asked.
    let able = |node: &String| {
        report.progress.applied.contains(node)
            && candidates
                .iter()
                .any(|other| other.node == node && other.ready)
    };
    directors(&report.progress)
        .filter(|node| *node != candidate.node)
        .all(able)
        .then_some(candidate)
}

/// Nodes of all directors of the pair that should have their role.
fn directors(progress: &Progress) -> impl Iterator<Item = &String> {
    let failing = progress.failing.iter().map(|failure| &failure.node);
    progress
        .applied
        .iter()
        .chain(&progress.waiting)
        .chain(failing)
        .chain(&progress.absent)
}

fn is_ready(pod: &Pod) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
