//! Needs a client: the loop. Something has changed → snapshot → decide → write what differs.
//!
//! It is level-triggered: it never asks what has changed, and a run that stops half-way is made up
//! for by the next.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::{api::core::v1::ObjectReference, jiff::Timestamp};
use kube::{
    Api,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use lvs_crds::{
    GROUP,
    v1alpha1::{DirectorPair, RealServer, VirtualService},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    time::MissedTickBehavior,
};

use crate::{
    admin::Heartbeat,
    agents,
    announcement::Announcement,
    cluster::{Cluster, FIELD_MANAGER, FirstError, WriteError},
    decision::{DecideError, Decision, Memory, Settings, StatusWrite, Told, decide},
    digest, director_pair,
    metrics::Metrics,
    node,
    stores::Stores,
    virtual_service,
};

/// Changes that come within this time are answered together.
const COALESCE: Duration = Duration::from_millis(50);
/// Time between two runs when nothing changes: to repair what others changed, and for decisions
/// that depend on the time.
const RESYNC: Duration = Duration::from_secs(30);
/// First and longest time before a run that failed is repeated.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Longest note of an Event; the API server takes 1 KiB.
const NOTE_CHARACTERS: usize = 250;
/// How long one run writes statuses. Those that are left over are for the next run, which comes at
/// once and writes the latest plans before them.
const STATUS_TIME: Duration = Duration::from_secs(1);
/// How many statuses are written at the same time.
const CONCURRENCY: usize = 8;

/// What stopped a run.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Decide(#[from] DecideError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The loop.
pub struct Controller {
    stores: Stores,
    cluster: Cluster,
    metrics: Metrics,
    heartbeat: Heartbeat,
    reporter: Reporter,
    settings: Settings,
    memory: Memory,
    /// Digests of objects that are written but not watched, by name.
    written: BTreeMap<String, String>,
}

impl Controller {
    /// A loop over these stores. `identity` names this replica in Events, `secrets_role` the
    /// Role that lets directors read their Secrets.
    #[must_use]
    pub fn new(
        stores: Stores,
        cluster: Cluster,
        metrics: Metrics,
        heartbeat: Heartbeat,
        identity: String,
        secrets_role: String,
    ) -> Self {
        Self {
            stores,
            cluster,
            metrics,
            heartbeat,
            reporter: Reporter {
                controller: FIELD_MANAGER.to_owned(),
                instance: Some(identity),
            },
            settings: Settings { secrets_role },
            memory: Memory::default(),
            written: BTreeMap::new(),
        }
    }

    /// Runs until `stop` turns true. Writes only while `leading` is true; the stores are kept up to
    /// date meanwhile.
    pub async fn run(
        mut self,
        changed: Arc<Notify>,
        synced: watch::Sender<bool>,
        mut leading: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
    ) {
        let heartbeat = self.heartbeat.clone();
        let mut ticks = tokio::time::interval(RESYNC);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let filled = async {
            loop {
                tokio::select! {
                    () = self.stores.synced() => break,
                    _ = ticks.tick() => heartbeat.beat(),
                }
            }
        };
        tokio::select! {
            () = filled => {}
            () = turns(&mut stop, true) => return,
        }
        synced.send_replace(true);
        tracing::info!("the stores are filled");

        let mut retry: Option<Duration> = None;
        loop {
            let again = async {
                match retry {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed.notified() => tokio::time::sleep(COALESCE).await,
                // What nobody watches is written again.
                _ = ticks.tick() => self.written.clear(),
                result = leading.changed() => {
                    if result.is_err() {
                        return;
                    }
                }
                () = again => {}
                () = turns(&mut stop, true) => return,
            }
            heartbeat.beat();
            let leads = *leading.borrow_and_update();
            self.metrics.lead(leads);
            let began = Instant::now();
            let result = tokio::select! {
                result = self.run_once(leads) => result,
                // A replica that has lost the Lease stops where it is.
                () = turns(&mut leading, false), if leads => continue,
            };
            self.metrics.ran(began.elapsed(), result.is_ok());
            retry = match result {
                Ok(Statuses::Written) => None,
                Ok(Statuses::LeftOver) => Some(Duration::ZERO),
                Err(error) => {
                    let delay = retry.map_or(RETRY.0, |delay| (delay * 2).clamp(RETRY.0, RETRY.1));
                    tracing::warn!(%error, ?delay, "a run failed; it is repeated");
                    Some(delay)
                }
            };
        }
    }

    async fn run_once(&mut self, leads: bool) -> Result<Statuses, RunError> {
        let world = self.stores.snapshot();
        let now = Timestamp::now();
        self.memory.active_since.update(&world, now);
        if !leads {
            return Ok(Statuses::Written);
        }
        self.memory.pairs.expire(now);
        self.memory.services.expire(now);
        self.memory.real_servers.expire(now);
        let decision = decide(&world, &self.memory, &self.settings, now)?;
        for (kind, all, rejected) in decision.counts {
            self.metrics.count(kind, all, rejected);
        }
        for error in &decision.template_errors {
            tracing::error!(%error, "the agents cannot be scheduled");
        }
        // The steps do not wait for each other's success.
        let plans = self.write_plans(&decision).await;
        let agents = self.write_agents(&decision).await;
        let statuses = self.write_statuses(decision, now).await;
        plans.and(agents)?;
        statuses
    }

    async fn write_plans(&self, decision: &Decision) -> Result<(), RunError> {
        let slices = virtual_service::apply::apply(&self.cluster, &decision.slices).await;
        let nodes = node::apply::apply(&self.cluster, &decision.nodes).await;
        let mut first = FirstError::default();
        first.note(slices);
        first.note(nodes);
        Ok(first.result()?)
    }

    async fn write_agents(&mut self, decision: &Decision) -> Result<(), RunError> {
        let role = self.settings.secrets_role.clone();
        if let Some(digest) = self.unwritten(&role, &decision.secrets_role)? {
            director_pair::apply::apply(&self.cluster, &role, &decision.secrets_role).await?;
            self.written.insert(role, digest);
        }
        for (name, daemon_set) in &decision.daemon_sets {
            if let Some(digest) = self.unwritten(name, daemon_set)? {
                agents::apply::apply(&self.cluster, name, daemon_set).await?;
                self.written.insert(name.clone(), digest);
            }
        }
        for pod in &decision.restarts {
            agents::apply::restart(&self.cluster, pod).await?;
        }
        Ok(())
    }

    /// The digest of an object, unless it has been written like this.
    fn unwritten(&self, name: &str, object: &Value) -> Result<Option<String>, DecideError> {
        let digest = digest::of(object)?;
        Ok((self.written.get(name) != Some(&digest)).then_some(digest))
    }

    async fn write_statuses(
        &mut self,
        decision: Decision,
        now: Timestamp,
    ) -> Result<Statuses, RunError> {
        let Self {
            cluster,
            reporter,
            memory,
            ..
        } = self;
        let teller = Teller {
            cluster,
            reporter,
            until: Instant::now() + STATUS_TIME,
        };
        let Decision {
            pairs,
            services,
            real_servers,
            ..
        } = decision;
        let all = |_: Option<&str>| cluster.all::<DirectorPair>();
        let pairs = write(&teller, all, pairs, &mut memory.pairs, now).await;
        let within = |namespace: Option<&str>| cluster.within::<VirtualService>(namespace);
        let services = write(&teller, within, services, &mut memory.services, now).await;
        let within = |namespace: Option<&str>| cluster.within::<RealServer>(namespace);
        let real_servers =
            write(&teller, within, real_servers, &mut memory.real_servers, now).await;
        Ok(pairs?.and(services?).and(real_servers?))
    }
}

/// Waits until the channel has this value, or nobody can change it any more.
async fn turns(channel: &mut watch::Receiver<bool>, value: bool) {
    // An error means that the sender is gone, which ends the wait as well.
    let _ = channel.wait_for(|present| *present == value).await;
}

/// Whether all statuses of a run were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statuses {
    Written,
    /// The time for them was over before.
    LeftOver,
}

impl Statuses {
    const fn and(self, other: Self) -> Self {
        match self {
            Self::Written => other,
            Self::LeftOver => self,
        }
    }
}

/// Writes statuses and tells about them.
struct Teller<'a> {
    cluster: &'a Cluster,
    reporter: &'a Reporter,
    /// When the next run is due.
    until: Instant,
}

/// Writes statuses of a kind, and tells about those that were written.
async fn write<K, S>(
    teller: &Teller<'_>,
    api: impl Fn(Option<&str>) -> Api<K>,
    writes: Vec<StatusWrite<S>>,
    told: &mut Told<S>,
    now: Timestamp,
) -> Result<Statuses, WriteError>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize + PartialEq,
{
    let mut outcome = Ok(Statuses::Written);
    let count = writes.len();
    let mut answered = 0;
    // Polled only when there is room for another write.
    let in_time = writes
        .into_iter()
        .take_while(|_| Instant::now() < teller.until);
    let mut results = stream::iter(in_time)
        .map(|write| async {
            let name = write.object.name.clone().unwrap_or_default();
            let body = json!({
                "apiVersion": format!("{GROUP}/v1alpha1"),
                "kind": K::kind(&()),
                "metadata": {"name": name, "namespace": write.object.namespace},
                "status": write.status,
            });
            let api = api(write.object.namespace.as_deref());
            let result = teller.cluster.apply_status(&api, &name, &body).await;
            (write, result)
        })
        .buffer_unordered(CONCURRENCY);
    while let Some((write, result)) = results.next().await {
        answered += 1;
        match result {
            Ok(()) => {
                teller.announce(&write.object, &write.announcements).await;
                told.wrote(write.object.uid.unwrap_or_default(), write.status, now);
            }
            // The object is gone, so nobody misses its status.
            Err(WriteError::Api { source, .. }) if is_not_found(&source) => {}
            Err(error) => outcome = Err(error),
        }
    }
    if answered < count && outcome.is_ok() {
        return Ok(Statuses::LeftOver);
    }
    outcome
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(answer) if answer.code == 404)
}

impl Teller<'_> {
    /// Publishes Events. One that is lost is lost: the status has the same in other words.
    async fn announce(&self, object: &ObjectReference, announcements: &[Announcement]) {
        for announcement in announcements {
            let event = Event {
                type_: if announcement.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: announcement.reason.clone(),
                note: Some(announcement.message.chars().take(NOTE_CHARACTERS).collect()),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            // A recorder joins Events that differ in their note alone, and every note counts here.
            let recorder = Recorder::new(self.cluster.client(), self.reporter.clone());
            if let Err(error) = recorder.publish(&event, object).await {
                tracing::warn!(%error, reason = announcement.reason, "an Event was lost");
            }
        }
    }
}
