//! The node-wide loop: `observe → plan → diff → apply → report`.
//!
//! Every input (plan, passwords, health, VRRP, notices of the kernel, timers) does the same: it makes
//! the loop look at everything that is now, in a `pass`. What was missed or failed is therefore
//! made good by the next pass, whatever causes it.

mod apply;
mod kernel;
mod pass;
mod resolve;
mod services;
mod sync_hold;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_crds::v1alpha1::FencingReport;
use lvs_health::{Engine, Health};
use lvs_ipvs::{ServiceKey, SyncDaemon};
use nix::sys::utsname::uname;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::bundle::PlanBundle;
use crate::heartbeat::{self, Heartbeat};
use crate::kernel::lookout::{Expected, ExpectedTable, Lookout};
use crate::kernel::sysctls::Sysctls;
use crate::metrics::Metrics;
use crate::op::Op;
use crate::op_log::OpLog;
use crate::ownership::Ownership;
use crate::ownership::file::OwnershipFile;
use crate::plan::members::MemberKey;
use crate::plan::services::Services;
use crate::plan::sync_hold::SyncHold;
use crate::plan::{Plan, Problem};
use crate::programming::Programming;
use crate::report::refusal::NodeKernel;
use crate::report::{Drift, Report};
use crate::secrets::Secrets;
use crate::statistics::Names;
use crate::vrrp::{VrrpHandle, VrrpPlan, VrrpReport};
use kernel::Kernel;
use services::Todo;

/// Pause after a pass that left something to wait for, such as VIPs that are being handed over.
const UNFINISHED_PAUSE: Duration = Duration::from_millis(50);
/// Time between two looks at members that leave.
const LEAVING_PERIOD: Duration = Duration::from_secs(1);
/// Pause after a pass that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between passes that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the node.
    pub node_name: String,
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
    /// How the fencing of peers is; none = there is none.
    pub fencing: watch::Receiver<Option<FencingReport>>,
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
    ownership_file: OwnershipFile,
    /// When a plan came that no pass has ended with yet.
    plan_received: Option<Instant>,
    /// The plan that `services` were resolved from.
    resolved: Option<Arc<PlanBundle>>,
    services: Services,
    /// The plan whose services are claimed.
    claimed: Option<Arc<PlanBundle>>,
    /// Whether each member that is checked is up: as it began, until its checks know better.
    up: BTreeMap<MemberKey, bool>,
    /// Whether there are results of checks that have not been looked at.
    has_new_health: bool,
    /// What is known of the kernel's services.
    programming: Programming,
    /// Services that are to be looked at.
    todo: Todo,
    /// Of these, those of which weights alone can differ.
    weights: BTreeSet<ServiceKey>,
    /// When a service was changed last.
    last_change: Option<Instant>,
    /// When those that leave are looked at again.
    next_look_at_leaving: Option<Instant>,
    /// The sync daemons of the kernel.
    daemons: Vec<SyncDaemon>,
    /// Instances that wait for connections before they preempt.
    sync_hold: SyncHold,
    /// When that is looked at again.
    next_look_at_connections: Option<Instant>,
    /// Changes that the kernel refuses, until the next full look or the next plan.
    refused_ops: Vec<(Op, Problem)>,
    /// Whether IPVS is needed and there.
    has_ipvs: bool,
    /// Its version.
    ipvs_version: Option<String>,
    /// What messages call this node and its kernel.
    kernel_name: NodeKernel,
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
            ownership_file,
            plan_received: None,
            resolved: None,
            services: Services::default(),
            claimed: None,
            up: BTreeMap::new(),
            has_new_health: false,
            programming: Programming::default(),
            todo: Todo::Everything,
            weights: BTreeSet::new(),
            last_change: None,
            next_look_at_leaving: None,
            daemons: Vec::new(),
            sync_hold: SyncHold::default(),
            next_look_at_connections: None,
            refused_ops: Vec::new(),
            has_ipvs: false,
            ipvs_version: None,
            kernel_name: NodeKernel {
                node: settings.node_name.clone(),
                release: uname()?.release().to_string_lossy().into_owned(),
            },
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
                Ok(()) = self.inputs.plans.changed() => self.plan_received = Some(Instant::now()),
                Ok(()) = self.inputs.secrets.changed() => {}
                Ok(()) = self.inputs.fencing.changed() => {}
                Ok(()) = self.health.changed() => self.has_new_health = true,
                changed = self.vrrp_report.changed() => if changed.is_err() { break },
                () = self.kernel.changed() => {}
                _ = full.tick() => self.look_at_everything(),
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {}
                () = self.lookout.different() => self.todo = Todo::Everything,
            }
            next = self.pass().await;
        }
        (self.inputs.vrrp, self.lookout)
    }

    /// The next pass tries again what was refused, and reads everything if that is due.
    fn look_at_everything(&mut self) {
        if self.kernel.ipvs.is_old(Instant::now()) {
            self.todo = Todo::Everything;
        }
        let refused: Vec<ServiceKey> = self.programming.refused().map(|(key, _)| *key).collect();
        self.todo.add(refused);
        self.kernel.expire();
        self.programming.retry_refused();
        self.refused_ops.clear();
    }

    fn wake(&self, next: Next) -> Option<Instant> {
        let looks = [self.next_look_at_leaving, self.next_look_at_connections];
        let next_look = looks.into_iter().flatten().min();
        let pause = match next {
            Next::Wait => return next_look,
            Next::Soon => UNFINISHED_PAUSE,
            Next::Retry => FIRST_PAUSE
                .saturating_mul(1 << self.failures.saturating_sub(1).min(10))
                .min(LONGEST_PAUSE),
        };
        let at = Instant::now() + pause;
        Some(next_look.map_or(at, |look| look.min(at)))
    }

    /// One pass, with what goes with every pass.
    async fn pass(&mut self) -> Next {
        let start = Instant::now();
        let Some(bundle) = self.inputs.plans.borrow_and_update().clone() else {
            self.outputs.heartbeat.beat(start);
            return Next::Wait;
        };
        self.look_at_those_that_leave(start);
        let next = self.reconcile(&bundle).await;
        let end = Instant::now();
        self.next_look_at_leaving =
            (!self.programming.leaving().is_empty()).then(|| end + LEAVING_PERIOD);
        self.lookout.expect(self.expected());
        self.failures = if next == Next::Retry {
            self.failures.saturating_add(1)
        } else {
            0
        };
        let metrics = &self.outputs.metrics;
        metrics.pass_seconds.observe((end - start).as_secs_f64());
        let last_change = self.last_change.take().unwrap_or(end);
        if let Some(received) = self.plan_received.take() {
            let duration = last_change.saturating_duration_since(received);
            metrics.plan_seconds.observe(duration.as_secs_f64());
        }
        self.outputs.heartbeat.beat(end);
        next
    }

    /// What the kernel shows as long as nobody else changes it.
    fn expected(&self) -> Option<Expected> {
        let settled = self.settled.as_ref()?;
        let sysctls = settled.sysctls().into_iter();
        Some(Expected {
            ipvs: self.has_ipvs.then(|| ExpectedTable {
                fingerprint: self.programming.shown(),
                notices: self.kernel.ipvs.notices(),
            }),
            sysctls: sysctls
                .map(|(sysctl, value)| (sysctl.clone(), value.to_owned()))
                .collect(),
        })
    }
}
