//! `RealServer`: a host behind virtual services.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConnectionLimits, Drain, format};

/// What the administrator wants of a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RealServerAdminState {
    /// In service.
    #[default]
    Enabled,
    /// No new connections come; it leaves every virtual service when its connections have ended or
    /// the time of `drain` is over.
    Drain,
    /// The same without checks, so that work on the host raises no alarm.
    Maintenance,
    /// Taken out of every virtual service.
    Disabled,
}

/// Who configures the VIPs on the real server's loopback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LoopbackMode {
    /// The node's agent. Needs `nodeName`.
    #[default]
    Managed,
    /// Somebody else; the host is taken as ready.
    External,
    /// Nobody: the host needs no VIP (NAT).
    Disabled,
}

/// Who keeps the real server from answering ARP for the VIPs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ArpSuppression {
    /// The node's agent sets `arp_ignore=1` and `arp_announce=2` on the interface that needs it.
    #[default]
    Managed,
    /// Somebody else.
    External,
}

/// VIPs on the real server, as DR needs them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Loopback {
    /// Who configures the VIPs. Absent = `Managed` with `nodeName`, `External` with `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LoopbackMode>,
    /// Interface that gets the VIPs.
    #[serde(default = "default_interface")]
    #[schemars(with = "format::InterfaceName")]
    pub interface: String,
    /// Who suppresses ARP.
    #[serde(default)]
    pub arp_suppression: ArpSuppression,
}

impl Default for Loopback {
    fn default() -> Self {
        Self {
            mode: None,
            interface: default_interface(),
            arp_suppression: ArpSuppression::default(),
        }
    }
}

fn default_interface() -> String {
    "lo".into()
}

/// Who sets `rp_filter` of the tunnel device to 2 (loose), without which packets that come out of a tunnel
/// with a client's address are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RpFilter {
    /// The node's agent.
    #[default]
    Managed,
    /// Somebody else.
    External,
}

/// Value of `tunnel.device` that leaves the device to the agent.
pub const AUTO_DEVICE: &str = "Auto";

/// Tunnel device of a real server, as TUN needs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TunnelReceiver {
    /// Device that packets come out of; `Auto` = the kernel's own for the kind of tunnel (`tunl0`,
    /// `sit0`, `ip6tnl0`, `gre0`), which the agent brings up.
    #[serde(default = "default_tunnel_device")]
    #[schemars(with = "format::InterfaceName")]
    pub device: String,
    /// Who sets `rp_filter`.
    #[serde(default)]
    pub rp_filter: RpFilter,
}

impl Default for TunnelReceiver {
    fn default() -> Self {
        Self {
            device: default_tunnel_device(),
            rp_filter: RpFilter::default(),
        }
    }
}

fn default_tunnel_device() -> String {
    AUTO_DEVICE.into()
}

/// What a `RealServer` should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "lvs-operator.dev",
    version = "v1alpha1",
    kind = "RealServer",
    plural = "realservers",
    namespaced,
    shortname = "lvsrs",
    category = "lvs",
    status = "RealServerStatus",
    doc = "A host that virtual services send connections to.",
    printcolumn(
        name = "Address",
        type_ = "string",
        json_path = ".status.resolvedAddress"
    ),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.adminState"),
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
    validation = Rule::new("has(self.nodeName) != has(self.address)")
        .message("exactly one of nodeName and address is required: the name of a node of this cluster, or the address of any host"),
    validation = Rule::new("has(self.nodeName) || !has(self.loopback.mode) || self.loopback.mode != 'Managed'")
        .message("loopback.mode Managed needs nodeName, because only a node's agent can do it: give nodeName instead of address, or set mode to External")
        .field_path(".loopback")
)]
pub struct RealServerSpec {
    /// A node of this cluster; its agent configures the loopback. Exactly one of this and `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::ObjectName>")]
    pub node_name: Option<String>,
    /// IPv4 or IPv6 address of any host. Exactly one of this and `nodeName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::HostAddress>")]
    pub address: Option<String>,
    /// Weight, 0 to 65535; absent = the pool's weight. 0 = no new connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub weight: Option<i32>,
    /// What the administrator wants.
    #[serde(default)]
    pub admin_state: RealServerAdminState,
    /// Limits on its connections; absent = the pool's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_limits: Option<ConnectionLimits>,
    /// How it leaves when it is drained; absent = as the virtual service says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// VIPs on the real server.
    #[serde(default)]
    pub loopback: Loopback,
    /// Tunnel device on the real server; used while `loopback.mode` is `Managed`.
    #[serde(default)]
    pub tunnel: TunnelReceiver,
}

/// What a `RealServer` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerStatus {
    /// Generation that this status speaks of; -1 before the first.
    #[serde(default = "super::condition::unobserved")]
    pub observed_generation: i64,
    /// Address that directors send to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45))]
    pub resolved_address: Option<String>,
    /// How many virtual services use it.
    #[serde(default)]
    pub virtual_services: i32,
    /// Conditions, key `type`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
