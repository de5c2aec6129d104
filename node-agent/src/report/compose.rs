//! From the outcome of a pass to a [`Report`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::condition::{self, reason};
use lvs_crds::v1alpha1::{
    DirectorRole, InstanceReport, RouterState, UnhealthyBackend, UnhealthyServer,
};
use lvs_health::Health;

use super::{Report, ReportedCondition};
use crate::bundle::PlanBundle;
use crate::plan::Problem;
use crate::plan::members::MemberKey;
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
    /// Health of the members.
    pub health: &'a BTreeMap<MemberKey, Health>,
}

/// Composes the report.
#[must_use]
pub fn report(outcome: Outcome<'_>) -> Report {
    let plan = &outcome.bundle.plan;
    let (is_programmed, why, message) = programmed(outcome);
    let mut conditions = vec![ReportedCondition {
        type_: condition::PROGRAMMED,
        status: is_programmed,
        reason: why,
        message: shortened(message.clone()),
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
                status: is_programmed,
                reason: why,
                message: shortened(message.clone()),
            },
        ));
    }
    let down = outcome.health.iter().filter(|(_, health)| !health.up);
    Report {
        observed_generation: outcome.bundle.generation,
        applied_revision: is_programmed.then(|| plan.revision.clone()),
        instances: plan
            .director
            .as_ref()
            .map(|role| instances(role, outcome))
            .unwrap_or_default(),
        unhealthy_count: down.clone().count(),
        unhealthy: down
            .take(Report::MAX_UNHEALTHY)
            .map(|(key, health)| unhealthy(key, health))
            .collect(),
        conditions,
    }
}

fn programmed(outcome: Outcome<'_>) -> (bool, &'static str, String) {
    if !outcome.errors.is_empty() {
        return (false, reason::KERNEL_ERROR, outcome.errors.join("; "));
    }
    if let Some(first) = outcome.problems.first() {
        let messages: Vec<&str> = outcome
            .problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        return (false, first.reason, messages.join("; "));
    }
    if !outcome.bundle.has_its_slices() {
        let message = "the plan's slices have not all arrived".to_owned();
        return (false, reason::PENDING, message);
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
        return (false, reason::KERNEL_ERROR, message);
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
        return (false, reason::PENDING, message);
    }
    if !outcome.is_settled {
        return (
            false,
            reason::PENDING,
            "the plan is being carried out".to_owned(),
        );
    }
    (
        true,
        reason::AS_EXPECTED,
        "the kernel equals the plan".to_owned(),
    )
}

/// The state of each planned instance. One that has no VIP yet runs no router.
fn instances(role: &DirectorRole, outcome: Outcome<'_>) -> Vec<InstanceReport> {
    role.instances
        .iter()
        .map(|instance| {
            let has_problem = outcome
                .problems
                .iter()
                .any(|problem| problem.instance.as_ref() == Some(&instance.name));
            // One that runs goes on while it cannot be planned anew.
            let is_running = outcome
                .vrrp_plan
                .routers
                .iter()
                .any(|router| router.instance == instance.name);
            let state = if has_problem && !is_running {
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
                problem: outcome.vrrp.instance_problem(&instance.name).map(shortened),
            }
        })
        .collect()
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

fn shortened(mut text: String) -> String {
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
