//! What is known of the kernel's IPVS services without keeping its table: per service a fingerprint of
//! what it shows and of the plan that it equals. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lvs_ipvs::{Command, DestinationKey, Error, ServiceKey, TableEntry};

use crate::diff;
use crate::kernel::proc_ip_vs::Fingerprint;
use crate::model;
use crate::plan::ipvs::{self, Conditions, PlannedService};
use crate::plan::services::{ResolvedService, Services};
use crate::report::refusal::{NodeKernel, Refused, Verdict};

/// The services of the kernel.
#[derive(Debug, Default)]
pub struct Programming {
    /// All that the kernel has, whoever made them.
    found: BTreeMap<ServiceKey, Found>,
    /// What of ours the kernel refuses.
    refused: BTreeMap<ServiceKey, Tried>,
    /// Those that are below their quorum.
    without_quorum: BTreeSet<ServiceKey>,
    /// Destinations that leave and are still there, with their connections.
    leaving: BTreeMap<ServiceKey, BTreeMap<DestinationKey, u64>>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    /// What the kernel shows of it.
    shown: Fingerprint,
    /// The plan that it equals.
    settled: Option<u64>,
}

#[derive(Clone, Debug)]
struct Tried {
    /// The plan that was tried; `None` when it is to be tried again.
    planned: Option<u64>,
    why: Refused,
}

/// Changes of one service.
#[derive(Debug)]
pub struct Work {
    /// The service.
    pub key: ServiceKey,
    /// The changes, in their order.
    pub commands: Vec<Command>,
    /// Those of them that undo what somebody else has done.
    pub repairs: Vec<Command>,
    planned: u64,
    is_new: bool,
    after: Option<TableEntry>,
}

/// What is left to do after the changes of a service were tried.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// The service is to be read and compared again.
    pub is_stale: bool,
    /// The kernel does not take the plan of it, or not in full.
    pub is_refused: bool,
    /// A new service that would not work as it is planned goes.
    pub undo: Option<Command>,
    /// What may pass.
    pub errors: Vec<String>,
}

impl Programming {
    /// Takes in which services the kernel has. What is known of others is forgotten; of a planned one it stays until
    /// that is compared: it tells that somebody has deleted the service.
    pub fn survey(&mut self, keys: &BTreeSet<ServiceKey>, services: &Services) {
        self.found
            .retain(|key, _| keys.contains(key) || services.owners.contains_key(key));
    }

    /// Takes in a service of somebody else.
    pub fn note_foreign(&mut self, entry: &TableEntry) {
        let found = Found {
            shown: Fingerprint::of_entry(entry),
            settled: None,
        };
        self.found.insert(entry.service.key, found);
    }

    /// Compares a service of ours with what the kernel has of it, and says what has to change.
    pub fn compare(
        &mut self,
        owner: &ResolvedService,
        key: &ServiceKey,
        observed: Option<TableEntry>,
        conditions: Conditions<'_>,
    ) -> Option<Work> {
        let settled = self.found.get(key).and_then(|found| found.settled);
        let was_without_quorum = self.without_quorum.contains(key)
            || (settled.is_none() && shows_lost_quorum(owner, key, observed.as_ref()));
        let planned = ipvs::plan(
            owner,
            key,
            Conditions {
                was_without_quorum,
                ..conditions
            },
        )?;
        if planned.is_without_quorum {
            self.without_quorum.insert(*key);
        } else {
            self.without_quorum.remove(key);
        }
        let fingerprint = planned.fingerprint();
        let diff = diff::ipvs::service(&planned, observed.as_ref());
        if diff.leaving.is_empty() {
            self.leaving.remove(key);
        } else {
            self.leaving.insert(*key, diff.leaving);
        }
        let is_settled = diff.commands.is_empty();
        self.note(key, observed.as_ref(), is_settled.then_some(fingerprint));
        if is_settled {
            self.refused.remove(key);
            return None;
        }
        let is_refused = |tried: &Tried| tried.planned == Some(fingerprint);
        if self.refused.get(key).is_some_and(is_refused) {
            return None;
        }
        let is_repair = settled == Some(fingerprint);
        let repairs = diff
            .commands
            .iter()
            .filter(|command| is_repair && !ends_departure(&planned, command));
        let repairs = repairs.cloned().collect();
        let is_new = observed.as_ref().is_none_or(diff::ipvs::is_bare);
        let mut after = observed;
        for command in &diff.commands {
            model::apply(&mut after, command);
        }
        Some(Work {
            key: *key,
            commands: diff.commands,
            repairs,
            planned: fingerprint,
            is_new,
            after,
        })
    }

    /// Takes in how the changes of a service went: one result for each.
    pub fn finish(
        &mut self,
        work: &Work,
        results: &[Result<(), Error>],
        kernel: &NodeKernel,
    ) -> Aftermath {
        let mut aftermath = Aftermath::default();
        let failed = results
            .iter()
            .zip(&work.commands)
            .filter_map(|(result, command)| Some((result.as_ref().err()?, command)));
        for (error, command) in failed {
            match kernel.verdict(error) {
                Verdict::Stale => aftermath.is_stale = true,
                Verdict::Failed => {
                    aftermath.is_stale = true;
                    aftermath.errors.push(error.to_string());
                }
                Verdict::Refused(refused) => {
                    let is_service =
                        matches!(command, Command::AddService(_) | Command::SetService(_));
                    // The first of several is the reason of the others as often as not.
                    if !aftermath.is_refused {
                        let tried = Tried {
                            planned: Some(work.planned),
                            why: refused,
                        };
                        self.refused.insert(work.key, tried);
                    }
                    aftermath.is_refused = true;
                    aftermath.is_stale = true;
                    if is_service && work.is_new {
                        aftermath.undo = Some(Command::DeleteService(work.key));
                    }
                    // What follows a service that could not be added is refused for that.
                    if matches!(command, Command::AddService(_)) {
                        aftermath.undo = None;
                        break;
                    }
                }
            }
        }
        if aftermath == Aftermath::default() {
            self.note(&work.key, work.after.as_ref(), Some(work.planned));
            self.refused.remove(&work.key);
        }
        aftermath
    }

    /// Takes in that a service was deleted, or is not there.
    pub fn forget(&mut self, key: &ServiceKey) {
        self.found.remove(key);
        self.leaving.remove(key);
    }

    /// Forgets what it knows of services that are not planned any more.
    pub fn follow(&mut self, services: &Services) {
        let is_ours = |key: &ServiceKey| services.owners.contains_key(key);
        self.refused.retain(|key, _| is_ours(key));
        self.without_quorum.retain(is_ours);
        self.leaving.retain(|key, _| is_ours(key));
    }

    /// Lets what was refused be tried again.
    pub fn retry_refused(&mut self) {
        for tried in self.refused.values_mut() {
            tried.planned = None;
        }
    }

    /// Whether the kernel has a service.
    #[must_use]
    pub fn has(&self, key: &ServiceKey) -> bool {
        self.found.contains_key(key)
    }

    /// The services that the kernel has.
    pub fn keys(&self) -> impl Iterator<Item = &ServiceKey> {
        self.found.keys()
    }

    /// What the kernel refuses.
    pub fn refused(&self) -> impl Iterator<Item = (&ServiceKey, &Refused)> {
        self.refused.iter().map(|(key, tried)| (key, &tried.why))
    }

    /// The services that are below their quorum.
    #[must_use]
    pub const fn without_quorum(&self) -> &BTreeSet<ServiceKey> {
        &self.without_quorum
    }

    /// Destinations that leave and are still there, with their connections.
    #[must_use]
    pub const fn leaving(&self) -> &BTreeMap<ServiceKey, BTreeMap<DestinationKey, u64>> {
        &self.leaving
    }

    /// What `/proc/net/ip_vs` shows as long as nobody else changes the table.
    #[must_use]
    pub fn shown(&self) -> Fingerprint {
        let mut whole = Fingerprint::EMPTY;
        for found in self.found.values() {
            whole.add(found.shown);
        }
        whole
    }

    fn note(&mut self, key: &ServiceKey, entry: Option<&TableEntry>, settled: Option<u64>) {
        match entry {
            Some(entry) => {
                let shown = Fingerprint::of_entry(entry);
                self.found.insert(*key, Found { shown, settled });
            }
            None => {
                self.found.remove(key);
            }
        }
    }
}

fn shows_lost_quorum(
    owner: &ResolvedService,
    key: &ServiceKey,
    observed: Option<&TableEntry>,
) -> bool {
    let destinations = observed.into_iter().flat_map(|entry| &entry.destinations);
    let weights = destinations.map(|found| (found.destination.key, found.destination.weight));
    ipvs::shows_lost_quorum(owner, key, weights)
}

/// Whether a command removes a destination that has left as planned.
fn ends_departure(planned: &PlannedService, command: &Command) -> bool {
    let Command::DeleteDestination { destination, .. } = command else {
        return false;
    };
    let found = planned
        .destinations
        .binary_search_by_key(destination, |planned| planned.destination.key);
    found
        .ok()
        .and_then(|position| planned.destinations.get(position))
        .is_some_and(|planned| planned.leaves)
}

#[cfg(test)]
mod tests;
