//! Needs a client: keeps the snapshot of the cluster up to date by watching.

use std::{fmt::Debug, sync::Arc};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Node, Pod, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher,
    },
};
use lvs_crds::v1alpha1::{DirectorPair, NodePlan, PlanSlice, RealServer, VirtualService};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use crate::backoff::WatchBackoff;
use crate::{
    agents::template::{Agent, COMPONENT_LABEL},
    world::World,
};

/// Longest value of a Secret that is told apart, in bytes: an HMAC key has 64 at most.
const SECRET_BYTES: usize = 65;

/// All that is watched.
pub struct Stores {
    pairs: Store<DirectorPair>,
    services: Store<VirtualService>,
    real_servers: Store<RealServer>,
    nodes: Store<Node>,
    node_plans: Store<NodePlan>,
    slices: Store<PlanSlice>,
    secrets: Store<Secret>,
    pods: Store<Pod>,
    templates: Store<ConfigMap>,
    namespace: String,
}

/// The watches themselves; whoever starts them polls this.
pub type Watches = FuturesUnordered<BoxFuture<'static, ()>>;

impl Stores {
    /// Prepares the watches. `changed` is notified whenever an object has changed.
    pub fn new(
        client: &Client,
        namespace: &str,
        templates: Option<&str>,
        changed: &Arc<Notify>,
    ) -> (Self, Watches) {
        let watches = Watches::new();
        let any = watcher::Config::default;
        let named = |name: Option<&str>| {
            // Without a name nothing is wanted, and no object is called like this.
            any().fields(&format!("metadata.name={}", name.unwrap_or("-")))
        };
        let components: Vec<_> = Agent::ALL.iter().map(|agent| agent.component()).collect();
        let agents = any().labels(&format!("{COMPONENT_LABEL} in ({})", components.join(",")));
        let own = || client.clone();
        let stores = Self {
            pairs: watch(Api::all(own()), any(), |_| {}, changed, &watches),
            services: watch(Api::all(own()), any(), |_| {}, changed, &watches),
            real_servers: watch(Api::all(own()), any(), |_| {}, changed, &watches),
            nodes: watch(Api::all(own()), any(), trim_node, changed, &watches),
            node_plans: watch(Api::all(own()), any(), |_| {}, changed, &watches),
            slices: watch(Api::all(own()), any(), |_| {}, changed, &watches),
            secrets: watch(
                Api::namespaced(own(), namespace),
                any(),
                mask,
                changed,
                &watches,
            ),
            pods: watch(
                Api::namespaced(own(), namespace),
                agents,
                |_| {},
                changed,
                &watches,
            ),
            templates: watch(
                Api::namespaced(own(), namespace),
                named(templates),
                |_| {},
                changed,
                &watches,
            ),
            namespace: namespace.to_owned(),
        };
        (stores, watches)
    }

    /// Waits until every store has been filled once.
    pub async fn synced(&self) {
        ready(&self.pairs).await;
        ready(&self.services).await;
        ready(&self.real_servers).await;
        ready(&self.nodes).await;
        ready(&self.node_plans).await;
        ready(&self.slices).await;
        ready(&self.secrets).await;
        ready(&self.pods).await;
        ready(&self.templates).await;
    }

    /// The cluster at this moment.
    #[must_use]
    pub fn snapshot(&self) -> World {
        let mut world = World {
            pairs: living(&self.pairs),
            services: living(&self.services),
            real_servers: living(&self.real_servers),
            nodes: by_name(&self.nodes),
            node_plans: by_name(&self.node_plans),
            slices: by_name(&self.slices),
            secrets: by_name(&self.secrets),
            agent_pods: self.pods.state(),
            agent_templates: self.templates.state().into_iter().next(),
            namespace: self.namespace.clone(),
        };
        world.sort();
        world
    }
}

/// Objects that nobody has deleted. A finalizer of somebody else may keep one that is, but who deleted
/// it wants it out of service.
fn living<K>(store: &Store<K>) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut objects = store.state();
    objects.retain(|object| object.meta().deletion_timestamp.is_none());
    objects
}

fn by_name<K>(store: &Store<K>) -> std::collections::BTreeMap<String, Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store
        .state()
        .into_iter()
        .map(|object| (object.name_any(), object))
        .collect()
}

async fn ready<K>(store: &Store<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    // An error means that the writer is gone, that is, that the process is ending.
    let _ = store.wait_until_ready().await;
}

/// Starts a watch; `trim` drops what nobody reads before it is stored.
fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    trim: fn(&mut K),
    changed: &Arc<Notify>,
    watches: &Watches,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let changed = Arc::clone(changed);
    let stream = watcher(api, config)
        .backoff(WatchBackoff::default())
        .modify(move |object| {
            object.managed_fields_mut().clear();
            trim(object);
        })
        .reflect(writer);
    watches.push(Box::pin(stream.for_each(move |event| {
        match event {
            Ok(_) => changed.notify_one(),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "a watch failed; it starts again");
            }
        }
        std::future::ready(())
    })));
    store
}

/// Keeps of a node what the operator reads: labels, addresses and conditions.
fn trim_node(node: &mut Node) {
    node.annotations_mut().clear();
    node.spec = None;
    if let Some(status) = node.status.as_mut() {
        status.images = None;
        status.allocatable = None;
        status.capacity = None;
        status.volumes_attached = None;
        status.volumes_in_use = None;
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
    }
}

/// Replaces the values of a Secret by as many zeros: the operator needs the length alone.
fn mask(secret: &mut Secret) {
    secret.string_data = None;
    for value in secret.data.iter_mut().flat_map(|data| data.values_mut()) {
        // An editor's newline at the end does not belong to the password.
        let text = value.0.strip_suffix(b"\n").unwrap_or(&value.0);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        *value = ByteString(vec![0; text.len().min(SECRET_BYTES)]);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;

    #[test]
    fn an_object_on_its_way_out_is_not_in_the_snapshot() {
        let (store, mut writer) = reflector::store::<Secret>();
        for name in ["stays", "leaves"] {
            let mut secret = Secret::default();
            secret.metadata.name = Some(name.to_owned());
            secret.metadata.deletion_timestamp =
                (name == "leaves").then_some(Time(Timestamp::UNIX_EPOCH));
            writer.apply_watcher_event(&watcher::Event::Apply(secret));
        }
        let names: Vec<_> = living(&store).iter().map(|s| s.name_any()).collect();
        assert_eq!(names, ["stays"]);
    }

    #[test]
    fn a_secret_keeps_its_lengths_alone() {
        let mut secret: Secret = serde_yaml::from_str(
            "{metadata: {name: vrrp}, data: {short: MTExMQo=, long: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==}}",
        )
        .unwrap();
        mask(&mut secret);
        let data = secret.data.unwrap();
        assert_eq!(data["short"].0, [0; 4], "without the newline");
        assert_eq!(data["long"].0, [0; SECRET_BYTES]);
    }
}
