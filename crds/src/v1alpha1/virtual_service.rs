//! `VirtualService`: a VIP, its ports and the real servers behind it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdminState, BackendPool, Forwarding, HealthCheck, Persistence, Scheduler, format};

/// Names the `DirectorPair` that serves a virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorPairRef {
    /// Name of the `DirectorPair`.
    #[schemars(with = "format::ObjectName", length(max = 63))]
    pub name: String,
}

/// Transport protocol.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
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
    #[schemars(with = "format::EntryName")]
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
#[x_kube(
    validation = Rule::new("self.ports.all(p, self.ports.exists_one(q, q.port == p.port && q.protocol == p.protocol))")
        .message("ports has the same port and protocol twice: remove one of the two")
        .field_path(".ports"),
    validation = Rule::new("self.ports.size() == 1 || self.ports.all(p, p.port != 0)")
        .message("port 0 stands for every port and must be the only one: remove the others, or port 0")
        .field_path(".ports")
)]
pub struct Frontend {
    /// VIPs, 1 to 64, IPv4 or IPv6.
    #[schemars(with = "Vec<format::HostAddress>", length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub addresses: Vec<String>,
    /// Ports, 1 to 64, key `name`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
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
    doc = "A VIP and its ports, balanced over real servers by IPVS.",
    printcolumn(name = "VIP", type_ = "string", json_path = ".status.vip"),
    printcolumn(name = "Ports", type_ = "string", json_path = ".status.ports"),
    printcolumn(
        name = "Method",
        type_ = "string",
        json_path = ".spec.forwarding.method"
    ),
    printcolumn(name = "Sched", type_ = "string", json_path = ".spec.scheduler.name"),
    printcolumn(name = "Up", type_ = "string", json_path = ".status.up"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.active"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.persistence) || self.frontend.ports.all(p, p.port != 0)")
        .message("frontend.ports has port 0, which stands for every port and needs persistence: add persistence, for example {}, or name the ports")
        .field_path(".persistence"),
    validation = Rule::new("self.forwarding.method != 'DR' || self.backends.all(b, b.port == 0 || self.frontend.ports.all(p, p.port == b.port))")
        .message("port of one of backends differs from a frontend port, and forwarding.method DR cannot change the port: set 0 or the frontend's port, or set method to NAT")
        .field_path(".backends"),
    validation = Rule::new("self.forwarding.method != 'DR' || self.backends.all(b, !has(b.servers) || b.servers.all(s, s.port == 0 || s.port == self.frontend.ports[0].port)) && (self.frontend.ports.all(p, p.port == self.frontend.ports[0].port) || self.backends.all(b, !has(b.servers) || b.servers.all(s, s.port == 0)))")
        .message("port of one of backends[].servers differs from a frontend port, and forwarding.method DR cannot change the port: set 0 or the frontend's port, or set method to NAT")
        .field_path(".backends"),
    validation = Rule::new("self.forwarding.method == 'DR' || self.frontend.ports.all(p, p.port != 0) || self.backends.all(b, b.port == 0 && (!has(b.servers) || b.servers.all(s, s.port == 0)))")
        .message("a port of backends is set although frontend port 0 stands for every port, where a connection keeps the port that its client chose: set port of the pools and of their servers to 0")
        .field_path(".backends"),
    validation = Rule::new("self.frontend.ports.all(p, p.port != 0) || !has(self.healthCheck) || self.healthCheck.mode == 'Disabled' || self.healthCheck.checks.all(c, c.type != 'TCP' || has(c.port))")
        .message("port is required in healthCheck.checks of type TCP while the frontend port is 0: say which port to connect to, or use type Ping")
        .field_path(".healthCheck")
)]
pub struct VirtualServiceSpec {
    /// The pair of directors that serves it. It cannot be changed.
    #[x_kube(validation = Rule::new("self.name == oldSelf.name").message(Message::Expression(
        r#""directorPairRef cannot be changed from '" + oldSelf.name + "' to '" + self.name + "', which would interrupt the service: create a second VirtualService for the other pair, move the clients, then delete this one""#.into(),
    )).field_path(".name"))]
    pub director_pair_ref: DirectorPairRef,
    /// VRRP instance of the pair that owns the addresses.
    #[serde(default = "default_instance")]
    #[schemars(with = "format::EntryName")]
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
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
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
    #[schemars(length(max = 45))]
    pub address: String,
    /// Port of the real server.
    pub port: i32,
    /// Why, in words: the check and what it got.
    #[schemars(length(max = 1024))]
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
    #[schemars(length(max = 64), inner(length(max = 45)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub addresses: Vec<String>,
    /// `spec.frontend.addresses` joined by commas, whatever the state, for the column of
    /// `kubectl get`: a column shows one value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub vip: Option<String>,
    /// Ports of `spec.frontend.ports` joined by commas, whatever the state, for the column of
    /// `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub ports: Option<String>,
    /// Node that answers for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::ObjectName>")]
    pub active: Option<String>,
    /// How many members there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<BackendCount>,
    /// `UP/TOTAL`, for the column of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub up: Option<String>,
    /// Members whose checks fail, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub unhealthy: Vec<UnhealthyBackend>,
    /// Conditions, key `type`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
