//! Needs a client: writes the `DaemonSet`s and restarts directors' agents.

use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use serde_json::Value;

use crate::cluster::{Cluster, WriteError};

/// Writes a `DaemonSet`.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn apply(cluster: &Cluster, name: &str, daemon_set: &Value) -> Result<(), WriteError> {
    cluster
        .apply(&cluster.own::<DaemonSet>(), name, daemon_set)
        .await
}

/// Deletes a pod, so that its `DaemonSet` makes a new one.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn restart(cluster: &Cluster, pod: &str) -> Result<(), WriteError> {
    tracing::info!(
        pod,
        "restarting a director's agent: its pod template has changed"
    );
    cluster.delete(&cluster.own::<Pod>(), pod).await
}
