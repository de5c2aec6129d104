//! The kernel's IPVS, with a copy of its table that is renewed when somebody else has changed it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_ipvs::{Client, Command, Error, Origin, ServiceKey, SyncDaemon, Table};

use super::lookout::{ExpectedTable, TableWatch, Way};
use super::pace::{Pace, cpu_time};
use super::proc_ip_vs::Fingerprint;
use crate::model;

/// Time until it is tried again to be told of changes: a module may have been loaded.
const LISTEN_PAUSE: Duration = Duration::from_secs(30);

/// The kernel's IPVS. Nothing is opened until it is needed, so a node that is no director needs no
/// IPVS at all.
#[derive(Debug)]
pub struct Ipvs {
    watch: TableWatch,
    client: Option<Client>,
    /// When it was last tried to be told of changes, and which messages are ours then.
    listening: Option<(Instant, Origin)>,
    /// What was said of it last.
    announced: Option<Way>,
    /// The table as it was read, with our changes since.
    table: Option<Arc<Table>>,
    /// What is expected as long as nobody else changes the table.
    expected: ExpectedTable,
    /// When the table is to be read anew although nobody was seen to change it.
    expires: Option<Instant>,
}

impl Ipvs {
    /// Nothing is opened yet. `watch` tells of changes by others.
    #[must_use]
    pub const fn new(watch: TableWatch) -> Self {
        Self {
            watch,
            client: None,
            listening: None,
            announced: None,
            table: None,
            expected: ExpectedTable {
                fingerprint: Fingerprint::EMPTY,
                notices: 0,
            },
            expires: None,
        }
    }

    /// The table: the copy, if it is still good.
    ///
    /// # Errors
    /// When the kernel has no IPVS or does not answer as it should.
    pub fn table(&mut self) -> Result<Arc<Table>, Error> {
        let table = if let Some(table) = self.table.take() {
            table
        } else {
            let (now, before) = (Instant::now(), cpu_time());
            let origin = self.client()?.origin();
            // First: a change that comes while the table is read is noticed then.
            self.listen(origin, now);
            let notices = self.watch.notices();
            let table = self.client()?.snapshot();
            let table = self.checked(table)?;
            self.expected = ExpectedTable {
                fingerprint: Fingerprint::of_table(&table),
                notices,
            };
            let cost = cpu_time().saturating_sub(before);
            self.expires = Some(now + Pace::WHOLE.pause(cost, 0));
            Arc::new(table)
        };
        Ok(Arc::clone(self.table.insert(table)))
    }

    /// The daemons that run.
    ///
    /// # Errors
    /// When the kernel has no IPVS or does not answer as it should.
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        let daemons = self.client()?.daemons();
        self.checked(daemons)
    }

    /// Applies commands in order; each has its own result.
    ///
    /// # Errors
    /// When the kernel has no IPVS; then nothing was applied.
    pub fn apply(&mut self, commands: &[Command]) -> Result<Vec<Result<(), Error>>, Error> {
        let results = self.client()?.apply(commands);
        if results.iter().all(Result::is_ok)
            && let Some(table) = &mut self.table
        {
            let table = Arc::make_mut(table);
            let fingerprint = &mut self.expected.fingerprint;
            let keys: BTreeSet<ServiceKey> = commands
                .iter()
                .filter_map(Command::changed_service)
                .collect();
            for entry in keys.iter().filter_map(|key| table.get(key)) {
                fingerprint.remove(Fingerprint::of_entry(entry));
            }
            for command in commands {
                model::apply(table, command);
            }
            for entry in keys.iter().filter_map(|key| table.get(key)) {
                fingerprint.add(Fingerprint::of_entry(entry));
            }
        } else {
            self.forget();
        }
        Ok(results)
    }

    /// Forgets the copy if there was a notice since.
    pub fn look_again(&mut self) {
        if self.watch.notices() != self.expected.notices {
            self.forget();
        }
    }

    /// What is expected as long as nobody else changes the table.
    #[must_use]
    pub const fn expected(&self) -> ExpectedTable {
        self.expected
    }

    /// How changes by others are found.
    #[must_use]
    pub fn way(&self) -> Way {
        self.watch.way()
    }

    /// Forgets a copy that is old. A large table's, which costs more to read, may become older.
    pub fn expire(&mut self, now: Instant) {
        if self.expires.is_some_and(|expires| expires <= now) {
            self.forget();
        }
    }

    /// Reads the table anew the next time.
    pub fn forget(&mut self) {
        self.table = None;
    }

    /// Lets go of everything.
    pub fn close(&mut self) {
        self.client = None;
        self.listening = None;
        self.announced = None;
        self.forget();
    }

    /// Sees to it that changes by others are told, unless that was in vain a moment ago.
    fn listen(&mut self, origin: Origin, now: Instant) {
        let is_settled = self.listening.is_some_and(|(tried, ours)| {
            let is_fresh = now.saturating_duration_since(tried) < LISTEN_PAUSE;
            ours == origin && (is_fresh || self.watch.way() == Way::Nlmon)
        });
        if is_settled {
            return;
        }
        self.listening = Some((now, origin));
        let way = match self.watch.listen(origin) {
            Ok(()) => Way::Nlmon,
            Err(error) => {
                if self.announced != Some(Way::Poll) {
                    tracing::warn!(%error, "changes of the IPVS table by others are found by polling");
                }
                Way::Poll
            }
        };
        if self.announced != Some(way) && way == Way::Nlmon {
            tracing::info!("changes of the IPVS table by others are noticed by nlmon");
        }
        self.announced = Some(way);
    }

    fn client(&mut self) -> Result<&mut Client, Error> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect()?,
        };
        Ok(self.client.insert(client))
    }

    /// A socket that failed is replaced.
    fn checked<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.client = None;
            self.forget();
        }
        result
    }
}
