//! Needs a client: writing to the cluster, every object by server-side apply and within a time
//! limit.

use std::{fmt::Debug, future::Future, time::Duration};

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::metrics::Metrics;

/// Field manager of everything that the operator writes.
pub const FIELD_MANAGER: &str = "lvs-operator";
/// How long one write may take; the loop must go on when the API server does not answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What went wrong with a write.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refused, or could not be reached.
    #[error("{what}: {source}")]
    Api {
        /// Verb, kind and name.
        what: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{0}: no answer from the API server within 10 s")]
    Timeout(String),
}

/// The cluster, for writing.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
    metrics: Metrics,
}

/// The first of several failures. The others are logged, because nobody else gets to see them.
#[derive(Debug, Default)]
pub struct FirstError(Option<WriteError>);

impl FirstError {
    /// Takes in the result of a write; the writes after it go on.
    pub fn note(&mut self, result: Result<(), WriteError>) {
        match (result, &self.0) {
            (Ok(()), _) => {}
            (Err(error), None) => self.0 = Some(error),
            (Err(error), Some(_)) => tracing::warn!(%error, "another write of this run failed"),
        }
    }

    /// The result of all writes.
    ///
    /// # Errors
    /// When a write has failed: the first that did.
    pub fn result(self) -> Result<(), WriteError> {
        self.0.map_or(Ok(()), Err)
    }
}

impl Cluster {
    /// Writes through this client; the namespace is the operator's own.
    #[must_use]
    pub fn new(client: Client, namespace: String, metrics: Metrics) -> Self {
        Self {
            client,
            namespace,
            metrics,
        }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The operator's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// All objects of a kind.
    #[must_use]
    pub fn all<K: kube::Resource>(&self) -> Api<K>
    where
        K::DynamicType: Default,
    {
        Api::all(self.client())
    }

    /// Objects of a kind in a namespace; `None` is the default one, as `kubectl` has it.
    #[must_use]
    pub fn within<K: kube::Resource<Scope = NamespaceResourceScope>>(
        &self,
        namespace: Option<&str>,
    ) -> Api<K>
    where
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), namespace.unwrap_or("default"))
    }

    /// Objects of a kind in the operator's namespace.
    #[must_use]
    pub fn own<K: kube::Resource<Scope = NamespaceResourceScope>>(&self) -> Api<K>
    where
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.namespace)
    }

    /// Server-side apply.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn apply<K>(&self, api: &Api<K>, name: &str, body: &Value) -> Result<(), WriteError>
    where
        K: Clone + DeserializeOwned + Debug + kube::Resource,
        K::DynamicType: Default,
    {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body);
        self.write::<K, _>("apply", name, api.patch(name, &parameters, &patch))
            .await
    }

    /// Server-side apply of the status.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn apply_status<K>(
        &self,
        api: &Api<K>,
        name: &str,
        body: &Value,
    ) -> Result<(), WriteError>
    where
        K: Clone + DeserializeOwned + Debug + kube::Resource,
        K::DynamicType: Default,
    {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body);
        self.write::<K, _>(
            "apply status of",
            name,
            api.patch_status(name, &parameters, &patch),
        )
        .await
    }

    /// Deletes an object, if it is there.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn delete<K>(&self, api: &Api<K>, name: &str) -> Result<(), WriteError>
    where
        K: Clone + DeserializeOwned + Debug + kube::Resource,
        K::DynamicType: Default,
    {
        let parameters = DeleteParams::default();
        let request = async {
            match api.delete(name, &parameters).await {
                Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
                other => other.map(drop),
            }
        };
        self.write::<K, _>("delete", name, request).await
    }

    async fn write<K, T>(
        &self,
        verb: &str,
        name: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<(), WriteError>
    where
        K: kube::Resource,
        K::DynamicType: Default,
    {
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        let what = format!("{verb} {kind} {name}");
        let result = match tokio::time::timeout(TIME_LIMIT, request).await {
            Ok(Ok(_)) => {
                tracing::debug!(kind, name, verb, "wrote");
                Ok(())
            }
            Ok(Err(source)) => Err(WriteError::Api {
                what,
                source: Box::new(source),
            }),
            Err(_elapsed) => Err(WriteError::Timeout(what)),
        };
        self.metrics.wrote(&kind, result.is_ok());
        result
    }
}
