//! The node-wide loop: `observe → plan → diff → apply → report`.
//!
//! Every input (plan, passwords, health, VRRP, notices of the kernel, timers) does the same: it makes
//! the loop look at everything that is now, in a `pass`. What was missed or failed is therefore
//! made good by the next pass, whatever causes it.

mod apply;
mod kernel;
mod pass;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_health::{Engine, Health};
use lvs_ipvs::ServiceKey;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::bundle::PlanBundle;
use crate::heartbeat::{self, Heartbeat};
use crate::kernel::lookout::Lookout;
use crate::kernel::sysctls::Sysctls;
use crate::metrics::Metrics;
use crate::op_log::OpLog;
use crate::ownership::Ownership;
use crate::ownership::file::OwnershipFile;
use crate::plan::Plan;
use crate::plan::members::MemberKey;
use crate::plan::services::Services;
use crate::report::{Drift, Report};
use crate::secrets::Secrets;
use crate::statistics::Names;
use crate::vrrp::{VrrpHandle, VrrpPlan, VrrpReport};
use kernel::Kernel;

/// Pause after a pass that left something to wait for, such as VIPs that are being handed over.
const UNFINISHED_PAUSE: Duration = Duration::from_millis(50);
/// Pause after a pass that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between passes that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory that survives restarts.
    pub state_dir: PathBuf,
    /// The host's `/proc/sys/net`.
    pub proc_sys_net: PathBuf,
}

/// What the loop listens to.
#[derive(Debug)]
pub struct Inputs {
    /// The plan; `None` until there is one, and then nothing is touched.
    pub plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    /// Passwords of VRRP.
    pub secrets: watch::Receiver<Secrets>,
    /// The VRRP thread.
    pub vrrp: VrrpHandle,
}

/// What the loop says.
#[derive(Debug)]
pub struct Outputs {
    /// State of the node.
    pub reports: watch::Sender<Report>,
    /// Changes by others that were repaired. When nobody takes them they are dropped.
    pub drifts: mpsc::Sender<Drift>,
    /// Changes of the kernel.
    pub ops: OpLog,
    /// Counters.
    pub metrics: Metrics,
    /// What the statistics are about.
    pub names: watch::Sender<Arc<Names>>,
    /// Sign of life.
    pub heartbeat: Heartbeat,
}

/// The loop and what it remembers from pass to pass.
#[derive(Debug)]
pub struct Agent {
    inputs: Inputs,
    vrrp_report: watch::Receiver<VrrpReport>,
    outputs: Outputs,
    kernel: Kernel,
    lookout: Lookout,
    engine: Engine<MemberKey>,
    health: watch::Receiver<BTreeMap<MemberKey, Health>>,
    ownership: Ownership,
    /// `None` once the disk has stopped to answer.
    ownership_file: Option<OwnershipFile>,
    /// The plan that `services` were resolved from.
    resolved: Option<Arc<PlanBundle>>,
    services: Services,
    /// States in which targets begin, for the time until the engine has taken them up.
    initially_up: BTreeMap<MemberKey, bool>,
    /// Services that the kernel had when the VRRP thread was told last.
    programmed: BTreeSet<ServiceKey>,
    /// What the VRRP thread was told last.
    vrrp_plan: Option<VrrpPlan>,
    /// The plan that the kernel equalled after the last pass; what differs from it is drift.
    settled: Option<Plan>,
    /// Whether the last pass lacked something that a change of the interfaces may bring.
    had_problems: bool,
    /// Passes that failed in a row.
    failures: u32,
}

/// What is to happen after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Wait for an input.
    Wait,
    /// Something is under way: look again soon.
    Soon,
    /// Something failed: try again.
    Retry,
}

impl Agent {
    /// Takes up the state of an earlier run. Touches nothing. Must be called within a tokio runtime
    /// with time and I/O enabled.
    ///
    /// # Errors
    /// When a thread cannot be made.
    pub fn new(settings: &Settings, inputs: Inputs, outputs: Outputs) -> io::Result<Self> {
        let (ownership_file, ownership) = OwnershipFile::open(&settings.state_dir);
        let engine = Engine::start();
        let lookout = Lookout::start(Sysctls::new(&settings.proc_sys_net))?;
        Ok(Self {
            vrrp_report: inputs.vrrp.report(),
            inputs,
            outputs,
            kernel: Kernel::new(&settings.proc_sys_net, lookout.table_watch()),
            lookout,
            health: engine.results(),
            engine,
            ownership,
            ownership_file: Some(ownership_file),
            resolved: None,
            services: Services::default(),
            initially_up: BTreeMap::new(),
            programmed: BTreeSet::new(),
            vrrp_plan: None,
            settled: None,
            had_problems: true,
            failures: 0,
        })
    }

    /// Runs until `stop` is done or the VRRP thread has ended by itself. The kernel keeps everything;
    /// what is to be handed over is up to the caller, who gets the threads back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> (VrrpHandle, Lookout) {
        let mut stop = pin!(stop);
        let mut full = interval(heartbeat::PERIOD);
        full.set_missed_tick_behavior(MissedTickBehavior::Delay);
        full.reset();
        let mut next = self.pass().await;
        loop {
            let wake = self.wake(next);
            tokio::select! {
                () = &mut stop => break,
                Ok(()) = self.inputs.plans.changed() => {}
                Ok(()) = self.inputs.secrets.changed() => {}
                Ok(()) = self.health.changed() => {}
                changed = self.vrrp_report.changed() => if changed.is_err() { break },
                () = self.kernel.changed() => {}
                _ = full.tick() => self.kernel.expire(Instant::now()),
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {}
                () = self.lookout.different() => {}
            }
            next = self.pass().await;
        }
        (self.inputs.vrrp, self.lookout)
    }

    fn wake(&self, next: Next) -> Option<Instant> {
        let pause = match next {
            Next::Wait => return None,
            Next::Soon => UNFINISHED_PAUSE,
            Next::Retry => FIRST_PAUSE
                .saturating_mul(1 << self.failures.saturating_sub(1).min(10))
                .min(LONGEST_PAUSE),
        };
        Some(Instant::now() + pause)
    }

    /// One pass, with what goes with every pass.
    async fn pass(&mut self) -> Next {
        let start = Instant::now();
        let Some(bundle) = self.inputs.plans.borrow_and_update().clone() else {
            self.outputs.heartbeat.beat(start);
            return Next::Wait;
        };
        let next = self.reconcile(&bundle).await;
        let expected = self
            .settled
            .as_ref()
            .map(|settled| self.kernel.expected(settled));
        self.lookout.expect(expected);
        self.failures = if next == Next::Retry {
            self.failures.saturating_add(1)
        } else {
            0
        };
        let end = Instant::now();
        self.outputs
            .metrics
            .pass_seconds
            .observe((end - start).as_secs_f64());
        self.outputs.heartbeat.beat(end);
        next
    }
}
