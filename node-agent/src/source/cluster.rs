//! Plans from the cluster: the node's `NodePlan` and the `PlanSlice`s of its pair.
//!
//! Both are watched as plain JSON, so that an object of a later version is refused by name instead of
//! stopping the watch.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher::watcher};
use kube::{Api, Client, ResourceExt as _};
use lvs_crds::v1alpha1::plan_slice::PAIR_LABEL;
use lvs_crds::v1alpha1::{NodePlan, PlanSlice, PlanSliceSpec};
use serde_json::Value;
use tokio::time::Instant;

use super::PlanSender;
use super::decode::{self, Refusal};
use super::merge::Merge;

/// Changes that belong together arrive within this time: a plan after its slices.
const COALESCE: Duration = Duration::from_millis(5);
/// However many there are, they are not held back longer.
const COALESCE_AT_MOST: Duration = Duration::from_millis(50);

type Events = BoxStream<'static, Result<Event<DynamicObject>, watcher::Error>>;

/// Hands on the plan of `node` whenever it changes. An API server that does not answer is asked again
/// with growing pauses, and for ever.
pub async fn run(client: Client, node: String, sender: PlanSender) {
    Follower {
        plans: watch_plan(&client, &node),
        slices: None,
        listing: BTreeMap::new(),
        refused: BTreeMap::new(),
        listed: false,
        merge: Merge::new(&node),
        client,
        node,
        sender,
        unreachable: false,
    }
    .run()
    .await;
}

struct Follower {
    client: Client,
    node: String,
    plans: Events,
    /// The watch of a pair's slices, with the pair's name.
    slices: Option<(String, Events)>,
    /// Slices of a list that is not complete.
    listing: BTreeMap<String, PlanSliceSpec>,
    /// Slices that stay as they were because what is there now does not decode.
    refused: BTreeMap<String, Refusal>,
    /// Whether the present list has the node's plan.
    listed: bool,
    merge: Merge,
    sender: PlanSender,
    unreachable: bool,
}

impl Follower {
    async fn run(mut self) {
        loop {
            self.next_change().await;
            let latest = Instant::now() + COALESCE_AT_MOST;
            while Instant::now() < latest {
                let more = tokio::time::timeout(COALESCE, self.next_change()).await;
                if more.is_err() {
                    break;
                }
            }
            if let Some(bundle) = self.merge.bundle() {
                self.sender.publish(bundle).await;
                if let Some(refusal) = self.refused.values().next() {
                    self.sender.refuse(refusal.clone());
                }
            }
        }
    }

    /// Waits for one event and takes it in. May be dropped while it waits.
    async fn next_change(&mut self) {
        tokio::select! {
            Some(event) = self.plans.next() => self.plan_event(event),
            Some(event) = next_of(&mut self.slices) => self.slice_event(event),
            // Watches do not end; without this arm their end would be a panic.
            else => std::future::pending().await,
        }
    }

    fn plan_event(&mut self, event: Result<Event<DynamicObject>, watcher::Error>) {
        let Some(event) = self.reached(event) else {
            return;
        };
        match event {
            Event::Apply(plan) | Event::InitApply(plan) => {
                self.listed = true;
                let generation = plan.metadata.generation.unwrap_or(-1);
                match decode::node_plan(&self.node, generation, spec(&plan)) {
                    Ok(plan) => {
                        self.merge.set_plan(generation, plan);
                        self.follow_pair();
                    }
                    Err(refusal) => {
                        // What is known of the refused plan's slices says nothing about the one
                        // that stays in force.
                        self.merge.forget_plan();
                        self.sender.refuse(refusal);
                    }
                }
            }
            Event::Delete(_) => self.plan_is_gone(),
            Event::Init => self.listed = false,
            Event::InitDone if !self.listed => self.plan_is_gone(),
            Event::InitDone => {}
        }
    }

    /// An API server that has no plan for this node has been restored or reset, or the node has left;
    /// only a plan without roles says that it has left.
    fn plan_is_gone(&mut self) {
        tracing::warn!(
            node = self.node,
            "no NodePlan; the last plan, if any, stays in force"
        );
        self.merge.forget_plan();
    }

    fn follow_pair(&mut self) {
        let Some(pair) = self.merge.pair() else {
            self.slices = None;
            self.refused.clear();
            return;
        };
        if self
            .slices
            .as_ref()
            .is_none_or(|(followed, _)| followed != pair)
        {
            self.listing.clear();
            self.refused.clear();
            self.slices = Some((pair.to_owned(), watch_slices(&self.client, pair)));
        }
    }

    fn slice_event(&mut self, event: Result<Event<DynamicObject>, watcher::Error>) {
        let Some(event) = self.reached(event) else {
            return;
        };
        match event {
            Event::Init => {
                self.listing.clear();
                self.refused.clear();
            }
            Event::InitApply(object) => {
                if let Some(slice) = self.slice(&object) {
                    self.listing.insert(object.name_any(), slice);
                }
            }
            Event::InitDone => self.merge.set_slices(std::mem::take(&mut self.listing)),
            Event::Apply(object) => {
                if let Some(slice) = self.slice(&object) {
                    self.merge.set_slice(object.name_any(), slice);
                }
            }
            Event::Delete(object) => {
                self.refused.remove(&object.name_any());
                self.merge.remove_slice(&object.name_any());
            }
        }
    }

    /// Decodes a slice. One that does not decode stays as it was known: the digest in the plan then
    /// says that not all has arrived.
    fn slice(&mut self, object: &DynamicObject) -> Option<PlanSliceSpec> {
        let name = object.name_any();
        match decode::plan_slice(&name, spec(object)) {
            Ok(slice) => {
                self.refused.remove(&name);
                Some(slice)
            }
            Err(refusal) => {
                self.refused.insert(name.clone(), refusal);
                self.merge.slice(&name).cloned()
            }
        }
    }

    /// Tells once when the API server stops answering, and once when it is back.
    fn reached<T>(&mut self, event: Result<T, watcher::Error>) -> Option<T> {
        match event {
            Ok(event) => {
                if std::mem::take(&mut self.unreachable) {
                    tracing::info!("the API server answers again");
                }
                Some(event)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.unreachable, true) {
                    tracing::warn!(%error, "no plans from the API server; the last plan stays in force");
                }
                None
            }
        }
    }
}

fn spec(object: &DynamicObject) -> &Value {
    object.data.get("spec").unwrap_or(&Value::Null)
}

async fn next_of(
    slices: &mut Option<(String, Events)>,
) -> Option<Result<Event<DynamicObject>, watcher::Error>> {
    match slices {
        Some((_, events)) => events.next().await,
        None => std::future::pending().await,
    }
}

fn watch_plan(client: &Client, node: &str) -> Events {
    let api = Api::all_with(client.clone(), &ApiResource::erase::<NodePlan>(&()));
    let config = watcher::Config::default().fields(&format!("metadata.name={node}"));
    watcher(api, config).default_backoff().boxed()
}

fn watch_slices(client: &Client, pair: &str) -> Events {
    let api = Api::all_with(client.clone(), &ApiResource::erase::<PlanSlice>(&()));
    let config = watcher::Config::default().labels(&format!("{PAIR_LABEL}={pair}"));
    watcher(api, config).default_backoff().boxed()
}
