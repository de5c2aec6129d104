//! `VirtualService`: a VIP, its ports and the real servers behind it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    AdminState, BackendPool, Drain, Forwarding, Frontend, HealthCheck, Persistence, Scheduler,
    format,
};

/// Names the `DirectorPair` that serves a virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorPairRef {
    /// Name of the `DirectorPair`.
    #[schemars(with = "format::ObjectName", length(max = 63))]
    pub name: String,
}

/// How many of its members a virtual service needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.hysteresis < self.minimumWeight")
    .message("hysteresis must be less than minimumWeight: otherwise the quorum could not be lost")
    .field_path(".hysteresis"))]
pub struct Quorum {
    /// Sum of the weights of members that are up, 1 to 16777216.
    #[serde(default = "default_minimum_weight")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub minimum_weight: i32,
    /// By how much the sum must exceed `minimumWeight` to regain the quorum, and fall below it to
    /// lose it, 0 to 16777215.
    #[serde(default)]
    #[schemars(range(min = 0, max = 16_777_215))]
    pub hysteresis: i32,
}

impl Default for Quorum {
    fn default() -> Self {
        Self {
            minimum_weight: default_minimum_weight(),
            hysteresis: 0,
        }
    }
}

fn default_minimum_weight() -> i32 {
    1
}

/// Server that gets all new connections while the quorum is lost (a "sorry server").
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!isIP(self.address) || (self.forwarding.method == 'Local') == ip(self.address).isLoopback()")
        .message("address and forwarding.method do not fit: method Local is the director itself, with the address 127.0.0.1 or ::1, and any other method needs another host's address")
        .field_path(".address"),
)]
pub struct Fallback {
    /// IPv4 or IPv6 address; `127.0.0.1` or `::1` for the director itself.
    #[schemars(with = "format::ServerAddress")]
    pub address: String,
    /// Port, 1 to 65535; 0 = the frontend's port, which only NAT can change.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// How packets reach it.
    #[serde(default)]
    pub forwarding: Forwarding,
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
    validation = Rule::new("has(self.persistence) || has(self.frontend.firewallMark) || !has(self.frontend.ports) || self.frontend.ports.all(p, p.port != 0)")
        .message("frontend.ports has port 0, which stands for every port and needs persistence: add persistence, for example {}, or name the ports")
        .field_path(".persistence"),
    validation = Rule::new("self.forwarding.method != 'Local'")
        .message("forwarding.method Local is for spec.fallback: choose DR, NAT or TUN")
        .field_path(".forwarding"),
    validation = Rule::new("self.backends.all(b, b.port == 0 || (has(b.forwarding) ? b.forwarding.method : self.forwarding.method) == 'NAT' || (has(self.frontend.ports) && !has(self.frontend.firewallMark) && self.frontend.ports.all(p, p.port == b.port && !has(p.endPort))))")
        .message("port of one of backends differs from a frontend port, and forwarding.method DR or TUN cannot change the port: set 0 or the frontend's port, or set method to NAT")
        .field_path(".backends"),
    validation = Rule::new("self.backends.all(b, !has(b.servers) || (has(b.forwarding) ? b.forwarding.method : self.forwarding.method) == 'NAT' || b.servers.all(s, s.port == 0) || (has(self.frontend.ports) && !has(self.frontend.firewallMark) && self.frontend.ports.all(p, p.port == self.frontend.ports[0].port && !has(p.endPort)) && b.servers.all(s, s.port == 0 || s.port == self.frontend.ports[0].port)))")
        .message("port of one of backends[].servers differs from a frontend port, and forwarding.method DR or TUN cannot change the port: set 0 or the frontend's port, or set method to NAT")
        .field_path(".backends"),
    validation = Rule::new("has(self.frontend.firewallMark) || !has(self.frontend.ports) || self.frontend.ports.all(p, p.port != 0) || self.backends.all(b, b.port == 0 && (!has(b.servers) || b.servers.all(s, s.port == 0)))")
        .message("a port of backends is set although frontend port 0 stands for every port, where a connection keeps the port that its client chose: set port of the pools and of their servers to 0")
        .field_path(".backends"),
    validation = Rule::new("(!has(self.frontend.firewallMark) && (!has(self.frontend.ports) || self.frontend.ports.all(p, p.port != 0))) || !has(self.healthCheck) || self.healthCheck.mode == 'Disabled' || self.healthCheck.checks.all(c, c.type != 'TCP' || has(c.port))")
        .message("port is required in healthCheck.checks of type TCP while the frontend port is 0 or there is a firewallMark: say which port to connect to, or use type Ping")
        .field_path(".healthCheck"),
    validation = Rule::new("!has(self.healthCheck) || self.healthCheck.mode == 'Disabled' || !has(self.frontend.ports) || self.frontend.ports.all(p, p.protocol == 'TCP') || self.healthCheck.checks.all(c, c.type != 'TCP' || has(c.port))")
        .message("port is required in healthCheck.checks of type TCP while frontend.ports has one of another protocol: say which TCP port to connect to, or use type Ping")
        .field_path(".healthCheck"),
    validation = Rule::new("!self.scheduler.onePacket || !has(self.frontend.ports) || self.frontend.ports.all(p, p.protocol == 'UDP')")
        .message("scheduler.onePacket is for UDP: set it to false, or set protocol of every port to UDP")
        .field_path(".scheduler"),
    validation = Rule::new("!has(self.persistence) || self.persistence.engine != 'SIP' || !has(self.frontend.ports) || self.frontend.ports.all(p, p.protocol == 'UDP')")
        .message("persistence.engine SIP is for UDP: set it to None, or set protocol of every port to UDP")
        .field_path(".persistence"),
    validation = Rule::new("!has(self.fallback) || self.fallback.port == 0 || self.fallback.forwarding.method == 'NAT' || (has(self.frontend.ports) && !has(self.frontend.firewallMark) && self.frontend.ports.all(p, p.port == self.fallback.port && !has(p.endPort)))")
        .message("fallback.port differs from a frontend port, and fallback.forwarding.method DR, TUN or Local cannot change the port: set 0 or the frontend's port, or set method to NAT")
        .field_path(".fallback")
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
    /// How much weight must be up.
    #[serde(default)]
    pub quorum: Quorum,
    /// Server for the time when the quorum is lost; absent = the members that are up go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// How members leave that are drained here, or that have no `drain` of their own.
    #[serde(default)]
    pub drain: Drain,
    /// `Drain` lets the connections of all members end, `Disabled` takes the service off the
    /// directors.
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
    /// Firewall mark in use, where the frontend has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub firewall_mark: Option<i32>,
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
