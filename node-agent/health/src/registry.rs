//! All targets, the probes that they share, and what is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Check, Failure, Health, Mode, Policy, Probe, Schedule, Target, combine};

/// Names a probe of a [`Registry`]; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u64);

/// A probe to be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Goes with the result to [`Registry::finish`].
    pub id: RunId,
    /// What to do.
    pub probe: Arc<Probe>,
    /// Time that it may take.
    pub timeout: Duration,
}

/// What a new set of targets changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Changes<K> {
    /// Targets whose health is new or different.
    pub updated: Vec<K>,
    /// Targets that are gone.
    pub removed: Vec<K>,
    /// Probes under way that nobody waits for any more.
    pub cancelled: Vec<RunId>,
}

/// What makes two checks one: the same question, asked equally often.
type RunKey = (Arc<Probe>, Policy);

#[derive(Debug)]
struct Run<K> {
    key: RunKey,
    targets: BTreeSet<K>,
    schedule: Schedule,
}

#[derive(Debug)]
struct Entry {
    mode: Mode,
    checks: Vec<(Check, RunId)>,
    health: Health,
}

/// All targets and their state. Pure: it is told the time and the results, and says what to probe.
#[derive(Debug)]
pub struct Registry<K> {
    targets: BTreeMap<K, Entry>,
    runs: BTreeMap<RunId, Run<K>>,
    ids: HashMap<RunKey, RunId>,
    due: BTreeSet<(Instant, RunId)>,
    next_id: u64,
}

impl<K> Default for Registry<K> {
    fn default() -> Self {
        Self {
            targets: BTreeMap::new(),
            runs: BTreeMap::new(),
            ids: HashMap::new(),
            due: BTreeSet::new(),
            next_id: 0,
        }
    }
}

impl<K: Ord + Clone> Registry<K> {
    /// Makes `targets` the whole set; where a key stands twice the last one counts.
    ///
    /// A target that keeps its key keeps its state: a check whose policy or probe changes goes on
    /// from where the check of that name was, and a check that is added to a target begins in the
    /// target's state.
    pub fn replace(&mut self, targets: Vec<Target<K>>, now: Instant) -> Changes<K> {
        let desired: BTreeMap<K, Target<K>> = targets
            .into_iter()
            .map(|target| (target.key.clone(), target))
            .collect();
        let removed: Vec<K> = self
            .targets
            .keys()
            .filter(|key| !desired.contains_key(key))
            .cloned()
            .collect();
        // A probe that this call adds may still learn from its next target that the server is up.
        let first_new = RunId(self.next_id);
        let mut assigned = Vec::new();
        for (key, target) in desired {
            if self
                .targets
                .get(&key)
                .is_some_and(|entry| entry.is(&target))
            {
                continue;
            }
            let ids: Vec<RunId> = target
                .checks
                .iter()
                .map(|check| self.assign(&target, check, first_new, now))
                .collect();
            assigned.push((target, ids));
        }
        let mut abandoned = BTreeSet::new();
        for key in &removed {
            abandoned.extend(self.detach(key));
        }
        let mut updated = Vec::new();
        for (target, ids) in assigned {
            let before = self
                .targets
                .get(&target.key)
                .map(|entry| entry.health.clone());
            abandoned.extend(self.detach(&target.key));
            let key = target.key.clone();
            if Some(self.attach(target, ids, now)) != before {
                updated.push(key);
            }
        }
        Changes {
            updated,
            removed,
            cancelled: self.forget_unused(abandoned),
        }
    }

    /// The probe that serves a check, made if there is none.
    fn assign(
        &mut self,
        target: &Target<K>,
        check: &Check,
        first_new: RunId,
        now: Instant,
    ) -> RunId {
        let key: RunKey = (Arc::clone(&check.probe), check.policy.clamped());
        let seed = seed(&key);
        let existing = self.ids.get(&key).copied();
        if let Some(id) = existing
            && id < first_new
        {
            return id;
        }
        let schedule = self.inherited(target, check, seed, now);
        if let Some(id) = existing {
            if let Some(run) = self.runs.get_mut(&id)
                && schedule.is_up()
                && !run.schedule.is_up()
            {
                run.schedule = schedule;
            }
            return id;
        }
        let id = RunId(self.next_id);
        self.next_id += 1;
        self.due.extend(schedule.next_due().map(|due| (due, id)));
        self.ids.insert(key.clone(), id);
        self.runs.insert(
            id,
            Run {
                key,
                targets: BTreeSet::new(),
                schedule,
            },
        );
        id
    }

    /// State in which a new probe of this target begins.
    fn inherited(&self, target: &Target<K>, check: &Check, seed: u64, now: Instant) -> Schedule {
        let Some(entry) = self.targets.get(&target.key) else {
            return Schedule::new(check.policy, target.initially_up, seed, now);
        };
        let previous = entry
            .checks
            .iter()
            .find(|(old, _)| old.name == check.name)
            .and_then(|(_, id)| self.runs.get(id));
        match previous {
            Some(run) => run.schedule.succeeded_by(check.policy, seed, now),
            None => Schedule::new(check.policy, entry.health.up, seed, now),
        }
    }

    /// Takes a target's old entry away; returns the probes that it used.
    fn detach(&mut self, key: &K) -> Vec<RunId> {
        let Some(entry) = self.targets.remove(key) else {
            return Vec::new();
        };
        let ids: Vec<RunId> = entry.checks.into_iter().map(|(_, id)| id).collect();
        for id in &ids {
            if let Some(run) = self.runs.get_mut(id) {
                run.targets.remove(key);
            }
        }
        ids
    }

    fn attach(&mut self, target: Target<K>, ids: Vec<RunId>, now: Instant) -> Health {
        for id in &ids {
            if let Some(run) = self.runs.get_mut(id) {
                run.targets.insert(target.key.clone());
            }
        }
        let checks: Vec<(Check, RunId)> = target.checks.into_iter().zip(ids).collect();
        let health = health(target.mode, &checks, &self.runs, now);
        let entry = Entry {
            mode: target.mode,
            checks,
            health: health.clone(),
        };
        self.targets.insert(target.key, entry);
        health
    }

    /// Drops those of `ids` that no target uses; returns the ones that were under way.
    fn forget_unused(&mut self, ids: BTreeSet<RunId>) -> Vec<RunId> {
        let mut cancelled = Vec::new();
        for id in ids {
            if self.runs.get(&id).is_none_or(|run| !run.targets.is_empty()) {
                continue;
            }
            let Some(run) = self.runs.remove(&id) else {
                continue;
            };
            self.ids.remove(&run.key);
            match run.schedule.next_due() {
                Some(due) => {
                    self.due.remove(&(due, id));
                }
                None => cancelled.push(id),
            }
        }
        cancelled
    }

    /// When the next probe is due; `None` while there is nothing to wait for but results.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Begins the probe that has been due the longest, if one is due.
    pub fn start_due(&mut self, now: Instant) -> Option<Job> {
        let &(due, id) = self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        let run = self.runs.get_mut(&id)?;
        run.schedule.start(now);
        let (probe, policy) = &run.key;
        Some(Job {
            id,
            probe: Arc::clone(probe),
            timeout: policy.timeout,
        })
    }

    /// Takes the result of a probe. Returns the targets whose health it changed. The result of a
    /// probe that is no longer wanted changes nothing.
    pub fn finish(&mut self, id: RunId, result: Result<(), Failure>, now: Instant) -> Vec<K> {
        let Some(run) = self.runs.get_mut(&id) else {
            return Vec::new();
        };
        let changed = run.schedule.finish(result, now);
        self.due
            .extend(run.schedule.next_due().map(|due| (due, id)));
        if !changed {
            return Vec::new();
        }
        let Some(run) = self.runs.get(&id) else {
            return Vec::new();
        };
        let mut updated = Vec::new();
        for key in &run.targets {
            let Some(entry) = self.targets.get_mut(key) else {
                continue;
            };
            let health = health(entry.mode, &entry.checks, &self.runs, now);
            if entry.health != health {
                entry.health = health;
                updated.push(key.clone());
            }
        }
        updated
    }

    /// What is known of a target.
    #[must_use]
    pub fn health(&self, key: &K) -> Option<&Health> {
        self.targets.get(key).map(|entry| &entry.health)
    }

    /// Number of distinct probes.
    #[must_use]
    pub fn probe_count(&self) -> usize {
        self.runs.len()
    }
}

impl Entry {
    /// Whether this entry is what the target asks for.
    fn is<K>(&self, target: &Target<K>) -> bool {
        self.mode == target.mode
            && self.checks.len() == target.checks.len()
            && self
                .checks
                .iter()
                .zip(&target.checks)
                .all(|((old, _), new)| old == new)
    }
}

fn health<K>(
    mode: Mode,
    checks: &[(Check, RunId)],
    runs: &BTreeMap<RunId, Run<K>>,
    now: Instant,
) -> Health {
    let states: Vec<Health> = checks
        .iter()
        .filter_map(|(check, id)| Some(Health::of_check(check, &runs.get(id)?.schedule)))
        .collect();
    combine(mode, &states, now)
}

/// Spreads probes over time. The same probe gets the same place after every start of this program.
fn seed(key: &RunKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
