//! Notices of changes by others: of the IPVS table, for which the kernel sends none to whoever asks, and of sysctls.
//!
//! A thread of its own listens and looks, and says so when something may not be as expected:
//!
//! - changes of the IPVS table come as notices of [`Nlmon`];
//! - what comes with no netlink message, or when there is no `nlmon`, shows in `/proc/net/ip_vs`, at a pace that its
//!   cost decides;
//! - sysctls are read every [`PERIOD`], from files that stay open.

mod burst;
mod watch;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use lvs_ipvs::Origin;
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::nlmon::{Nlmon, NlmonError};
use super::proc_ip_vs::Fingerprint;
use super::sysctls::{Sysctl, Sysctls};
use watch::Watch;

/// Time between two looks at the sysctls.
pub const PERIOD: Duration = Duration::from_millis(900);

/// The thread reads small files and compares; it needs no more.
const STACK_BYTES: usize = 256 * 1024;

/// How long the thread is given to delete the device. The kernel waits for all of its CPUs to let go of it.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What the kernel shows as long as nobody changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The IPVS table; `None` when it does not matter. Then there is no `nlmon` device of ours either.
    pub ipvs: Option<ExpectedTable>,
    /// Sysctls and their values.
    pub sysctls: Vec<(Sysctl, String)>,
}

/// The IPVS table as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedTable {
    /// What `/proc/net/ip_vs` shows of it.
    pub fingerprint: Fingerprint,
    /// [`TableWatch::notices`] when it was read.
    pub notices: u64,
}

/// How changes of the IPVS table by others are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// At once, by an `nlmon` device.
    Nlmon,
    /// By looking at `/proc/net/ip_vs`, the less often the larger the table is.
    Poll,
}

impl Way {
    /// Name in metrics and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nlmon => "nlmon",
            Self::Poll => "poll",
        }
    }
}

/// The thread, from outside. It ends when this is dropped.
#[derive(Debug)]
pub struct Lookout {
    watch: TableWatch,
    different: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells of the IPVS table, for whoever reads the table.
#[derive(Clone, Debug)]
pub struct TableWatch {
    orders: Sender<Order>,
    wake: Arc<EventFd>,
    state: Arc<State>,
}

/// What the thread and the others know of each other.
#[derive(Debug, Default)]
struct State {
    notices: AtomicU64,
    is_listening: AtomicBool,
}

#[derive(Debug)]
enum Order {
    Expect(Option<Expected>),
    Listen(Option<Nlmon>),
    Stop,
}

impl Lookout {
    /// Starts the thread. It looks at nothing until it is told to.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(sysctls: Sysctls) -> io::Result<Self> {
        let (orders, received) = channel();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let watch = TableWatch {
            orders,
            wake: Arc::new(EventFd::from_flags(flags)?),
            state: Arc::default(),
        };
        let different = Arc::new(Notify::new());
        let thread = Watch::new(
            received,
            Arc::clone(&watch.wake),
            Arc::clone(&watch.state),
            Arc::clone(&different),
            sysctls,
        );
        let thread = std::thread::Builder::new()
            .name("lookout".into())
            .stack_size(STACK_BYTES)
            .spawn(move || thread.run())?;
        Ok(Self {
            watch,
            different,
            thread: Some(thread),
        })
    }

    /// Looks for differences from this from now on; for nothing at all with `None`.
    pub fn expect(&self, expected: Option<Expected>) {
        self.watch.order(Order::Expect(expected));
    }

    /// Waits until something may be different. It is told once; then nothing is told until [`Lookout::expect`] is
    /// called again.
    pub async fn different(&self) {
        self.different.notified().await;
    }

    /// The part that concerns the IPVS table.
    #[must_use]
    pub fn table_watch(&self) -> TableWatch {
        self.watch.clone()
    }

    /// Ends the thread and deletes the device.
    pub async fn stop(mut self) {
        self.watch.order(Order::Stop);
        let Some(thread) = self.thread.take() else {
            return;
        };
        let joined = timeout(STOP_PATIENCE, spawn_blocking(move || thread.join())).await;
        if joined.is_err() {
            tracing::warn!("the device {} may be left", super::nlmon::DEVICE);
        }
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.watch.order(Order::Stop);
    }
}

impl TableWatch {
    /// Listens to what others ask of IPVS, all but `origin`. Whoever reads the table afterwards misses nothing.
    ///
    /// # Errors
    /// When that is impossible: then the table is polled.
    pub fn listen(&self, origin: Origin) -> Result<(), NlmonError> {
        let opened = Nlmon::open(origin);
        self.state
            .is_listening
            .store(opened.is_ok(), Ordering::Release);
        let (nlmon, result) = match opened {
            Ok(nlmon) => (Some(nlmon), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.order(Order::Listen(nlmon));
        result
    }

    /// How changes are found.
    #[must_use]
    pub fn way(&self) -> Way {
        if self.state.is_listening.load(Ordering::Acquire) {
            Way::Nlmon
        } else {
            Way::Poll
        }
    }

    /// A number that grows with each notice that the table may be different. A table that was read after this number
    /// was taken is good as long as the number is the same.
    #[must_use]
    pub fn notices(&self) -> u64 {
        self.state.notices.load(Ordering::Acquire)
    }

    fn order(&self, order: Order) {
        // Without the thread there is nobody to wake. A full counter wakes too.
        if self.orders.send(order).is_ok() {
            let _ = self.wake.write(1);
        }
    }
}

#[cfg(test)]
mod tests;
