//! Tells the API server: the status of the node's `NodePlan`, and Events.
//!
//! Nothing waits for it. While the API server is away the newest status is kept and Events are
//! dropped; both are in the log anyway.

pub mod notice;
pub mod status;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _};
use lvs_crds::v1alpha1::{NodePlan, NodePlanStatus, RouterState, VirtualService, condition};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::report::{Report, Subject};
use crate::source::Refusal;
use notice::{Limiter, Notice};

/// Field manager of the status, and reporting controller of Events.
const MANAGER: &str = "lvs-agent";
/// Statuses are not written more often than this: what flaps is written once.
const SHORTEST_GAP: Duration = Duration::from_millis(100);
/// Pause after a write that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between writes that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A status that the API server does not take within this time is written anew, over a connection of
/// its own.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);
/// An Event that the API server does not take within this time is dropped.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);
/// The end of the agent is not held up longer for its last status.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Longest note of an Event, in bytes (events.k8s.io/v1).
const NOTE_BYTES: usize = 1024;

/// Writes the status of `node`'s `NodePlan` whenever its meaning changes. Ends when there are no more
/// reports.
pub async fn publish_status(
    client: Client,
    node: String,
    reports: watch::Receiver<Report>,
    refusals: watch::Receiver<Option<Refusal>>,
) {
    let api = Api::<NodePlan>::all(client);
    publish(&api, &node, reports, refusals, STATUS_PATIENCE).await;
}

async fn publish(
    api: &Api<NodePlan>,
    node: &str,
    mut reports: watch::Receiver<Report>,
    mut refusals: watch::Receiver<Option<Refusal>>,
    patience: Duration,
) {
    let mut pause = FIRST_PAUSE;
    // What the API server has; `None` when that is not known.
    let mut known: Option<NodePlanStatus> = None;
    let mut is_refused = false;
    loop {
        let report = reports.borrow_and_update().clone();
        let refusal = refusals.borrow_and_update().clone();
        // Before the first plan there is nothing to say.
        let silent = report.observed_generation == condition::unobserved() && refusal.is_none();
        let writing = async {
            if silent {
                return Ok(());
            }
            write(api, node, &report, refusal.as_ref(), &mut known).await
        };
        let wait = match timeout(patience, writing).await {
            Ok(Ok(())) => {
                is_refused = false;
                pause = FIRST_PAUSE;
                tokio::time::sleep(SHORTEST_GAP).await;
                None
            }
            failed => {
                tracing::debug!(?failed, ?pause, "status not written");
                // An API server that does not answer is told of by its watches.
                if let Ok(Err(error @ kube::Error::Api(_))) = &failed
                    && !std::mem::replace(&mut is_refused, true)
                {
                    tracing::error!(%error, "the status is refused; NodePlan and conditions stay as they were");
                }
                // What was cut short may have arrived.
                known = None;
                let wait = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                Some(wait)
            }
        };
        tokio::select! {
            changed = reports.changed() => if changed.is_err() { return },
            changed = refusals.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

/// Writes the last status of an agent that has stopped: its routers run no more.
pub async fn publish_stopped(client: Client, node: &str, mut report: Report) {
    if report.instances.is_empty() {
        return;
    }
    for instance in &mut report.instances {
        instance.state = RouterState::Initialize;
    }
    let api = Api::<NodePlan>::all(client);
    let mut known = None;
    let written = write(&api, node, &report, None, &mut known);
    if !matches!(timeout(LAST_PATIENCE, written).await, Ok(Ok(()))) {
        tracing::warn!("the last status was not written");
    }
}

async fn write(
    api: &Api<NodePlan>,
    node: &str,
    report: &Report,
    refusal: Option<&Refusal>,
    known: &mut Option<NodePlanStatus>,
) -> kube::Result<()> {
    let before = match known {
        Some(before) => before.clone(),
        None => api.get(node).await?.status.unwrap_or_else(unwritten),
    };
    let now = Time(Timestamp::now());
    let status = status::status(&before, report, refusal, &now);
    if status != before {
        let patch = json!({
            "apiVersion": NodePlan::api_version(&()),
            "kind": NodePlan::kind(&()),
            "metadata": {"name": node},
            "status": status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        api.patch_status(node, &parameters, &Patch::Apply(patch))
            .await?;
    }
    *known = Some(status);
    Ok(())
}

fn unwritten() -> NodePlanStatus {
    NodePlanStatus {
        observed_generation: condition::unobserved(),
        applied_revision: None,
        agent_version: None,
        instances: Vec::new(),
        fencing: None,
        unhealthy: Vec::new(),
        unhealthy_count: 0,
        service_problems: Vec::new(),
        without_quorum: Vec::new(),
        draining: Vec::new(),
        draining_count: 0,
        kernel: None,
        conditions: Vec::new(),
    }
}

/// Publishes notices as Events. Ends when there are no more notices.
pub async fn publish_events(client: Client, node: String, mut notices: mpsc::Receiver<Notice>) {
    let mut limiter = Limiter::new(Instant::now());
    while let Some(notice) = notices.recv().await {
        if !limiter.allows(&notice, Instant::now()) {
            continue;
        }
        let event = event(&node, notice, Timestamp::now());
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api = Api::<Event>::namespaced(client.clone(), &namespace);
        let parameters = PostParams::default();
        let created = api.create(&parameters, &event);
        match timeout(EVENT_PATIENCE, created).await {
            Ok(Ok(_)) => {}
            Ok(Err(error @ kube::Error::Api(_))) => tracing::warn!(%error, "Event not created"),
            Ok(Err(error)) => tracing::debug!(%error, "Event not created"),
            Err(_) => tracing::debug!("Event not created: the API server does not answer"),
        }
    }
}

fn event(node: &str, notice: Notice, now: Timestamp) -> Event {
    let regarding = match notice.subject {
        Subject::Node => ObjectReference {
            api_version: Some(NodePlan::api_version(&()).into_owned()),
            kind: Some(NodePlan::kind(&()).into_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
        Subject::VirtualService {
            namespace,
            name,
            uid,
        } => ObjectReference {
            api_version: Some(VirtualService::api_version(&()).into_owned()),
            kind: Some(VirtualService::kind(&()).into_owned()),
            namespace: Some(namespace),
            name: Some(name),
            uid: Some(uid),
            ..ObjectReference::default()
        },
    };
    Event {
        metadata: ObjectMeta {
            // Events about objects without a namespace are in `default`.
            namespace: regarding
                .namespace
                .clone()
                .or_else(|| Some("default".into())),
            generate_name: Some(format!("{}-", regarding.name.as_deref().unwrap_or(node))),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(format!("lvs-operator.dev/{MANAGER}")),
        reporting_instance: Some(node.to_owned()),
        action: Some("Reconcile".into()),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.into()),
        reason: Some(notice.reason.into()),
        note: Some(status::shorten(
            format!("{node}: {}", notice.message),
            NOTE_BYTES,
        )),
        regarding: Some(regarding),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests;
