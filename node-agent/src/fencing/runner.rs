//! Runs hooks against peers and says what became of it. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lvs_crds::v1alpha1::{DirectorRole, FencingReport, FencingRun};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::fencer::Peer;
use super::{Fencer, Run};
use crate::bundle::PlanBundle;
use crate::hook::{Call, HookError, Hooks};
use crate::metrics::{Metrics, ResultLabel};
use crate::report::Subject;
use crate::report::compose::shortened;
use crate::reporter::notice::Notice;
use crate::vrrp::VrrpReport;

/// The hook's argument: what it is to do.
const ARGUMENT: &str = "fence";
/// Time between two looks whether the hook could be run.
const CHECK_PERIOD: Duration = Duration::from_secs(60);

/// Where it is told.
#[derive(Debug)]
pub struct Outputs {
    /// How fencing is; none = there is none.
    pub reports: watch::Sender<Option<FencingReport>>,
    /// Counters.
    pub metrics: Metrics,
    /// Takes what people should see; absent stand-alone.
    pub notices: Option<mpsc::Sender<Notice>>,
}

/// What runs.
struct Runner {
    hooks: Hooks,
    outputs: Outputs,
    running: JoinSet<(Run, Result<(), HookError>)>,
    /// When each of them began.
    begun: BTreeMap<Peer, Timestamp>,
    /// What was last said of the watchdog.
    watchdog_problem: Option<String>,
    /// Looks whether the hook could be run.
    checks: JoinSet<Option<String>>,
}

/// Fences peers that fell silent, as the plan says, until the VRRP thread has ended. Must be called
/// within a tokio runtime with time and I/O enabled.
pub async fn run(
    mut plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    mut vrrp: watch::Receiver<VrrpReport>,
    hooks: Hooks,
    outputs: Outputs,
) {
    let mut fencer = Fencer::default();
    let mut runner = Runner {
        hooks,
        outputs,
        running: JoinSet::new(),
        begun: BTreeMap::new(),
        watchdog_problem: None,
        checks: JoinSet::new(),
    };
    let mut check = interval(CHECK_PERIOD);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The plan from disk is there already.
    plans.mark_changed();
    loop {
        tokio::select! {
            // Who is lost is looked at by the plan of that moment.
            biased;
            Ok(()) = plans.changed() => {
                let bundle = plans.borrow_and_update().clone();
                let role = bundle.as_ref().and_then(|bundle| bundle.plan.director.as_ref());
                if fencer.configure(role) {
                    runner.begin_anew(role);
                    check.reset_immediately();
                }
            }
            _ = check.tick(), if fencer.hook().is_some() => runner.check(fencer.hook()),
            Some(Ok(problem)) = runner.checks.join_next() => {
                runner.report(|report| report.problem = problem);
            }
            changed = vrrp.changed() => if changed.is_err() { return },
            Some(ended) = runner.running.join_next() => {
                // A hook that could not even be waited for has panicked with its task.
                let Ok((run, result)) = ended else { continue };
                runner.has_ended(&run, result);
                if let Some(next) = fencer.has_ended(&run.peer) {
                    runner.start(next);
                }
            }
        }
        let runs = {
            let report = vrrp.borrow_and_update();
            runner.log_watchdog(report.watchdog_problem.as_deref());
            fencer.look(&report)
        };
        for run in runs {
            runner.start(run);
        }
    }
}

impl Runner {
    fn begin_anew(&self, role: Option<&DirectorRole>) {
        let has_fencing = role.is_some_and(|role| role.fencing.is_some());
        let report = has_fencing.then(FencingReport::default);
        self.outputs.reports.send_replace(report);
    }

    /// The VRRP thread, which feeds the watchdog, writes no log.
    fn log_watchdog(&mut self, problem: Option<&str>) {
        if self.watchdog_problem.as_deref() == problem {
            return;
        }
        if let Some(error) = problem {
            tracing::warn!(target: "fencing", error, "no watchdog");
        } else {
            tracing::info!(target: "fencing", "the watchdog can be used again");
        }
        self.watchdog_problem = problem.map(str::to_owned);
    }

    /// Looks whether the hook could be run, so that it is not first known when it is needed.
    fn check(&mut self, hook: Option<&str>) {
        self.checks.abort_all();
        let Some(hook) = hook.map(str::to_owned) else {
            return;
        };
        let hooks = self.hooks.clone();
        self.checks.spawn(async move {
            let error = hooks.check(&hook).await.err()?;
            tracing::warn!(target: "fencing", %error, "a peer could not be fenced");
            Some(shortened(error.to_string()))
        });
    }

    fn start(&mut self, run: Run) {
        let begun = Timestamp::now();
        self.begun.insert(run.peer.clone(), begun);
        tracing::warn!(
            target: "fencing", peer = %run.peer, address = %run.address, instance = run.instance,
            hook = run.hook.name, "the peer fell silent; it is fenced"
        );
        let last = last(&run, begun, None, false);
        self.report(|report| report.last = Some(last));
        let (hooks, call) = (self.hooks.clone(), call(&run));
        self.running.spawn(async move {
            let result = hooks.run(&call).await;
            (run, result)
        });
    }

    fn has_ended(&mut self, run: &Run, result: Result<(), HookError>) {
        let begun = self.begun.remove(&run.peer);
        let Run {
            peer,
            address,
            instance,
            ..
        } = run;
        let label = ResultLabel {
            result: if result.is_ok() { "success" } else { "failure" },
        };
        self.outputs.metrics.fencing.get_or_create(&label).inc();
        let (reason, message) = match &result {
            Ok(()) => {
                tracing::info!(target: "fencing", %peer, %address, "fenced");
                let message = format!("{peer} ({address}) fell silent and was fenced");
                ("PeerFenced", message)
            }
            Err(error) => {
                tracing::error!(target: "fencing", %peer, %address, %error, "not fenced");
                let message = format!("{peer} ({address}) fell silent and is not fenced: {error}");
                ("FencingFailed", message)
            }
        };
        let problem = result.err().map(|error| shortened(error.to_string()));
        let last = last(run, begun.unwrap_or_default(), problem, true);
        self.report(|report| report.last = Some(last));
        let notice = Notice {
            subject: Subject::Node,
            warning: true,
            reason,
            message: format!("instance {instance}: {message}"),
        };
        if let Some(notices) = &self.outputs.notices
            && notices.try_send(notice).is_err()
        {
            tracing::debug!("Event dropped: too many wait");
        }
    }

    /// Changes the report, unless there is no fencing any more.
    fn report(&self, change: impl FnOnce(&mut FencingReport)) {
        self.outputs.reports.send_if_modified(|report| {
            let before = report.clone();
            if let Some(report) = report {
                change(report);
            }
            *report != before
        });
    }
}

fn last(run: &Run, begun: Timestamp, problem: Option<String>, ended: bool) -> FencingRun {
    FencingRun {
        peer: run.peer.to_string(),
        peer_address: run.address.to_string(),
        instance: run.instance.clone(),
        // The API has whole seconds.
        since: Time(Timestamp::from_second(begun.as_second()).unwrap_or(begun)),
        problem,
        ended,
    }
}

fn call(run: &Run) -> Call {
    Call {
        name: run.hook.name.clone(),
        arguments: vec![ARGUMENT.into()],
        environment: vec![
            ("LVS_PAIR", run.pair.clone()),
            ("LVS_INSTANCE", run.instance.clone()),
            (
                "LVS_PEER_NAME",
                run.peer.node().unwrap_or_default().to_owned(),
            ),
            ("LVS_PEER_ADDRESS", run.address.to_string()),
            ("LVS_DIRECTORS", run.directors.join(",")),
        ],
        limit: Duration::from_secs(u64::try_from(run.hook.timeout_seconds).unwrap_or(1)),
    }
}

#[cfg(test)]
mod tests;
