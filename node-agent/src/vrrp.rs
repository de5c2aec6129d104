//! VRRP on a thread of its own.
//!
//! ```text
//!            configure, stop                     adverts, ARP, VIPs
//! core loop ────────────────► VRRP thread ◄────────────────────────► kernel
//!           ◄────────────────  one Router per instance and family
//!             report, events
//! ```
//!
//! The thread waits in ppoll(2) alone: no runtime, no lock, no log, no file. What it decides is
//! decided by [`lvs_vrrp::Router`]. VIPs have a lifetime in the kernel that the thread renews while
//! its router is Active, so that they end with it; an agent that is back sooner goes on as Active.

use std::io;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::{mpsc, watch};

pub mod addresses;
mod announce;
mod brake;
mod clock;
mod groups;
pub mod journal;
mod member;
pub mod metrics;
mod netlink;
pub mod plan;
mod realtime;
mod refresh;
pub mod report;
mod shell;
mod socket;
mod thread;
mod vips;

pub use metrics::VrrpMetrics;
pub use plan::{Family, RouterPlan, VrrpPlan};
pub use report::{RouterReport, VrrpEvent, VrrpEventKind, VrrpReport};

use thread::{Command, Links, VrrpThread};

/// How many events may wait for their reader.
const EVENTS: usize = 256;

/// The VRRP thread, from outside.
#[derive(Debug)]
pub struct VrrpHandle {
    commands: std_mpsc::Sender<Command>,
    wake: Arc<EventFd>,
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
    pub fn start(realtime_priority: u8) -> io::Result<(Self, mpsc::Receiver<VrrpEvent>)> {
        let (commands, command_receiver) = std_mpsc::channel();
        let wake = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?);
        let (report_sender, report) = watch::channel(VrrpReport::default());
        let (events, event_receiver) = mpsc::channel(EVENTS);
        let metrics = Arc::new(VrrpMetrics::default());
        let thread = VrrpThread::open(Links {
            commands: command_receiver,
            wake: Arc::clone(&wake),
            report: report_sender,
            events,
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
            commands,
            wake,
            report,
            metrics,
            thread,
        };
        Ok((handle, event_receiver))
    }

    /// Runs exactly these routers from now on. A router that is left out hands over, if it is
    /// Active, and its VIPs go; one that is changed goes on.
    pub fn configure(&self, plan: VrrpPlan) {
        self.command(Command::Configure(plan));
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
        self.command(Command::Stop);
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

    fn command(&self, command: Command) {
        // A thread that has ended is noticed by its report.
        if self.commands.send(command).is_ok() {
            let _ = self.wake.write(1);
        }
    }
}
