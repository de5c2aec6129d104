//! Plans from the cluster: the node's `NodePlan` and the `PlanSlice`s of its pair.
//!
//! Both are watched as plain JSON, so that an object of a later version is refused by name instead of
//! stopping the watch.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher::watcher};
use kube::{Api, Client};
use lvs_crds::v1alpha1::plan_slice::PAIR_LABEL;
use lvs_crds::v1alpha1::{NodePlan, PlanSlice};
use tokio::time::Instant;

use super::PlanSender;
use super::backoff::WatchBackoff;
use super::objects::Objects;

/// After this time the API server ends a watch, and the next one goes on where it was. A watch that
/// says nothing for 5 s longer has lost its server, and is begun anew over another connection.
pub const WATCH_SECONDS: u32 = 60;
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
        objects: Objects::new(&node),
        client,
        sender,
        unreachable: false,
    }
    .run()
    .await;
}

struct Follower {
    client: Client,
    plans: Events,
    /// The watch of a pair's slices, with the pair's name.
    slices: Option<(String, Events)>,
    objects: Objects,
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
            if let Some(bundle) = self.objects.bundle() {
                self.sender.publish(bundle);
            }
            if let Some(refusal) = self.objects.refusal() {
                self.sender.refuse(refusal.clone());
            }
        }
    }

    /// Waits for one event and takes it in. May be dropped while it waits.
    async fn next_change(&mut self) {
        tokio::select! {
            Some(event) = self.plans.next() => {
                if let Some(event) = self.reached(event) {
                    self.objects.plan_event(&event);
                    self.follow_pair();
                }
            }
            Some(event) = next_of(&mut self.slices) => {
                if let Some(event) = self.reached(event) {
                    self.objects.slice_event(&event);
                }
            }
            // Watches do not end; without this arm their end would be a panic.
            else => std::future::pending().await,
        }
    }

    fn follow_pair(&mut self) {
        let followed = self.slices.as_ref().map(|(pair, _)| pair.as_str());
        let pair = self.objects.pair();
        if followed != pair {
            self.slices = pair.map(|pair| (pair.to_owned(), watch_slices(&self.client, pair)));
        }
    }

    /// Tells once when the API server stops answering, and once when it is back.
    fn reached(
        &mut self,
        event: Result<Event<DynamicObject>, watcher::Error>,
    ) -> Option<Event<DynamicObject>> {
        match event {
            // Told before the API server was asked.
            Ok(Event::Init) => Some(Event::Init),
            Ok(event) => {
                if std::mem::take(&mut self.unreachable) {
                    tracing::info!("the API server answers again");
                }
                Some(event)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.unreachable, true) {
                    tracing::warn!(%error, "the API server does not answer; the last plan stays");
                }
                None
            }
        }
    }
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
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={node}"))
        .timeout(WATCH_SECONDS);
    watcher(api, config)
        .backoff(WatchBackoff::default())
        .boxed()
}

fn watch_slices(client: &Client, pair: &str) -> Events {
    let api = Api::all_with(client.clone(), &ApiResource::erase::<PlanSlice>(&()));
    let config = watcher::Config::default()
        .labels(&format!("{PAIR_LABEL}={pair}"))
        .timeout(WATCH_SECONDS);
    watcher(api, config)
        .backoff(WatchBackoff::default())
        .boxed()
}
