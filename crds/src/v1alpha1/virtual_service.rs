//! `VirtualService`: a VIP, its ports and the real servers behind it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdminState, BackendPool, Forwarding, HealthCheck, Persistence, Scheduler};

/// Names the `DirectorPair` that serves a virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorPairRef {
    /// Name of the `DirectorPair`.
    pub name: String,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// TCP.
    #[default]
    TCP,
}

/// A port of a virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Name, unique in the list.
    pub name: String,
    /// Port, 1 to 65535; 0 = every port, which needs persistence.
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// What clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Frontend {
    /// VIPs, 1 to 64, IPv4 or IPv6.
    pub addresses: Vec<String>,
    /// Ports, 1 to 64, key `name`.
    pub ports: Vec<Port>,
}

/// What a `VirtualService` should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "lvs-operator.dev",
    version = "v1alpha1",
    kind = "VirtualService",
    plural = "virtualservices",
    namespaced,
    shortname = "lvsvs",
    category = "lvs",
    status = "VirtualServiceStatus",
    doc = "A VIP and its ports, balanced over real servers by IPVS."
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// The pair of directors that serves it.
    pub director_pair_ref: DirectorPairRef,
    /// VRRP instance of the pair that owns the addresses.
    #[serde(default = "default_instance")]
    pub instance: String,
    /// What clients connect to.
    pub frontend: Frontend,
    /// How packets reach the real servers.
    #[serde(default)]
    pub forwarding: Forwarding,
    /// Which real server a new connection goes to.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Keeps a client on one real server; absent = not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Pools of real servers, 1 to 32, key `name`.
    pub backends: Vec<BackendPool>,
    /// Health checks; absent = none, members are always in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// `Drain` sets every member's weight to 0, `Disabled` takes the service off the directors.
    #[serde(default)]
    pub admin_state: AdminState,
}

fn default_instance() -> String {
    "default".into()
}

/// How many members a virtual service has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendCount {
    /// All members.
    pub total: i32,
    /// Members that get new connections.
    pub up: i32,
    /// Members at weight 0 because somebody asked for it.
    pub draining: i32,
    /// Members whose checks fail.
    pub down: i32,
}

/// A member whose checks fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnhealthyBackend {
    /// Address of the real server.
    pub address: String,
    /// Port of the real server.
    pub port: i32,
    /// Why, in words: the check and what it got.
    pub reason: String,
}

/// What a `VirtualService` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceStatus {
    /// Generation that this status speaks of; -1 before the first.
    #[serde(default = "super::condition::unobserved")]
    pub observed_generation: i64,
    /// VIPs in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Node that answers for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// How many members there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<BackendCount>,
    /// `UP/TOTAL`, for the column of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<String>,
    /// Members whose checks fail, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unhealthy: Vec<UnhealthyBackend>,
    /// Conditions, key `type`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
