//! From the outcome of a pass to a [`Report`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_crds::v1alpha1::condition::{self, reason};
use lvs_crds::v1alpha1::{
    DirectorRole, FencingReport, InstancePlan, InstanceReport, RouterState, SplitBrain,
    UnhealthyBackend, UnhealthyServer,
};
use lvs_health::Health;
use lvs_ipvs::SyncDaemon;

use super::refusal::{NodeKernel, Refused};
use super::{Report, ReportedCondition, connection_sync, services};
use crate::bundle::PlanBundle;
use crate::plan::Problem;
use crate::plan::members::MemberKey;
use crate::plan::services::Services;
use crate::plan::sync_hold::SyncHold;
use crate::programming::Programming;
use crate::vrrp::{VrrpPlan, VrrpReport};

/// Longest message of a condition in bytes; the API takes 32768, people much less.
const MESSAGE_BYTES: usize = 1024;

/// What a pass has found and done.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// The plan.
    pub bundle: &'a PlanBundle,
    /// Whether the kernel equals it.
    pub is_settled: bool,
    /// Why it cannot be carried out as a whole.
    pub problems: &'a [Problem],
    /// What the kernel refused, or could not be read.
    pub errors: &'a [String],
    /// What the VRRP thread is to run.
    pub vrrp_plan: &'a VrrpPlan,
    /// What it runs.
    pub vrrp: &'a VrrpReport,
    /// Where the advertisements of each instance come from.
    pub sources: &'a BTreeMap<String, Vec<IpAddr>>,
    /// How the fencing of peers is; none = there is none.
    pub fencing: Option<&'a FencingReport>,
    /// Health of the members.
    pub health: &'a BTreeMap<MemberKey, Health>,
    /// The virtual services.
    pub services: &'a Services,
    /// How far they are carried out.
    pub programming: &'a Programming,
    /// The sync daemons that the kernel runs.
    pub daemons: &'a [SyncDaemon],
    /// What waits for connections.
    pub sync_hold: &'a SyncHold,
    /// The node's kernel.
    pub kernel: &'a NodeKernel,
    /// Version of its IPVS, if that is known.
    pub ipvs_version: Option<&'a str>,
    /// It has no IPVS although it is needed.
    pub lacks_ipvs: Option<&'a Refused>,
    /// It cannot set the firewall marks that it is to set.
    pub lacks_marks: Option<&'a Refused>,
    /// Other modules that are needed and not there.
    pub missing_modules: &'a BTreeSet<&'static str>,
}

/// Composes the report.
#[must_use]
pub fn compose(outcome: Outcome<'_>) -> Report {
    let plan = &outcome.bundle.plan;
    let service_problems = services::problems(
        outcome.services,
        outcome.programming,
        outcome.lacks_ipvs,
        outcome.lacks_marks,
    );
    let programmed = programmed(outcome, service_problems.len());
    let mut conditions = vec![ReportedCondition {
        type_: condition::PROGRAMMED,
        status: programmed.status,
        reason: programmed.reason,
        message: shortened(programmed.message.clone()),
    }];
    if let Some(role) = &plan.real_server {
        let suppressed = role.addresses.iter().any(|vip| vip.suppress_arp);
        let types = [
            (condition::LOOPBACK_CONFIGURED, true),
            (condition::ARP_SUPPRESSED, suppressed),
        ];
        conditions.extend(types.into_iter().filter(|(_, is_wanted)| *is_wanted).map(
            |(type_, _)| ReportedCondition {
                type_,
                status: programmed.status,
                reason: programmed.reason,
                message: shortened(programmed.message.clone()),
            },
        ));
    }
    conditions.extend(
        plan.director
            .as_ref()
            .and_then(|role| connection_sync::condition(role, outcome.daemons, outcome.sync_hold)),
    );
    let leaving = services::leaving(outcome.services, outcome.programming);
    let down = outcome.health.iter().filter(|(_, health)| !health.up);
    Report {
        observed_generation: outcome.bundle.generation,
        applied_revision: programmed.is_applied.then(|| plan.revision.clone()),
        instances: plan
            .director
            .as_ref()
            .map(|role| instances(role, outcome))
            .unwrap_or_default(),
        fencing: fencing(outcome),
        unhealthy_count: down.clone().count(),
        unhealthy: down
            .take(Report::MAX_NAMED)
            .map(|(key, health)| unhealthy(key, health))
            .collect(),
        service_problems: service_problems
            .into_values()
            .take(Report::MAX_NAMED)
            .collect(),
        without_quorum: services::without_quorum(outcome.services, outcome.programming)
            .into_iter()
            .take(Report::MAX_NAMED)
            .collect(),
        draining_count: leaving.len(),
        draining: leaving
            .keys()
            .take(Report::MAX_NAMED)
            .map(services::draining)
            .collect(),
        ready_services: services::ready(
            plan.director.iter().flat_map(tracking),
            outcome.services,
            outcome.programming,
        ),
        kernel: Some(services::kernel(
            outcome.kernel,
            outcome.ipvs_version,
            outcome.programming,
            [outcome.lacks_ipvs, outcome.lacks_marks],
            outcome.missing_modules,
        )),
        conditions,
    }
}

/// The instances that track their virtual services.
fn tracking(role: &DirectorRole) -> impl Iterator<Item = &str> {
    let is_tracking = |instance: &&InstancePlan| {
        let mut tracks = instance.track.iter();
        tracks.any(|track| track.virtual_services.is_some())
    };
    let instances = role.instances.iter().filter(is_tracking);
    instances.map(|instance| instance.name.as_str())
}

/// The condition `Programmed`, without its type.
struct Programmed {
    status: bool,
    reason: &'static str,
    message: String,
    /// Whether the node has done all that is its part.
    is_applied: bool,
}

impl Programmed {
    fn not(reason: &'static str, message: String) -> Self {
        Self {
            status: false,
            reason,
            message,
            is_applied: false,
        }
    }
}

fn programmed(outcome: Outcome<'_>, services_with_problems: usize) -> Programmed {
    if !outcome.errors.is_empty() {
        return Programmed::not(reason::KERNEL_ERROR, outcome.errors.join("; "));
    }
    let told = |is_advice: bool| {
        let problems = outcome.problems.iter();
        let told: Vec<&Problem> = problems.filter(|it| it.is_advice == is_advice).collect();
        let messages: Vec<&str> = told.iter().map(|it| it.message.as_str()).collect();
        let first = told.first()?;
        Some(Programmed::not(first.reason, messages.join("; ")))
    };
    if let Some(problem) = told(false) {
        return problem;
    }
    if !outcome.bundle.has_its_slices() {
        let message = "the plan's slices have not all arrived".to_owned();
        return Programmed::not(reason::PENDING, message);
    }
    let lacking = outcome
        .vrrp
        .routers
        .iter()
        .find(|router| router.state == RouterState::Active && !router.vips_present);
    if let Some(router) = lacking {
        let message = format!(
            "VRRP instance {} is Active, but its interface did not take all of its VIPs",
            router.instance
        );
        return Programmed::not(reason::KERNEL_ERROR, message);
    }
    let planned: BTreeSet<_> = outcome
        .vrrp_plan
        .routers
        .iter()
        .map(|router| (&router.instance, router.family))
        .collect();
    let leaving = outcome
        .vrrp
        .routers
        .iter()
        .find(|router| !planned.contains(&(&router.instance, router.family)));
    if let Some(router) = leaving {
        let message = format!("VRRP instance {} is handing over", router.instance);
        return Programmed::not(reason::PENDING, message);
    }
    if !outcome.is_settled {
        return Programmed::not(reason::PENDING, "the plan is being carried out".to_owned());
    }
    if let Some(advice) = told(true) {
        return Programmed {
            is_applied: true,
            ..advice
        };
    }
    let message = match services_with_problems {
        0 => "the kernel equals the plan".to_owned(),
        count => format!(
            "the kernel equals the plan, but for what it refuses of {count} virtual services: see serviceProblems"
        ),
    };
    Programmed {
        status: true,
        reason: reason::AS_EXPECTED,
        message,
        is_applied: true,
    }
}

/// The state of each planned instance. One that has no VIP yet runs no router.
fn instances(role: &DirectorRole, outcome: Outcome<'_>) -> Vec<InstanceReport> {
    role.instances
        .iter()
        .map(|instance| {
            let unplanned = outcome
                .problems
                .iter()
                .find(|problem| problem.instance.as_ref() == Some(&instance.name));
            // One that runs goes on while it cannot be planned anew.
            let is_running = outcome
                .vrrp_plan
                .routers
                .iter()
                .any(|router| router.instance == instance.name);
            let state = if unplanned.is_some() && !is_running {
                RouterState::Fault
            } else {
                outcome
                    .vrrp
                    .instance_state(&instance.name)
                    .unwrap_or(RouterState::Initialize)
            };
            InstanceReport {
                name: instance.name.clone(),
                state,
                problem: instance_problem(&instance.name, unplanned, outcome.vrrp).map(shortened),
                split_brain: split_brain(&instance.name, outcome.vrrp),
                source_addresses: outcome
                    .sources
                    .get(&instance.name)
                    .into_iter()
                    .flatten()
                    .map(IpAddr::to_string)
                    .collect(),
            }
        })
        .collect()
}

/// How fencing is, by hook and by watchdog; none while there is nothing to say. Server-side apply makes null, which is
/// refused, of an object that has lost its last field.
fn fencing(outcome: Outcome<'_>) -> Option<FencingReport> {
    let mut report = outcome.fencing.cloned()?;
    let problems: Vec<String> = [report.problem.take(), outcome.vrrp.watchdog_problem.clone()]
        .into_iter()
        .flatten()
        .map(shortened)
        .collect();
    report.problem = (!problems.is_empty()).then(|| problems.join("; "));
    (report != FencingReport::default()).then_some(report)
}

/// The first other Active Router that a router of the instance hears.
fn split_brain(instance: &str, vrrp: &VrrpReport) -> Option<SplitBrain> {
    let routers = vrrp.routers.iter();
    let split = routers
        .filter(|router| router.instance == instance)
        .find_map(|router| router.split_brain)?;
    let since = jiff::Timestamp::try_from(split.since).ok()?;
    Some(SplitBrain {
        peer: split.peer.to_string(),
        // The API has whole seconds.
        since: Time(jiff::Timestamp::from_second(since.as_second()).ok()?),
    })
}

/// Why an instance cannot run, or what is wrong although it runs.
fn instance_problem(
    instance: &str,
    unplanned: Option<&Problem>,
    vrrp: &VrrpReport,
) -> Option<String> {
    let name = format!("VRRP instance {instance}: ");
    let unplanned = unplanned.map(|problem| {
        let message = problem.message.strip_prefix(&name);
        message.unwrap_or(&problem.message).to_owned()
    });
    let routers = vrrp.routers.iter();
    let fault = routers
        .filter(|router| router.instance == instance && router.state == RouterState::Fault)
        .find_map(|router| router.fault.clone());
    let problems: Vec<String> = [unplanned, fault, vrrp.instance_problem(instance)]
        .into_iter()
        .flatten()
        .collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

fn unhealthy(key: &MemberKey, health: &Health) -> UnhealthyServer {
    UnhealthyServer {
        virtual_service: key.service.to_string(),
        backend: UnhealthyBackend {
            address: key.destination.address.to_string(),
            port: i32::from(key.destination.port),
            reason: shortened(health.reason.clone().unwrap_or_default()),
        },
    }
}

pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        let end = (0..=MESSAGE_BYTES - 3)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
