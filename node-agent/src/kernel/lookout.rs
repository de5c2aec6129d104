//! Notices for what the kernel sends none for: the IPVS table and sysctls.
//!
//! A thread of its own looks every [`PERIOD`] and says so when something is not as expected. It
//! costs a few system calls per look, where a timer of the runtime costs several times that.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::Notify;

use super::proc_ip_vs::{Fingerprint, PATH, ProcIpVs};
use super::sysctls::{Sysctl, Sysctls};

/// Time between two looks.
pub const PERIOD: Duration = Duration::from_millis(500);

/// The thread reads small files and compares; it needs no more.
const STACK_BYTES: usize = 128 * 1024;

/// What the kernel shows as long as nobody changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The IPVS table, if it is looked at.
    pub ipvs: Option<ExpectedTable>,
    /// Sysctls and their values.
    pub sysctls: Vec<(Sysctl, String)>,
}

/// What `/proc/net/ip_vs` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedTable {
    /// A table of this fingerprint.
    Known(Fingerprint),
    /// Nobody knows, because the file could not be read: every look says that something may be
    /// different.
    Unknown,
}

/// The thread, from outside. It ends when this is dropped.
#[derive(Debug)]
pub struct Lookout {
    orders: Sender<Option<Expected>>,
    different: Arc<Notify>,
}

impl Lookout {
    /// Starts the thread. It looks at nothing until it is told to.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(sysctls: Sysctls) -> io::Result<Self> {
        let (orders, received) = channel();
        let different = Arc::new(Notify::new());
        let watch = Watch {
            sysctls,
            table: None,
        };
        let tell = Arc::clone(&different);
        std::thread::Builder::new()
            .name("lookout".into())
            .stack_size(STACK_BYTES)
            .spawn(move || watch.run(&received, &tell))?;
        Ok(Self { orders, different })
    }

    /// Looks for differences from this from now on; for nothing at all with `None`.
    pub fn expect(&self, expected: Option<Expected>) {
        // The thread ends with this value alone, so it is there.
        let _ = self.orders.send(expected);
    }

    /// Waits until something is different. It is told once; then nothing is looked at until
    /// [`Lookout::expect`] is called again.
    pub async fn different(&self) {
        self.different.notified().await;
    }
}

struct Watch {
    sysctls: Sysctls,
    table: Option<ProcIpVs>,
}

impl Watch {
    fn run(mut self, orders: &Receiver<Option<Expected>>, different: &Notify) {
        let mut expected: Option<Expected> = None;
        loop {
            let order = match &expected {
                Some(_) => orders.recv_timeout(PERIOD),
                None => orders.recv().map_err(RecvTimeoutError::from),
            };
            match order {
                Ok(order) => expected = order,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let is_different = expected.as_ref().is_some_and(|it| self.differs_from(it));
                    if is_different {
                        expected = None;
                        different.notify_one();
                    }
                }
            }
        }
    }

    fn differs_from(&mut self, expected: &Expected) -> bool {
        let table_differs = match expected.ipvs {
            None => false,
            Some(ExpectedTable::Unknown) => true,
            Some(ExpectedTable::Known(fingerprint)) => self.fingerprint() != Some(fingerprint),
        };
        table_differs
            || expected
                .sysctls
                .iter()
                .any(|(sysctl, value)| self.sysctls.read(sysctl).ok().as_ref() != Some(value))
    }

    fn fingerprint(&mut self) -> Option<Fingerprint> {
        let mut table = match self.table.take() {
            Some(table) => table,
            None => ProcIpVs::open(Path::new(PATH)).ok()?,
        };
        let fingerprint = table.fingerprint().ok()?;
        self.table = Some(table);
        Some(fingerprint)
    }
}

#[cfg(test)]
mod tests;
