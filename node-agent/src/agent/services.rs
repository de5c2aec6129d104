//! The IPVS services: read, compared and changed one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lvs_ipvs::{Command, Error, Service, ServiceKey};
use tokio::task::yield_now;

use super::Agent;
use super::pass::Findings;
use crate::metrics::KindLabel;
use crate::op::Op;
use crate::plan::ipvs::Conditions;
use crate::plan::members::MemberKey;
use crate::programming::Work;

/// Commands that go to the kernel together, about.
const BATCH: usize = 1024;
/// Services that are looked at before others in this process may go on.
const TURN: usize = 64;

/// Services that are to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Todo {
    /// All, and those of others.
    Everything,
    /// These.
    Some(BTreeSet<ServiceKey>),
}

impl Todo {
    /// Adds services.
    pub(super) fn add(&mut self, keys: impl IntoIterator<Item = ServiceKey>) {
        if let Self::Some(todo) = self {
            todo.extend(keys);
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Some(todo) if todo.is_empty())
    }
}

impl Agent {
    /// Gives services that the kernel has their new weights. For that nothing else has to be looked at, so it comes
    /// before everything else.
    pub(super) async fn program_weights(&mut self, findings: &mut Findings) -> Result<(), Error> {
        let weights = std::mem::take(&mut self.weights);
        let Todo::Some(todo) = &mut self.todo else {
            return Ok(());
        };
        let keys: BTreeSet<ServiceKey> = weights
            .into_iter()
            .filter(|key| self.programming.has(key) && todo.remove(key))
            .collect();
        let (_, stale) = self.edit(&keys, None, findings).await?;
        self.todo.add(stale);
        Ok(())
    }

    /// Makes the services that are to be looked at equal to the plan. Says whether there was
    /// anything to change. What could not be read stays to be looked at.
    pub(super) async fn program(&mut self, findings: &mut Findings) -> Result<bool, Error> {
        let todo = std::mem::replace(&mut self.todo, Todo::Everything);
        self.weights.clear();
        let (keys, found) = match todo {
            Todo::Everything => (
                self.services.owners.keys().copied().collect(),
                Some(self.survey()?),
            ),
            Todo::Some(keys) => (keys, None),
        };
        let is_survey = found.is_some();
        let (has_changed, stale) = self.edit(&keys, found, findings).await?;
        self.todo = Todo::Some(stale);
        if is_survey {
            self.kernel.ipvs.note_end_of_reading();
        }
        Ok(has_changed)
    }

    /// Makes some services equal to the plan. `found` are all that the kernel has, if they were listed. Says
    /// whether there was anything to change, and which are to be read and compared again.
    async fn edit(
        &mut self,
        keys: &BTreeSet<ServiceKey>,
        mut found: Option<BTreeMap<ServiceKey, Service>>,
        findings: &mut Findings,
    ) -> Result<(bool, BTreeSet<ServiceKey>), Error> {
        let mut stale = BTreeSet::new();
        let mut batch = Vec::new();
        let mut has_changed = false;
        for (count, key) in keys.iter().enumerate() {
            let observed = match found.as_mut().map(|found| found.remove(key)) {
                Some(Some(service)) => Some(self.kernel.ipvs.with_destinations(service)?),
                Some(None) => None,
                None => self.kernel.ipvs.entry(key)?,
            };
            let Some(owner) = self.services.owners.get(key) else {
                continue;
            };
            let up = &self.up;
            let work = self.programming.compare(
                owner,
                key,
                observed,
                Conditions {
                    is_up: &|member: &MemberKey| up.get(member).copied().unwrap_or_default(),
                    drains: self.ownership.drains(),
                    was_without_quorum: false,
                    now_unix_seconds: now_unix_seconds(),
                },
            );
            batch.extend(work);
            if batch
                .iter()
                .map(|work: &Work| work.commands.len())
                .sum::<usize>()
                >= BATCH
            {
                has_changed = true;
                self.carry_out(&mut batch, &mut stale, findings)?;
            }
            if count % TURN == TURN - 1 {
                yield_now().await;
            }
        }
        has_changed |= !batch.is_empty();
        self.carry_out(&mut batch, &mut stale, findings)?;
        Ok((has_changed, stale))
    }

    /// Lists the services of the kernel, and takes in those of others.
    fn survey(&mut self) -> Result<BTreeMap<ServiceKey, Service>, Error> {
        let mut found: BTreeMap<ServiceKey, Service> = self
            .kernel
            .ipvs
            .services()?
            .into_iter()
            .map(|service| (service.key, service))
            .collect();
        self.programming
            .survey(&found.keys().copied().collect(), &self.services);
        let owners = &self.services.owners;
        let foreign: Vec<ServiceKey> = found
            .keys()
            .filter(|key| !owners.contains_key(key))
            .copied()
            .collect();
        for key in foreign {
            if let Some(service) = found.remove(&key) {
                let entry = self.kernel.ipvs.with_destinations(service)?;
                self.programming.note_foreign(&entry);
            }
        }
        Ok(found)
    }

    /// Sends the changes of some services to the kernel and takes in what it says.
    fn carry_out(
        &mut self,
        batch: &mut Vec<Work>,
        stale: &mut BTreeSet<ServiceKey>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let commands: Vec<Command> = batch
            .iter()
            .flat_map(|work| work.commands.clone())
            .collect();
        if commands.is_empty() {
            return Ok(());
        }
        let results = self.kernel.ipvs.apply(&commands)?;
        self.last_change = Some(Instant::now());
        let time = SystemTime::now();
        let changes = commands
            .into_iter()
            .zip(&results)
            .map(|(command, result)| self.counted_ipvs(&Op::Ipvs(command), result));
        self.outputs.ops.record(time, changes.collect());
        let mut results = results.into_iter();
        for work in batch.drain(..) {
            let results: Vec<_> = results.by_ref().take(work.commands.len()).collect();
            let aftermath = self.programming.finish(&work, &results, &self.kernel_name);
            findings.errors.extend(aftermath.errors);
            if let Some(undo) = aftermath.undo {
                self.delete(undo, findings)?;
            }
            if aftermath.is_stale {
                stale.insert(work.key);
            }
            self.note_repairs(&work, findings);
        }
        Ok(())
    }

    fn note_repairs(&self, work: &Work, findings: &mut Findings) {
        let Some(owner) = self.services.owners.get(&work.key) else {
            return;
        };
        for command in &work.repairs {
            let op = Op::Ipvs(command.clone());
            let label = KindLabel { kind: op.kind() };
            self.outputs.metrics.drift.get_or_create(&label).inc();
            findings.repairs.note(&owner.subject, &op);
        }
    }

    /// Deletes a service. One that is gone already is as well.
    pub(super) fn delete(
        &mut self,
        command: Command,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let Command::DeleteService(key) = command else {
            return Ok(());
        };
        let op = Op::Ipvs(command);
        for result in self.kernel.ipvs.apply(&[Command::DeleteService(key)])? {
            let text = self.record_ipvs(&op, &result);
            match result {
                Ok(()) => self.programming.forget(&key),
                Err(error) if error.refusal() == Some(&lvs_ipvs::Refusal::NoSuchService) => {
                    self.programming.forget(&key);
                }
                Err(_) => findings.errors.extend(text),
            }
        }
        Ok(())
    }

    /// Services whose members leave are looked at about once a second.
    pub(super) fn look_at_those_that_leave(&mut self, now: Instant) {
        if self.next_look_at_leaving.is_none_or(|at| at > now) {
            return;
        }
        let keys: Vec<ServiceKey> = self.programming.leaving().keys().copied().collect();
        self.todo.add(keys);
    }
}

/// The clock that survives restarts.
pub(super) fn now_unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}
