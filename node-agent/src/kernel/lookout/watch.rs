//! The thread.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use tokio::sync::Notify;

use super::burst::Burst;
use super::{Expected, ExpectedTable, Order, PERIOD, State};
use crate::kernel::nlmon::{DEVICE, Nlmon};
use crate::kernel::pace::{Pace, cpu_time};
use crate::kernel::proc_ip_vs::{Fingerprint, PATH, ProcIpVs};
use crate::kernel::sysctls::{Sysctl, Sysctls};

/// Room for a sysctl's value: numbers, or a few words.
const VALUE_BYTES: usize = 256;

/// What the thread works with.
pub(super) struct Watch {
    orders: Receiver<Order>,
    wake: Arc<EventFd>,
    state: Arc<State>,
    different: Arc<Notify>,
    sysctls: Sysctls,
    /// Whether a difference is to be told.
    is_expecting: bool,
    values: Vec<Watched>,
    /// When the values are looked at next.
    values_due: Instant,
    expected_table: Option<ExpectedTable>,
    /// When the table is looked at next.
    table_due: Instant,
    /// Looks in a row that showed another table than expected.
    differences: u32,
    table: Option<ProcIpVs>,
    nlmon: Option<Nlmon>,
    /// Whether there may be a device of ours: that of an earlier run, at first.
    may_have_device: bool,
    burst: Burst,
}

/// A sysctl as it is expected.
struct Watched {
    sysctl: Sysctl,
    value: String,
    file: Option<File>,
}

impl Watch {
    pub(super) fn new(
        orders: Receiver<Order>,
        wake: Arc<EventFd>,
        state: Arc<State>,
        different: Arc<Notify>,
        sysctls: Sysctls,
    ) -> Self {
        let now = Instant::now();
        Self {
            orders,
            wake,
            state,
            different,
            sysctls,
            is_expecting: false,
            values: Vec::new(),
            values_due: now,
            expected_table: None,
            table_due: now,
            differences: 0,
            table: None,
            nlmon: None,
            may_have_device: true,
            burst: Burst::default(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            if let Err(error) = self.wait() {
                tracing::error!(%error, "changes by others are not looked for any more");
                return;
            }
            let _ = self.wake.read();
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Expect(expected) => self.expect(expected),
                    Order::Listen(nlmon) => {
                        self.nlmon = nlmon;
                        self.may_have_device = true;
                    }
                    Order::Stop => {
                        self.close();
                        return;
                    }
                }
            }
            self.listen();
            if self.is_expecting {
                self.look();
            }
        }
    }

    /// Waits for an order, a notice or the time of the next look.
    fn wait(&self) -> io::Result<()> {
        let due = self.is_expecting.then(|| self.due()).flatten();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            let rest = due.saturating_duration_since(Instant::now());
            // Rounded up, or the last millisecond would be spent in circles.
            let rest = rest.saturating_add(Duration::from_micros(999));
            PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX)
        });
        let wake = PollFd::new(self.wake.as_fd(), PollFlags::POLLIN);
        let polled = match &self.nlmon {
            Some(nlmon) => poll(
                &mut [wake, PollFd::new(nlmon.as_fd(), PollFlags::POLLIN)],
                timeout,
            ),
            None => poll(&mut [wake], timeout),
        };
        match polled {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn due(&self) -> Option<Instant> {
        let values = (!self.values.is_empty()).then_some(self.values_due);
        let table = self.expected_table.map(|_| self.table_due);
        [values, table, self.burst.due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn expect(&mut self, expected: Option<Expected>) {
        self.is_expecting = expected.is_some();
        let Some(expected) = expected else {
            return;
        };
        let is_same = self.values.len() == expected.sysctls.len()
            && self
                .values
                .iter()
                .zip(&expected.sysctls)
                .all(|(old, (sysctl, value))| old.sysctl == *sysctl && old.value == *value);
        if !is_same {
            self.values = expected
                .sysctls
                .into_iter()
                .map(|(sysctl, value)| Watched {
                    sysctl,
                    value,
                    file: None,
                })
                .collect();
        }
        self.expected_table = expected.ipvs;
        match expected.ipvs {
            Some(table) if table.notices == self.state.notices.load(Ordering::Acquire) => {
                self.burst.forget();
            }
            // Something came while the table was read.
            Some(_) => self.burst.notice(Instant::now()),
            None => {
                self.burst.forget();
                self.table = None;
                self.close();
            }
        }
    }

    /// Stops listening, and deletes the device.
    fn close(&mut self) {
        self.nlmon = None;
        self.state.is_listening.store(false, Ordering::Release);
        if std::mem::take(&mut self.may_have_device)
            && let Err(error) = Nlmon::remove_device()
        {
            tracing::warn!(%error, "the device {DEVICE} is left");
        }
    }

    /// Takes up what has come.
    fn listen(&mut self) {
        let Some(nlmon) = &mut self.nlmon else {
            return;
        };
        let has_noticed = match nlmon.has_noticed() {
            Ok(has_noticed) => has_noticed,
            Err(error) => {
                tracing::warn!(%error, "the device {DEVICE} is gone; the IPVS table is polled");
                self.nlmon = None;
                self.state.is_listening.store(false, Ordering::Release);
                true
            }
        };
        if has_noticed {
            self.notice();
        }
    }

    fn notice(&mut self) {
        self.state.notices.fetch_add(1, Ordering::AcqRel);
        self.burst.notice(Instant::now());
    }

    /// Looks at what is due.
    fn look(&mut self) {
        let now = Instant::now();
        let mut is_different = self.burst.due().is_some_and(|due| due <= now);
        if !self.values.is_empty() && self.values_due <= now {
            self.values_due = now + PERIOD;
            let sysctls = &self.sysctls;
            is_different |= self
                .values
                .iter_mut()
                .any(|value| value.is_different(sysctls));
        }
        if let Some(expected) = self.expected_table
            && self.table_due <= now
        {
            let before = cpu_time();
            let is_other = self.fingerprint() != Some(expected.fingerprint);
            self.differences = if is_other {
                self.differences.saturating_add(1)
            } else {
                0
            };
            if is_other {
                self.notice();
                is_different = true;
            }
            let pace = if self.nlmon.is_some() {
                Pace::BESIDE_NLMON
            } else {
                Pace::ALONE
            };
            let cost = cpu_time().saturating_sub(before);
            self.table_due = now + pace.pause(cost, self.differences);
        }
        if is_different {
            self.burst.tell(now);
            self.is_expecting = false;
            self.different.notify_one();
        }
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

impl Watched {
    fn is_different(&mut self, sysctls: &Sysctls) -> bool {
        // The file of an interface that is gone cannot be read any more; there may be another of that name.
        let is_as_expected = self.is_as_expected(sysctls).unwrap_or(false);
        if !is_as_expected {
            self.file = None;
        }
        !is_as_expected
    }

    fn is_as_expected(&mut self, sysctls: &Sysctls) -> io::Result<bool> {
        let file = match self.file.take() {
            Some(file) => file,
            None => sysctls.open(&self.sysctl)?,
        };
        let mut bytes = [0; VALUE_BYTES];
        let length = file.read_at(&mut bytes, 0)?;
        self.file = Some(file);
        let shown = bytes.get(..length).unwrap_or_default();
        Ok(shown.trim_ascii_end() == self.value.as_bytes())
    }
}
