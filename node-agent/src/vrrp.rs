//! VRRP on a thread of its own.
//!
//! ```text
//!            configure, stop                     adverts, ARP, VIPs
//! core loop ────────────────► VRRP thread ◄────────────────────────► kernel
//!           ◄────────────────  one Router per instance and family
//!             report, events
//! ```
//!
//! The thread waits in ppoll(2) alone: no runtime, no lock, no log, no file but the watchdog device. What it decides is
//! decided by [`lvs_vrrp::Router`]. VIPs have a lifetime in the kernel that the thread renews while
//! its router is Active, so that they end with it; an agent that is back sooner goes on as Active.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::{mpsc, oneshot, watch};

use crate::track::Verdict;

pub mod addresses;
mod announce;
mod brake;
mod carried;
mod claims;
mod clock;
pub mod device;
mod filter;
mod groups;
mod ipv6;
pub mod journal;
mod member;
pub mod metrics;
mod netlink;
pub mod plan;
mod realtime;
pub mod recorder;
mod refresh;
pub mod report;
pub mod routes;
mod shell;
mod socket;
mod sockets;
mod thread;
mod vips;
mod watchdog;

pub use metrics::VrrpMetrics;
pub use plan::{Family, RouterPlan, VrrpPlan, WatchdogPlan};
pub use report::{
    AddressConflict, LostPeer, RouterReport, SplitBrain, VrrpEvent, VrrpEventKind, VrrpReport,
};

use recorder::Recording;
use thread::{Command, Links, VrrpThread};

/// How many events may wait for their reader.
const EVENTS: usize = 256;
/// How many recordings may wait to be written.
const RECORDINGS: usize = 4;

/// Tells the VRRP thread what does not come from its plan.
#[derive(Clone, Debug)]
pub struct VrrpControl {
    commands: std_mpsc::Sender<Command>,
    wake: Arc<EventFd>,
}

impl VrrpControl {
    /// What tracked things do to the instances, by their names. One that is not named is as its plan
    /// has it.
    pub fn track(&self, verdicts: BTreeMap<String, Verdict>) {
        self.command(Command::Track(verdicts));
    }

    /// What every router went through lately; nothing when the thread has ended.
    pub async fn recordings(&self) -> Vec<Recording> {
        let (sender, recordings) = oneshot::channel();
        self.command(Command::Record(sender));
        recordings.await.unwrap_or_default()
    }

    /// One that nobody listens to.
    #[cfg(test)]
    pub(crate) fn of_no_thread() -> Self {
        Self {
            commands: std_mpsc::channel().0,
            wake: Arc::new(EventFd::new().expect("an eventfd")),
        }
    }

    fn command(&self, command: Command) {
        // A thread that has ended is noticed by its report.
        if self.commands.send(command).is_ok() {
            let _ = self.wake.write(1);
        }
    }
}

/// What the VRRP thread tells, for those who write it down.
#[derive(Debug)]
pub struct Told {
    /// What happened.
    pub events: mpsc::Receiver<VrrpEvent>,
    /// What a router went through that became Active, or is no longer.
    pub recordings: mpsc::Receiver<Recording>,
}

/// The VRRP thread, from outside.
#[derive(Debug)]
pub struct VrrpHandle {
    control: VrrpControl,
    report: watch::Receiver<VrrpReport>,
    metrics: Arc<VrrpMetrics>,
    thread: JoinHandle<io::Result<()>>,
}

impl VrrpHandle {
    /// Starts the thread. It runs no router and touches nothing until [`VrrpHandle::configure`].
    ///
    /// With a `realtime_priority` from 1 to 99 the thread runs on `SCHED_FIFO` and the memory of the
    /// process is locked, as far as the system allows that; the log and two metrics say what it does
    /// not. 0 asks for neither.
    ///
    /// # Errors
    /// When the thread or its sockets cannot be made: `CAP_NET_ADMIN` and `CAP_NET_RAW` are needed.
    pub fn start(realtime_priority: u8) -> io::Result<(Self, Told)> {
        let (commands, command_receiver) = std_mpsc::channel();
        let wake = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?);
        let (report_sender, report) = watch::channel(VrrpReport::default());
        let (events, event_receiver) = mpsc::channel(EVENTS);
        let (recordings, recording_receiver) = mpsc::channel(RECORDINGS);
        let metrics = Arc::new(VrrpMetrics::default());
        let thread = VrrpThread::open(Links {
            commands: command_receiver,
            wake: Arc::clone(&wake),
            report: report_sender,
            events,
            recordings,
            metrics: Arc::clone(&metrics),
        })?;
        let counters = Arc::clone(&metrics);
        let thread = std::thread::Builder::new()
            .name("vrrp".into())
            .spawn(move || {
                if realtime_priority > 0 {
                    realtime::begin(realtime_priority, &counters);
                }
                thread.run()
            })?;
        let handle = Self {
            control: VrrpControl { commands, wake },
            report,
            metrics,
            thread,
        };
        let told = Told {
            events: event_receiver,
            recordings: recording_receiver,
        };
        Ok((handle, told))
    }

    /// Runs exactly these routers from now on. A router that is left out hands over, if it is
    /// Active, and its VIPs go; one that is changed goes on.
    pub fn configure(&self, plan: VrrpPlan) {
        self.control.command(Command::Configure(plan));
    }

    /// For those who tell the thread something beside its plan.
    #[must_use]
    pub fn control(&self) -> VrrpControl {
        self.control.clone()
    }

    /// State of the routers. The sender is gone when the thread has ended.
    #[must_use]
    pub fn report(&self) -> watch::Receiver<VrrpReport> {
        self.report.clone()
    }

    /// What the thread counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<VrrpMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Hands all roles over, waits until that is done and ends the thread. Without a peer it takes
    /// as long as a peer would have needed to take over.
    ///
    /// # Errors
    /// When the thread had failed or panicked.
    pub async fn stop(mut self) -> io::Result<()> {
        self.control.command(Command::Stop);
        while self.report.changed().await.is_ok() {}
        self.ended()
    }

    /// Why the thread has ended, once [`VrrpHandle::report`] says that it has.
    ///
    /// # Errors
    /// When it failed or panicked.
    pub fn ended(self) -> io::Result<()> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the VRRP thread panicked")))
    }
}
