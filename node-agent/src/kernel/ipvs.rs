//! The kernel's IPVS, with a copy of its table that is renewed when somebody else has changed it.

use std::path::Path;
use std::sync::Arc;

use lvs_ipvs::{Client, Command, Error, SyncDaemon, Table};

use super::lookout::ExpectedTable;
use super::proc_ip_vs::{Fingerprint, PATH, ProcIpVs};
use crate::model;

/// The kernel's IPVS. Nothing is opened until it is needed, so a node that is no director needs no
/// IPVS at all.
#[derive(Debug, Default)]
pub struct Ipvs {
    client: Option<Client>,
    proc: Option<ProcIpVs>,
    /// The table as it was read, with our changes since.
    table: Option<Arc<Table>>,
    /// What `/proc/net/ip_vs` shows as long as nobody else changes the table.
    expected: Option<Fingerprint>,
}

impl Ipvs {
    /// The table: the copy, if it is still good.
    ///
    /// # Errors
    /// When the kernel has no IPVS or does not answer as it should.
    pub fn table(&mut self) -> Result<Arc<Table>, Error> {
        let table = if let Some(table) = self.table.take() {
            table
        } else {
            // Read before the dump: a change in between is then found at the next look.
            self.expected = self.look();
            let table = self.client()?.snapshot();
            Arc::new(self.checked(table)?)
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
            for command in commands {
                model::apply(table, command);
            }
            self.expected = Some(Fingerprint::of_table(table));
        } else {
            self.forget();
        }
        Ok(results)
    }

    /// Forgets the copy if the table may be different from it. Costs one read of a file.
    pub fn look_again(&mut self) {
        let seen = self.look();
        if seen.is_none() || seen != self.expected {
            self.forget();
        }
    }

    /// What `/proc/net/ip_vs` shows as long as nobody else changes the table.
    #[must_use]
    pub fn expected(&self) -> ExpectedTable {
        self.expected
            .map_or(ExpectedTable::Unknown, ExpectedTable::Known)
    }

    /// Reads the table anew the next time.
    pub fn forget(&mut self) {
        self.table = None;
    }

    fn look(&mut self) -> Option<Fingerprint> {
        if self.proc.is_none() {
            self.proc = ProcIpVs::open(Path::new(PATH)).ok();
        }
        let fingerprint = self.proc.as_mut()?.fingerprint();
        if fingerprint.is_err() {
            self.proc = None;
        }
        fingerprint.ok()
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
