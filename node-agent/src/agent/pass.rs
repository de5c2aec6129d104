//! One pass of the loop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lvs_ipvs::ServiceKey;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::kernel::ObserveError;
use super::{Agent, Next};
use crate::bundle::PlanBundle;
use crate::diff::{Diff, diff};
use crate::drift::drifts;
use crate::kernel::network::Notices;
use crate::metrics::KindLabel;
use crate::observe::Observed;
use crate::plan::members::{self, MemberKey};
use crate::plan::services::Services;
use crate::plan::vrrp::{Surroundings, planned_vips};
use crate::plan::{self, Plan, Problem};
use crate::report::Report;
use crate::report::compose::{Outcome, report};
use crate::statistics::Names;
use crate::vrrp::VrrpPlan;

/// Rounds of one pass: change, then look whether it is as planned. More are needed only while
/// somebody else changes things too.
const ROUNDS: u32 = 3;

/// A disk that takes longer to keep the record is not waited for.
const SAVE_PATIENCE: Duration = Duration::from_secs(1);

/// What a pass has found out so far.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    errors: Vec<String>,
    /// Whether the kernel equals the plan.
    is_settled: bool,
    /// Repairs of what others had changed.
    drifts: Vec<crate::report::Drift>,
}

impl Agent {
    /// Makes the kernel equal to the plan, as far as that is possible now.
    pub(super) async fn reconcile(&mut self, bundle: &Arc<PlanBundle>) -> Next {
        let mut findings = Findings::default();
        self.kernel.look();
        let mut is_contested = false;
        for _ in 0..ROUNDS {
            findings.problems.clear();
            is_contested = match self.round(bundle, &mut findings).await {
                Ok(go_on) => go_on,
                Err(error) => {
                    findings.errors.push(error.to_string());
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
            for drift in findings.drifts.drain(..) {
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
        let mut observed = self.observe(bundle).await?;
        self.resolve(bundle, &observed);
        let plan = self.plan(bundle, &observed);
        observed.sysctls = self.kernel.observe_sysctls(&plan, &self.ownership)?;
        self.kernel
            .observe_tunnels(&plan, &self.ownership, &mut observed)?;
        self.note_drift(&observed, findings);

        let wanted_keys = programmed(&plan, &observed, plan.services.keys());
        let (wanted, _) = self.vrrp_plan(bundle, &observed, &wanted_keys);
        let changes = diff(&plan, &observed, &self.ownership, &planned_vips(&wanted));
        findings.problems.extend(plan.problems.iter().cloned());
        findings.problems.extend(changes.problems.iter().cloned());
        self.ownership.claim(&plan, &observed, &changes);
        if changes.is_empty() {
            self.ownership.settle(&plan, &observed);
        }
        self.save_ownership().await;
        self.count(&plan, &observed);

        let facts = std::mem::take(&mut observed.facts);
        drop(observed);
        findings.errors.extend(self.apply(&changes.before).await);
        let mut observed = Observed {
            facts,
            ..Observed::default()
        };
        self.kernel
            .observe_ipvs(self.needs_ipvs(bundle), &mut observed)?;
        self.programmed = programmed(&plan, &observed, &self.programmed);
        self.configure_vrrp(bundle, &observed, findings);
        drop(observed);
        findings.errors.extend(self.apply(&changes.after).await);
        findings.is_settled = changes.is_empty();
        if changes.is_empty() {
            self.settled = Some(plan);
        }
        Ok(findings.errors.is_empty() && has_ops(&changes))
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
        self.kernel
            .observe_ipvs(self.needs_ipvs(bundle), &mut observed)?;
        Ok(observed)
    }

    fn needs_ipvs(&self, bundle: &PlanBundle) -> bool {
        bundle.plan.director.is_some() || self.ownership.has_ipvs()
    }

    /// Resolves a new plan's services, and tells the checks about them.
    fn resolve(&mut self, bundle: &Arc<PlanBundle>, observed: &Observed) {
        if self
            .resolved
            .as_ref()
            .is_some_and(|resolved| Arc::ptr_eq(resolved, bundle))
        {
            return;
        }
        let services = Services::resolve(bundle, &self.services);
        let is_first = self.resolved.replace(Arc::clone(bundle)).is_none();
        if services.resolved == self.services.resolved && !is_first {
            self.services = services;
            return;
        }
        self.services = services;
        let names = Names::of(&self.services);
        self.outputs.names.send_replace(Arc::new(names));
        let kernel = observed.table.as_deref().cloned().unwrap_or_default();
        let targets = members::targets(&self.services, &kernel);
        self.initially_up = targets
            .iter()
            .map(|target| (target.key.clone(), target.initially_up))
            .collect();
        self.engine.set_targets(targets);
    }

    fn plan(&self, bundle: &PlanBundle, observed: &Observed) -> Plan {
        let health = self.health.borrow();
        let is_up = |member: &MemberKey| {
            health
                .get(member)
                .map(|health| health.up)
                .or_else(|| self.initially_up.get(member).copied())
                .unwrap_or_default()
        };
        plan::plan(bundle, &self.services, &observed.facts, &is_up)
    }

    /// What differs from the plan that the kernel equalled was changed by somebody else.
    fn note_drift(&mut self, observed: &Observed, findings: &mut Findings) {
        let Some(settled) = self.settled.take() else {
            return;
        };
        // What is about to be released is no drift.
        let vips = self
            .vrrp_plan
            .as_ref()
            .map(planned_vips)
            .unwrap_or_default();
        let mut observed = Observed {
            facts: observed.facts.clone(),
            table: observed.table.clone(),
            daemons: observed.daemons.clone(),
            sysctls: observed.sysctls.clone(),
            fou_ports: observed.fou_ports.clone(),
            missing_modules: observed.missing_modules.clone(),
        };
        if let Ok(sysctls) = self.kernel.observe_sysctls(&settled, &self.ownership) {
            observed.sysctls = sysctls;
        }
        let repairs = diff(&settled, &observed, &self.ownership, &vips);
        for op in repairs.ops() {
            self.outputs
                .metrics
                .drift
                .get_or_create(&KindLabel { kind: op.kind() })
                .inc();
        }
        findings.drifts.extend(drifts(&settled, repairs.ops()));
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
        if self.vrrp_plan.as_ref() != Some(&plan) {
            self.inputs.vrrp.configure(plan.clone());
            self.vrrp_plan = Some(plan);
        }
    }

    /// Keeps the record of what is ours. The node goes on without its disk; what it owns is then
    /// known in memory alone.
    async fn save_ownership(&mut self) {
        let Some(file) = self
            .ownership_file
            .take_if(|file| file.differs_from(&self.ownership))
        else {
            return;
        };
        let ownership = self.ownership.clone();
        let saving = spawn_blocking(move || file.save(ownership));
        match timeout(SAVE_PATIENCE, saving).await {
            Ok(Ok((file, saved))) => {
                self.ownership_file = Some(file);
                if let Err(error) = saved {
                    tracing::warn!(%error, "the record of what is ours was not kept");
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the record of what is ours is not kept any more");
            }
            // The disk hangs, and the task has the file.
            Err(_) => {
                tracing::error!("the disk does not answer; what is ours is not kept any more");
            }
        }
    }

    fn count(&self, plan: &Plan, observed: &Observed) {
        let metrics = &self.outputs.metrics;
        metrics.set_ipvs_watch(self.kernel.way());
        let is_ours =
            |key: &ServiceKey| plan.services.contains_key(key) || self.ownership.has_service(key);
        let (ours, foreign): (Vec<&ServiceKey>, Vec<&ServiceKey>) = observed
            .table
            .iter()
            .flat_map(|table| table.entries.keys())
            .partition(|key| is_ours(key));
        metrics
            .services
            .set(i64::try_from(ours.len()).unwrap_or(i64::MAX));
        metrics
            .foreign_services
            .set(i64::try_from(foreign.len()).unwrap_or(i64::MAX));
    }

    fn report(&self, bundle: &PlanBundle, findings: &Findings) -> Report {
        let none = VrrpPlan::default();
        report(Outcome {
            bundle,
            is_settled: findings.is_settled,
            problems: &findings.problems,
            errors: &findings.errors,
            vrrp_plan: self.vrrp_plan.as_ref().unwrap_or(&none),
            vrrp: &self.vrrp_report.borrow(),
            health: &self.health.borrow(),
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
    plan: &Plan,
    observed: &'a Observed,
    also: impl IntoIterator<Item = &'a ServiceKey>,
) -> BTreeSet<ServiceKey> {
    let in_kernel = observed.table.iter().flat_map(|table| table.entries.keys());
    let untouched = in_kernel.clone().filter(|key| plan.untouched.contains(key));
    in_kernel
        .clone()
        .chain(also)
        .filter(|key| plan.services.contains_key(key))
        .chain(untouched)
        .copied()
        .collect()
}

fn has_ops(changes: &Diff) -> bool {
    !changes.before.is_empty() || !changes.after.is_empty()
}
