//! One pass of the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lvs_crds::v1alpha1::DirectorRole;
use lvs_ipvs::{Error, ServiceKey};

use super::kernel::ObserveError;
use super::services::Todo;
use super::{Agent, Next};
use crate::bundle::PlanBundle;
use crate::diff::{Diff, diff, release};
use crate::drift::Repairs;
use crate::kernel::network::Notices;
use crate::metrics::{KindLabel, LeavingLabel};
use crate::observe::Observed;
use crate::op::Op;
use crate::plan::services::Services;
use crate::plan::vrrp::{Surroundings, planned_vips, sources};
use crate::plan::{self, Problem};
use crate::programming::Programming;
use crate::report::compose::{Outcome, compose};
use crate::report::{self, Report, Subject};
use crate::vrrp::VrrpPlan;

/// Rounds of one pass: change, then look whether it is as planned. More are needed only while
/// somebody else changes things too.
const ROUNDS: u32 = 3;

/// What a pass has found out so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) errors: Vec<String>,
    /// Modules that are needed and not there.
    missing_modules: BTreeSet<&'static str>,
    /// Whether the kernel equals the plan.
    is_settled: bool,
    /// Repairs of what others had changed.
    pub(super) repairs: Repairs,
    /// Where the advertisements of each VRRP instance come from.
    sources: BTreeMap<String, Vec<IpAddr>>,
}

impl Agent {
    /// Makes the kernel equal to the plan, as far as that is possible now.
    pub(super) async fn reconcile(&mut self, bundle: &Arc<PlanBundle>) -> Next {
        let mut findings = Findings::default();
        let mut is_contested = false;
        for _ in 0..ROUNDS {
            findings.problems.clear();
            is_contested = match self.round(bundle, &mut findings).await {
                Ok(go_on) => go_on,
                Err(error) => {
                    findings.errors.push(error.to_string());
                    findings.is_settled = false;
                    self.todo = Todo::Everything;
                    false
                }
            };
            if !is_contested {
                break;
            }
        }
        if is_contested {
            // Racing it would cost a CPU and win nothing.
            findings.problems.push(Problem::of_node(
                "another program changes the IPVS table, the addresses or the sysctls as fast as they are \
                 repaired; the metric lvs_agent_ops_total says which, stop that program"
                    .to_owned(),
            ));
        }
        if !findings.is_settled {
            self.settled = None;
        }
        if findings.errors.is_empty() {
            for drift in std::mem::take(&mut findings.repairs).into_drifts() {
                // Whoever tells about drift may be behind; the repair does not wait for that.
                let _ = self.outputs.drifts.try_send(drift);
            }
        } else {
            tracing::warn!(errors = %findings.errors.join("; "), "the plan could not be carried out");
        }
        self.had_problems = !findings.problems.is_empty();
        let report = self.report(bundle, &findings);
        let is_waiting = !findings.is_settled;
        self.publish(report);
        match (findings.errors.is_empty() && !is_contested, is_waiting) {
            (false, _) => Next::Retry,
            (true, true) => Next::Soon,
            (true, false) => Next::Wait,
        }
    }

    /// Observes, plans, compares and applies once. Says whether another round is needed.
    async fn round(
        &mut self,
        bundle: &Arc<PlanBundle>,
        findings: &mut Findings,
    ) -> Result<bool, ObserveError> {
        if self.settled.is_some() {
            self.take_in(bundle)?;
            self.program_weights(findings).await?;
        }
        let mut observed = self.observe(bundle).await?;
        if self.has_ipvs && self.kernel.ipvs.is_different() {
            self.todo = Todo::Everything;
        }
        self.take_in(bundle)?;
        self.claim_services(bundle);
        let plan = plan::plan(bundle, &self.services, &observed.facts);
        observed.sysctls = self.kernel.observe_sysctls(&plan, &self.ownership)?;
        self.kernel
            .observe_tunnels(&plan, &self.ownership, &mut observed)?;
        self.kernel
            .observe_marks(&plan, &self.ownership, &mut observed)?;
        self.note_drift(&observed, findings);
        let mut changes = diff(&plan, &observed, &self.ownership);
        self.leave_out_refused(&mut changes);
        findings.problems.extend(plan.problems.iter().cloned());
        findings.problems.extend(changes.problems.iter().cloned());
        findings
            .missing_modules
            .clone_from(&changes.missing_modules);
        self.ownership.claim(&plan, &observed, &changes);
        if changes.is_empty() {
            self.ownership.settle(&plan, &observed);
        }
        self.ownership_file.keep(&self.ownership).await;

        self.apply(&changes.before, findings).await;
        let mut has_changed = !changes.is_empty();
        if self.has_ipvs {
            has_changed |= self.program(findings).await?;
        }
        self.apply(&changes.with_services, findings).await;

        let wanted: BTreeSet<ServiceKey> = programmed(
            &self.services,
            &self.programming,
            self.services.owners.keys(),
        );
        self.look_at_connections(bundle, &observed);
        let (wanted, _) = self.vrrp_plan(bundle, &observed, &wanted);
        self.programmed = programmed(&self.services, &self.programming, &self.programmed);
        self.configure_vrrp(bundle, &observed, findings);
        let release = release::services(
            &self.services,
            &self.ownership,
            &|key| self.programming.has(key),
            &observed.facts,
            &planned_vips(&wanted),
        );
        has_changed |= !release.commands.is_empty();
        for command in release.commands {
            self.delete(command, findings)?;
        }
        let is_held = !release.held.is_empty();
        // While traffic still comes to a VIP that is to go, all that serves it stays.
        if !is_held {
            self.apply(&changes.after, findings).await;
        }
        if self.has_ipvs && self.todo.is_empty() {
            let programming = &self.programming;
            self.ownership
                .settle_services(&self.services, &|key| programming.has(key));
        }
        self.ownership_file.keep(&self.ownership).await;
        self.count();
        has_changed |= self.has_ipvs && !self.todo.is_empty();
        let has_failed = !findings.errors.is_empty();
        findings.is_settled = !has_changed && !is_held && !has_failed;
        if findings.is_settled {
            self.settled = Some(plan);
        }
        Ok(has_changed && !is_held && !has_failed)
    }

    /// Takes out what the kernel has refused and would refuse again.
    fn leave_out_refused(&self, changes: &mut Diff) {
        for (op, problem) in &self.refused_ops {
            let is_other = |other: &Op| other != op;
            let before = changes.with_services.len() + changes.after.len();
            changes.with_services.retain(is_other);
            changes.after.retain(is_other);
            if changes.with_services.len() + changes.after.len() < before {
                changes.problems.push(problem.clone());
            }
        }
    }

    async fn observe(&mut self, bundle: &PlanBundle) -> Result<Observed, ObserveError> {
        let is_real_server = bundle.plan.real_server.is_some() || self.ownership.has_addresses();
        let notices = if is_real_server || self.had_problems {
            Notices::LinksAndAddresses
        } else {
            Notices::Links
        };
        let mut observed = Observed {
            facts: self.kernel.facts(notices).await?,
            ..Observed::default()
        };
        self.has_ipvs = self.needs_ipvs(bundle) && self.observe_ipvs(bundle, &mut observed)?;
        if !self.needs_ipvs(bundle) {
            self.kernel.ipvs.close();
        }
        Ok(observed)
    }

    /// Looks at IPVS; false when the kernel has none.
    fn observe_ipvs(
        &mut self,
        bundle: &PlanBundle,
        observed: &mut Observed,
    ) -> Result<bool, Error> {
        let timeouts = |director: &DirectorRole| director.timeouts.is_some();
        let needs_timeouts = bundle.plan.director.as_ref().is_some_and(timeouts)
            || self.ownership.timeouts().is_some();
        match self.kernel.observe_ipvs(needs_timeouts, observed) {
            Ok(()) => {}
            Err(Error::NotSupported) => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.ipvs_version.is_none() {
            let [major, minor, patch] = self.kernel.ipvs.info()?.version;
            self.ipvs_version = Some(format!("{major}.{minor}.{patch}"));
        }
        Ok(true)
    }

    fn needs_ipvs(&self, bundle: &PlanBundle) -> bool {
        bundle.plan.director.is_some() || self.ownership.has_ipvs()
    }

    /// What differs from the plan that the kernel equalled was changed by somebody else.
    fn note_drift(&mut self, observed: &Observed, findings: &mut Findings) {
        let Some(settled) = self.settled.take() else {
            return;
        };
        let mut observed = observed.clone();
        if let Ok(sysctls) = self.kernel.observe_sysctls(&settled, &self.ownership) {
            observed.sysctls = sysctls;
        }
        let mut repairs = diff(&settled, &observed, &self.ownership);
        self.leave_out_refused(&mut repairs);
        let subject = Arc::new(Subject::Node);
        for op in repairs.ops() {
            let label = KindLabel { kind: op.kind() };
            self.outputs.metrics.drift.get_or_create(&label).inc();
            findings.repairs.note(&subject, op);
        }
    }

    fn vrrp_plan(
        &self,
        bundle: &PlanBundle,
        observed: &Observed,
        programmed: &BTreeSet<ServiceKey>,
    ) -> (VrrpPlan, Vec<Problem>) {
        let secrets = self.inputs.secrets.borrow();
        let none = VrrpPlan::default();
        plan::vrrp::plan(
            bundle.plan.director.as_ref(),
            Surroundings {
                facts: &observed.facts,
                secrets: &secrets,
                services: &self.services,
                programmed,
                previous: self.vrrp_plan.as_ref().unwrap_or(&none),
                hold: &self.sync_hold,
            },
        )
    }

    /// Hands the VIPs of what is programmed to VRRP.
    fn configure_vrrp(
        &mut self,
        bundle: &PlanBundle,
        observed: &Observed,
        findings: &mut Findings,
    ) {
        let (plan, problems) = self.vrrp_plan(bundle, observed, &self.programmed);
        findings.problems.extend(problems);
        let director = bundle.plan.director.as_ref();
        findings.sources = sources(director, &observed.facts, &planned_vips(&plan));
        if self.vrrp_plan.as_ref() != Some(&plan) {
            self.inputs.vrrp.configure(plan.clone());
            self.vrrp_plan = Some(plan);
        }
    }

    fn count(&self) {
        let metrics = &self.outputs.metrics;
        metrics.set_ipvs_watch(self.has_ipvs.then(|| self.kernel.way()));
        let is_ours = |key: &&ServiceKey| {
            self.services.owners.contains_key(key) || self.ownership.has_service(key)
        };
        let all = self.programming.keys().count();
        let ours = self.programming.keys().filter(is_ours).count();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.services.set(number(ours));
        metrics.foreign_services.set(number(all - ours));
        metrics.draining_connections.clear();
        let leaving = report::services::leaving(&self.services, &self.programming);
        for ((virtual_service, destination), connections) in
            leaving.into_iter().take(Report::MAX_NAMED)
        {
            let label = LeavingLabel {
                virtual_service,
                address: destination.address.to_string(),
                port: destination.port,
            };
            let gauge = metrics.draining_connections.get_or_create(&label);
            gauge.set(i64::try_from(connections).unwrap_or(i64::MAX));
        }
    }

    fn report(&self, bundle: &PlanBundle, findings: &Findings) -> Report {
        let none = VrrpPlan::default();
        let lacks_ipvs =
            (self.needs_ipvs(bundle) && !self.has_ipvs).then(|| self.kernel_name.lacks_ipvs());
        let lacks_marks = self
            .kernel
            .marks
            .unsupported()
            .map(|unsupported| self.kernel_name.lacks_marks(unsupported));
        compose(Outcome {
            bundle,
            is_settled: findings.is_settled,
            problems: &findings.problems,
            errors: &findings.errors,
            vrrp_plan: self.vrrp_plan.as_ref().unwrap_or(&none),
            vrrp: &self.vrrp_report.borrow(),
            sources: &findings.sources,
            fencing: self.inputs.fencing.borrow().as_ref(),
            health: &self.health.borrow(),
            services: &self.services,
            programming: &self.programming,
            daemons: &self.daemons,
            sync_hold: &self.sync_hold,
            kernel: &self.kernel_name,
            ipvs_version: self.ipvs_version.as_deref(),
            lacks_ipvs: lacks_ipvs.as_ref(),
            lacks_marks: lacks_marks.as_ref(),
            missing_modules: &findings.missing_modules,
        })
    }

    fn publish(&self, report: Report) {
        let unhealthy = i64::try_from(report.unhealthy_count).unwrap_or(i64::MAX);
        self.outputs.metrics.unhealthy_members.set(unhealthy);
        self.outputs.reports.send_if_modified(|published| {
            let changed = *published != report;
            if changed {
                *published = report;
            }
            changed
        });
    }
}

/// The keys whose VIPs VRRP may have: those of the plan that the kernel has or that `also` names,
/// and those that wait for something and are in the kernel. With what was programmed before as `also`, a
/// service that the kernel has lost does not move its VIP: it is added again where it was.
fn programmed<'a>(
    services: &Services,
    programming: &'a Programming,
    also: impl IntoIterator<Item = &'a ServiceKey>,
) -> BTreeSet<ServiceKey> {
    let untouched = |key: &&ServiceKey| services.untouched.contains_key(key);
    programming
        .keys()
        .chain(also)
        .filter(|key| services.owners.contains_key(key))
        .chain(programming.keys().filter(untouched))
        .copied()
        .collect()
}
