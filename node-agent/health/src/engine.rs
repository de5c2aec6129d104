//! Runs a [`Registry`] against the network.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::{self, AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant as TokioInstant, sleep_until};

use crate::probe::Network;
use crate::{Failure, Health, Job, Registry, RunId, Target};

/// Probes under way at one time. Each holds a descriptor, and the limit for descriptors that a
/// service gets is commonly 1024.
const CONCURRENCY: usize = 512;

/// Checks a set of targets until it is dropped.
#[derive(Debug)]
pub struct Engine<K> {
    desired: watch::Sender<Vec<Target<K>>>,
    results: watch::Receiver<BTreeMap<K, Health>>,
    task: JoinHandle<()>,
}

impl<K: Ord + Clone + Send + Sync + 'static> Engine<K> {
    /// Starts without targets. Must be called within a tokio runtime with time and I/O enabled.
    #[must_use]
    pub fn start() -> Self {
        let network = Arc::new(Network::default());
        Self::with_prober(move |job: Job| {
            let network = Arc::clone(&network);
            async move { network.run(&job.probe, job.timeout).await }
        })
    }

    /// Starts with another way of making a probe. `prober` must keep to the job's timeout.
    pub fn with_prober<P, F>(prober: P) -> Self
    where
        P: Fn(Job) -> F + Send + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let (desired, desired_receiver) = watch::channel(Vec::new());
        let (publisher, results) = watch::channel(BTreeMap::new());
        let shell = Shell {
            prober,
            registry: Registry::default(),
            running: JoinSet::new(),
            runs: HashMap::new(),
            publisher,
        };
        Self {
            desired,
            results,
            task: tokio::spawn(shell.run(desired_receiver)),
        }
    }

    /// Makes `targets` the whole set; see [`Registry::replace`]. Returns at once; the results
    /// follow.
    pub fn set_targets(&self, targets: Vec<Target<K>>) {
        self.desired.send_replace(targets);
    }

    /// Health of every target. A target that was just set is in it as soon as it has been taken
    /// up, with the state that it begins in.
    #[must_use]
    pub fn results(&self) -> watch::Receiver<BTreeMap<K, Health>> {
        self.results.clone()
    }
}

impl<K> Drop for Engine<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shell<K, P> {
    prober: P,
    registry: Registry<K>,
    running: JoinSet<Result<(), Failure>>,
    runs: HashMap<task::Id, (RunId, AbortHandle)>,
    publisher: watch::Sender<BTreeMap<K, Health>>,
}

impl<K, P, F> Shell<K, P>
where
    K: Ord + Clone,
    P: Fn(Job) -> F,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    async fn run(mut self, mut desired: watch::Receiver<Vec<Target<K>>>) {
        loop {
            self.start_due();
            let wake = self.registry.next_due().filter(|_| self.has_room());
            tokio::select! {
                changed = desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let targets = desired.borrow_and_update().clone();
                    self.replace(targets);
                }
                Some(ended) = self.running.join_next_with_id() => self.finish(ended),
                () = sleep_until(wake.map_or_else(TokioInstant::now, Into::into)), if wake.is_some() => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        self.running.len() < CONCURRENCY
    }

    fn start_due(&mut self) {
        while self.has_room() {
            let Some(job) = self.registry.start_due(now()) else {
                return;
            };
            let id = job.id;
            let abort = self.running.spawn((self.prober)(job));
            self.runs.insert(abort.id(), (id, abort));
        }
    }

    fn replace(&mut self, targets: Vec<Target<K>>) {
        let changes = self.registry.replace(targets, now());
        for (id, abort) in self.runs.values() {
            if changes.cancelled.binary_search(id).is_ok() {
                abort.abort();
            }
        }
        let registry = &self.registry;
        self.publisher.send_if_modified(|results| {
            for key in &changes.removed {
                results.remove(key);
            }
            publish(results, registry, &changes.updated);
            !(changes.removed.is_empty() && changes.updated.is_empty())
        });
    }

    fn finish(&mut self, ended: Result<(task::Id, Result<(), Failure>), task::JoinError>) {
        let (task, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let failure = Failure::NotRun("the probe was interrupted".into());
                (error.id(), Err(failure))
            }
        };
        let Some((id, _)) = self.runs.remove(&task) else {
            return;
        };
        let updated = self.registry.finish(id, result, now());
        let registry = &self.registry;
        self.publisher.send_if_modified(|results| {
            publish(results, registry, &updated);
            !updated.is_empty()
        });
    }
}

fn publish<K: Ord + Clone>(results: &mut BTreeMap<K, Health>, registry: &Registry<K>, keys: &[K]) {
    for key in keys {
        if let Some(health) = registry.health(key) {
            results.insert(key.clone(), health.clone());
        }
    }
}

/// The runtime's clock, which tests can stop.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

#[cfg(test)]
mod tests;
