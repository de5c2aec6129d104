//! Needs a client: lets directors read the Secrets that their pairs name, and no others.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::Role;
use serde_json::{Value, json};

use super::dereference::secret_reference;
use crate::{
    cluster::{Cluster, WriteError},
    world::World,
};

/// The Role that the chart binds to the directors' `ServiceAccount`, with one rule that names the
/// Secrets, or with none.
#[must_use]
pub fn secrets_role(world: &World, role: &str) -> Value {
    let names: BTreeSet<&str> = world
        .pairs
        .iter()
        .filter_map(|pair| secret_reference(pair))
        .map(|reference| reference.name.as_str())
        .collect();
    // A rule with an empty list of names would mean all Secrets.
    let rules = if names.is_empty() {
        json!([])
    } else {
        json!([{
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": names,
            "verbs": ["get", "list", "watch"],
        }])
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": role, "namespace": world.namespace},
        "rules": rules,
    })
}

/// Writes the Role.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn apply(cluster: &Cluster, name: &str, role: &Value) -> Result<(), WriteError> {
    cluster.apply(&cluster.own::<Role>(), name, role).await
}
