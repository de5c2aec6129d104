//! No client: everything that is to be written, from one snapshot.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::ObjectReference,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Resource, ResourceExt};
use lvs_crds::v1alpha1::{DirectorPairStatus, RealServerStatus, VirtualServiceStatus};
use serde_json::Value;

use crate::{
    agents::{
        rollout,
        template::{self, Agent, TemplateError},
    },
    announcement::{Announce, Announcement, announcements},
    director_pair::{
        self,
        observe::{ActiveSince, PairReport, observe},
    },
    node, pipeline, real_server, virtual_service,
    world::{Current, World, key},
};

/// How long a status that was written counts although the watch has not brought it.
const TOLD_FOR: SignedDuration = SignedDuration::from_secs(5);

/// What could not be decided.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// A digest could not be made.
    #[error("a plan cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A status to write, and what to tell about it.
#[derive(Clone, Debug)]
pub struct StatusWrite<S> {
    /// The object.
    pub object: ObjectReference,
    /// Its new status.
    pub status: S,
    /// Events about the change.
    pub announcements: Vec<Announcement>,
}

/// Statuses that were written a moment ago, by UID: the watch brings them back only later, and
/// until then nothing is written or told twice.
#[derive(Clone, Debug)]
pub struct Told<S>(BTreeMap<String, (Timestamp, S)>);

impl<S> Default for Told<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: PartialEq> Told<S> {
    /// A status was written.
    pub fn wrote(&mut self, uid: String, status: S, now: Timestamp) {
        self.0.insert(uid, (now, status));
    }

    /// Forgets what is too old to count.
    pub fn expire(&mut self, now: Timestamp) {
        self.0
            .retain(|_, (written, _)| now.duration_since(*written) < TOLD_FOR);
    }

    /// The status of an object: what was written last, else what the snapshot has.
    fn latest<'a>(&'a self, uid: Option<&str>, present: Option<&'a S>) -> Option<&'a S> {
        uid.and_then(|uid| self.0.get(uid))
            .map(|(_, status)| status)
            .or(present)
    }
}

/// What the loop remembers between runs. Losing it does no harm.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Since when directors have been Active.
    pub active_since: ActiveSince,
    /// Statuses of pairs.
    pub pairs: Told<DirectorPairStatus>,
    /// Statuses of virtual services.
    pub services: Told<VirtualServiceStatus>,
    /// Statuses of real servers.
    pub real_servers: Told<RealServerStatus>,
}

/// Everything that is to be written.
#[derive(Debug, Default)]
pub struct Decision {
    /// Slices.
    pub slices: virtual_service::apply::Changes,
    /// Plans and labels of nodes.
    pub nodes: node::apply::Changes,
    /// The Role that lets directors read their Secrets.
    pub secrets_role: Value,
    /// The agents' `DaemonSet`s by name.
    pub daemon_sets: Vec<(String, Value)>,
    /// What is wrong with the agents' templates.
    pub template_errors: Vec<TemplateError>,
    /// Pods of directors' agents to delete.
    pub restarts: Vec<String>,
    /// Statuses of pairs.
    pub pairs: Vec<StatusWrite<DirectorPairStatus>>,
    /// Statuses of virtual services.
    pub services: Vec<StatusWrite<VirtualServiceStatus>>,
    /// Statuses of real servers.
    pub real_servers: Vec<StatusWrite<RealServerStatus>>,
    /// How many objects of each kind there are, and how many are not accepted.
    pub counts: [(&'static str, usize, usize); 3],
}

/// What the operator was told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the Role that lets directors read their Secrets.
    pub secrets_role: String,
}

/// Decides what is to be written.
///
/// # Errors
/// When a plan cannot be written as JSON.
pub fn decide(
    world: &World,
    memory: &Memory,
    settings: &Settings,
    now: Timestamp,
) -> Result<Decision, DecideError> {
    let current = Current::new(world);
    let verdicts = pipeline::validate(world, &current)?;
    let plans = pipeline::compile(world, &current, &verdicts)?;
    let reports = observe(world, &plans, &memory.active_since, now);
    let mut decision = Decision {
        slices: virtual_service::apply::changes(world, &plans),
        nodes: node::apply::changes(world, &plans),
        secrets_role: director_pair::apply::secrets_role(world, &settings.secrets_role),
        ..Decision::default()
    };
    decide_agents(world, &reports, &mut decision)?;

    let empty = PairReport::default();
    for pair in &world.pairs {
        let name = pair.name_any();
        let old = memory
            .pairs
            .latest(pair.metadata.uid.as_deref(), pair.status.as_ref());
        let status = director_pair::status::status(
            world,
            pair,
            old,
            verdicts.pairs.pairs.get(&name),
            reports.get(&name).unwrap_or(&empty),
            now,
        );
        decision.pairs.extend(difference(&**pair, old, status));
    }
    let inputs = virtual_service::status::Inputs {
        current: &current,
        verdicts: &verdicts,
        plans: &plans,
        reports: &reports,
        now,
    };
    for service in &world.services {
        let old = memory
            .services
            .latest(service.metadata.uid.as_deref(), service.status.as_ref());
        let status = virtual_service::status::status(service, old, inputs);
        decision
            .services
            .extend(difference(&**service, old, status));
    }
    let usage = real_server::status::Usage::new(&current, &verdicts, &reports);
    for real_server in &world.real_servers {
        let uid = real_server.metadata.uid.as_deref();
        let old = memory.real_servers.latest(uid, real_server.status.as_ref());
        let verdict = verdicts.real_servers.real_servers.get(&key(&**real_server));
        let status =
            real_server::status::status(world, real_server, old, verdict, &plans, &usage, now);
        decision
            .real_servers
            .extend(difference(&**real_server, old, status));
    }
    decision.counts = [
        (
            "DirectorPair",
            world.pairs.len(),
            rejected(verdicts.pairs.pairs.values()),
        ),
        (
            "VirtualService",
            world.services.len(),
            rejected(verdicts.services.values()),
        ),
        (
            "RealServer",
            world.real_servers.len(),
            rejected(verdicts.real_servers.real_servers.values()),
        ),
    ];
    Ok(decision)
}

fn decide_agents(
    world: &World,
    reports: &BTreeMap<String, PairReport<'_>>,
    decision: &mut Decision,
) -> Result<(), DecideError> {
    let Some(config_map) = &world.agent_templates else {
        return Ok(());
    };
    for agent in Agent::ALL {
        match template::daemon_set(agent, config_map, &world.namespace) {
            Ok((daemon_set, digest)) => {
                let value = serde_json::to_value(&daemon_set)?;
                decision.daemon_sets.push((agent.daemon_set(), value));
                if agent == Agent::Director {
                    decision.restarts = rollout::restarts(world, reports, &digest);
                }
            }
            Err(error) => decision.template_errors.push(error),
        }
    }
    Ok(())
}

/// The write that a status needs, if it differs.
fn difference<K, S>(object: &K, old: Option<&S>, status: S) -> Option<StatusWrite<S>>
where
    K: Resource<DynamicType = ()>,
    S: PartialEq + Announce,
{
    (old != Some(&status)).then(|| StatusWrite {
        object: object.object_ref(&()),
        announcements: announcements(old, &status),
        status,
    })
}

fn rejected<'a, T: 'a, E: 'a>(verdicts: impl Iterator<Item = &'a Result<T, E>>) -> usize {
    verdicts.filter(|verdict| verdict.is_err()).count()
}
