//! No client: what the directors of the pairs report, put together.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    AdminState, BindAddresses, DirectorPair, DrainingServer, FencingReport, InstanceReport,
    NodePlan, NodePlanStatus, RouterState, ServiceProblem, SplitBrain, UnhealthyBackend,
    condition::{self, reason},
};

use crate::{conditions::Finding, node::readiness::applied, pipeline::Plans, world::World};

/// How long two directors must both report to be Active before it counts as a split brain: longer
/// than the cluster takes to notice that the node of one is gone (the node monitor's grace period
/// of 50 s), because a dead director's last report stays.
const SPLIT_BRAIN_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Since when each director has been reporting that it is Active, by node and instance. It is
/// memory, not truth: after a restart all reports look equally old, and the recorded one counts.
#[derive(Clone, Debug, Default)]
pub struct ActiveSince(BTreeMap<(String, String), Timestamp>);

impl ActiveSince {
    /// Takes in the reports of a snapshot.
    pub fn update(&mut self, world: &World, now: Timestamp) {
        let active = |node: &str, instance: &str| {
            world
                .node_plans
                .get(node)
                .is_some_and(|plan| reports_active(plan, instance))
        };
        self.0.retain(|(node, instance), _| active(node, instance));
        for (node, plan) in &world.node_plans {
            let reports = plan.status.iter().flat_map(|status| &status.instances);
            for report in reports.filter(|report| report.state == RouterState::Active) {
                self.0
                    .entry((node.clone(), report.name.clone()))
                    .or_insert(now);
            }
        }
    }
}

/// Why a director cannot carry out its plan, as its agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of its node.
    pub node: String,
    /// One word in `CamelCase`.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

/// How far the directors of a pair are with their plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Directors that carry the plan.
    pub applied: Vec<String>,
    /// Directors that do not yet.
    pub waiting: Vec<String>,
    /// Directors that cannot.
    pub failing: Vec<Failure>,
    /// Directors whose node is not ready or does not exist; nobody waits for them.
    pub absent: Vec<String>,
}

/// What the directors of a pair report.
#[derive(Clone, Debug, Default)]
pub struct PairReport<'a> {
    /// The Active Router of each instance, if there is one.
    pub active: BTreeMap<String, String>,
    /// Instances with several Active Routers for too long, and which they are.
    pub split: Vec<(String, Vec<String>)>,
    /// Directors that hear another Active Router while they are Active.
    pub contested: Vec<Contested<'a>>,
    /// Instances that do not run as they should on a director.
    pub troubled: Vec<(&'a str, &'a InstanceReport)>,
    /// How the directors' fencing is, by node.
    pub fencing: Vec<(&'a str, &'a FencingReport)>,
    /// How far they are.
    pub progress: Progress,
    /// Directors whose agent has never reported.
    pub silent: Vec<String>,
    /// Instances without any address: they run no router, so nobody is Active.
    pub idle: BTreeSet<String>,
    /// Failing members by instance and virtual service, as the Active Router sees them.
    pub unhealthy: BTreeMap<(String, String), Vec<&'a UnhealthyBackend>>,
    /// Virtual services without a quorum, by instance and name, as the Active Router sees them.
    pub without_quorum: BTreeSet<(&'a str, &'a str)>,
    /// What directors cannot carry out, by virtual service, each with the node that says so.
    pub problems: BTreeMap<&'a str, Vec<(&'a str, &'a ServiceProblem)>>,
    /// Modules that a director's kernel lacks, by node.
    pub missing_modules: BTreeMap<&'a str, &'a [String]>,
    /// Members that are leaving, as the directors see them.
    pub leaving: Leaving<'a>,
}

/// A director that hears another Active Router while it is Active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested<'a> {
    /// Name of its node.
    pub node: &'a str,
    /// Name of the instance.
    pub instance: &'a str,
    /// What it hears.
    pub split: &'a SplitBrain,
    /// Node of the other one, if it is a director of the pair.
    pub other: Option<&'a str>,
}

/// Members that have no new connections and still some old ones.
#[derive(Clone, Debug, Default)]
pub struct Leaving<'a> {
    /// Those that directors list, each with the node that says so.
    pub listed: Vec<(&'a str, &'a DrainingServer)>,
    /// A node whose list is cut: any member that is leaving may be beyond it.
    pub unlisted: Option<&'a str>,
}

impl<'a> PairReport<'a> {
    /// Directors that do not say yet that they carry the plan, for whatever reason.
    pub fn pending(&self) -> impl Iterator<Item = &str> {
        let failing = self.progress.failing.iter().map(|failure| &failure.node);
        self.progress
            .waiting
            .iter()
            .chain(failing)
            .map(String::as_str)
    }

    /// Why a member that was asked to leave may have connections still; `concerns` says which it is,
    /// and `held` that it was found to have none before: then a director that is merely busy with
    /// its next plan changes nothing.
    pub fn remaining(
        &self,
        pair: &str,
        held: bool,
        concerns: impl Fn(&DrainingServer) -> bool,
    ) -> Option<Finding> {
        let listed = self.leaving.listed.iter();
        if let Some((node, server)) = listed.into_iter().find(|(_, server)| concerns(server)) {
            return Some(Finding::no(
                reason::CONNECTIONS_REMAIN,
                format!(
                    "connections through {node} remain: {} port {} of VirtualService {}",
                    server.address, server.port, server.virtual_service
                ),
            ));
        }
        if let Some(node) = self.leaving.unlisted {
            return Some(Finding::no(
                reason::CONNECTIONS_REMAIN,
                format!(
                    "connections through {node} may remain: more members leave than its report lists"
                ),
            ));
        }
        self.pending().next().filter(|_| !held)?;
        Some(Finding::no(
            reason::PENDING,
            format!(
                "waiting for the directors of DirectorPair {pair}; kubectl describe directorpair \
                 {pair} shows how far they are"
            ),
        ))
    }

    /// Takes in what a director says of single virtual services and of its instances.
    fn note(&mut self, node: &'a str, status: &'a NodePlanStatus) {
        for instance in &status.instances {
            if instance.state == RouterState::Fault || instance.problem.is_some() {
                self.troubled.push((node, instance));
            }
            if let Some(split) = &instance.split_brain {
                self.contested.push(Contested {
                    node,
                    instance: &instance.name,
                    split,
                    other: None,
                });
            }
        }
        if let Some(fencing) = &status.fencing {
            self.fencing.push((node, fencing));
        }
        for problem in &status.service_problems {
            self.problems
                .entry(&problem.virtual_service)
                .or_default()
                .push((node, problem));
        }
        if let Some(kernel) = &status.kernel
            && !kernel.missing_modules.is_empty()
        {
            self.missing_modules.insert(node, &kernel.missing_modules);
        }
        self.leaving
            .listed
            .extend(status.draining.iter().map(|server| (node, server)));
        let listed = i32::try_from(status.draining.len()).unwrap_or(i32::MAX);
        if status.draining_count > listed {
            self.leaving.unlisted = Some(node);
        }
    }
}

/// Puts the reports of all pairs together, by name of the pair.
#[must_use]
pub fn observe<'a>(
    world: &'a World,
    plans: &Plans,
    since: &ActiveSince,
    now: Timestamp,
) -> BTreeMap<String, PairReport<'a>> {
    world
        .pairs
        .iter()
        .map(|pair| {
            (
                pair.name_any(),
                observe_pair(world, plans, since, now, pair),
            )
        })
        .collect()
}

fn observe_pair<'a>(
    world: &'a World,
    plans: &Plans,
    since: &ActiveSince,
    now: Timestamp,
    pair: &'a DirectorPair,
) -> PairReport<'a> {
    let mut report = PairReport {
        progress: progress(world, plans, pair),
        ..PairReport::default()
    };
    report.silent = in_service(pair)
        .filter(|node| {
            world
                .node_plans
                .get(*node)
                .and_then(|plan| plan.status.as_ref())
                .is_none_or(|status| status.observed_generation < 0)
        })
        .cloned()
        .collect();
    for node in in_service(pair).filter(|node| world.node_ready(node)) {
        if let Some((node, plan)) = world.node_plans.get_key_value(node)
            && let Some(status) = &plan.status
            && is_director(plan, pair)
        {
            report.note(node, status);
        }
    }
    for contested in &mut report.contested {
        contested.other = in_service(pair)
            .filter_map(|node| world.node_plans.get_key_value(node))
            .find(|(_, plan)| sends_from(plan, &contested.split.peer))
            .map(|(node, _)| node.as_str());
    }
    let content = plans.content.pairs.get(&pair.name_any());
    for instance in &pair.spec.instances {
        let name = &instance.name;
        let in_use = content.is_none_or(|content| {
            content.services.values().any(|service| {
                &service.instance == name
                    && service.bind_addresses == BindAddresses::Managed
                    && !service.addresses.is_empty()
            })
        });
        if instance.addresses.is_empty() && !in_use {
            report.idle.insert(name.clone());
        }
        let recorded = pair
            .status
            .iter()
            .flat_map(|status| &status.instances)
            .find(|status| &status.name == name)
            .and_then(|status| status.active.as_ref());
        let mut claims: Vec<(Timestamp, bool, &String)> = pair
            .spec
            .directors
            .iter()
            .map(|director| &director.node_name)
            .filter(|node| world.node_ready(node))
            .filter(|node| {
                world
                    .node_plans
                    .get(*node)
                    .is_some_and(|plan| is_director(plan, pair) && reports_active(plan, name))
            })
            .map(|node| {
                let began = since
                    .0
                    .get(&(node.clone(), name.clone()))
                    .copied()
                    .unwrap_or(now);
                (began, recorded == Some(node), node)
            })
            .collect();
        claims.sort();
        // The latest to become Active is: what an earlier one reports is from before it died.
        let Some((began, _, node)) = claims.last() else {
            continue;
        };
        if claims.len() > 1 && now.duration_since(*began) > SPLIT_BRAIN_AFTER {
            let nodes = claims.iter().map(|(_, _, node)| (*node).clone()).collect();
            report.split.push((name.clone(), nodes));
        }
        report.active.insert(name.clone(), (*node).clone());
        let status = world
            .node_plans
            .get(*node)
            .and_then(|plan| plan.status.as_ref());
        for server in status.iter().flat_map(|status| &status.unhealthy) {
            report
                .unhealthy
                .entry((name.clone(), server.virtual_service.clone()))
                .or_default()
                .push(&server.backend);
        }
        let lost = status.iter().flat_map(|status| &status.without_quorum);
        report
            .without_quorum
            .extend(lost.map(|service| (name.as_str(), service.as_str())));
    }
    report
}

/// Whether the plan of a node makes it a director of the pair.
fn is_director(plan: &NodePlan, pair: &DirectorPair) -> bool {
    let role = plan.spec.director.as_ref();
    role.is_some_and(|role| Some(&role.pair) == pair.metadata.name.as_ref())
}

/// Whether advertisements of the node come from this address.
fn sends_from(plan: &NodePlan, address: &String) -> bool {
    plan.status
        .iter()
        .flat_map(|status| &status.instances)
        .any(|instance| instance.source_addresses.contains(address))
}

/// Nodes of the directors that should have their role.
fn in_service(pair: &DirectorPair) -> impl Iterator<Item = &String> {
    pair.spec
        .directors
        .iter()
        .filter(|director| director.admin_state != AdminState::Disabled)
        .map(|director| &director.node_name)
}

fn progress(world: &World, plans: &Plans, pair: &DirectorPair) -> Progress {
    let mut progress = Progress::default();
    for node in in_service(pair) {
        let desired = plans.nodes.plans.get(node);
        let present = world.node_plans.get(node);
        let carries = present.zip(desired).is_some_and(|(present, desired)| {
            present.spec.revision == desired.revision && applied(present)
        });
        if !world.node_ready(node) {
            progress.absent.push(node.clone());
        } else if carries {
            progress.applied.push(node.clone());
        } else if let Some(failure) = present.and_then(|plan| failure(node, plan)) {
            progress.failing.push(failure);
        } else {
            progress.waiting.push(node.clone());
        }
    }
    progress
}

/// What keeps an agent from carrying out the present generation of its plan, beside time.
fn failure(node: &str, plan: &NodePlan) -> Option<Failure> {
    let status = plan.status.as_ref()?;
    if Some(status.observed_generation) != plan.metadata.generation {
        return None;
    }
    let programmed = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == condition::PROGRAMMED)?;
    let fails = programmed.status == "False" && programmed.reason != reason::PENDING;
    fails.then(|| Failure {
        node: node.to_owned(),
        reason: programmed.reason.clone(),
        message: programmed.message.clone(),
    })
}

fn reports_active(plan: &NodePlan, instance: &str) -> bool {
    plan.status
        .iter()
        .flat_map(|status| &status.instances)
        .any(|report| report.name == instance && report.state == RouterState::Active)
}
