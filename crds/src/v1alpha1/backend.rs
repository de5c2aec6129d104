//! Where a virtual service's real servers come from.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Forwarding, format};

/// What the administrator wants of a director or a virtual service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AdminState {
    /// In service.
    #[default]
    Enabled,
    /// Leaves service gently. A director hands its VIPs over and stays Backup; a virtual service's
    /// members get no new connections and are removed when theirs have ended.
    Drain,
    /// Out of service: released from the nodes.
    Disabled,
}

/// Selects `RealServer` objects of the same namespace by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerSelector {
    /// Labels that a `RealServer` must have, all of them, 1 to 16.
    #[schemars(
        with = "BTreeMap<String, format::LabelValue>",
        extend("minProperties" = 1, "maxProperties" = 16)
    )]
    #[x_kube(validation = Rule::new("self.all(k, !format.qualifiedName().validate(k).hasValue())").message(
        "a key is not the name of a label: write name or prefix/name, for example app or example.com/app"
    ))]
    pub match_labels: BTreeMap<String, String>,
}

/// A real server that is written into the pool itself and needs no object of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InlineServer {
    /// IPv4 or IPv6 address.
    #[schemars(with = "format::HostAddress")]
    pub address: String,
    /// Port, 1 to 65535; 0 = the pool's port.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// Weight, 0 to 65535; absent = the pool's weight. 0 = no new connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub weight: Option<i32>,
}

/// Limits on the connections of one real server (`ipvsadm -x`, `-y`).
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
    KubeSchema,
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.lower <= self.upper")
    .message("lower must not exceed upper: below it a server that was full gets connections again")
    .field_path(".lower"))]
pub struct ConnectionLimits {
    /// Connections at which a server gets no more, 1 to 2147483647; 0 = no limit.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub upper: i32,
    /// Connections below which it gets some again, 1 to `upper`; 0 = three quarters of `upper`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub lower: i32,
}

impl ConnectionLimits {
    /// Whether there are none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.upper == 0
    }
}

/// A pool of real servers: exactly one of `servers` and `realServerSelector`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.servers) != has(self.realServerSelector)")
        .message("exactly one of servers and realServerSelector is required: list the servers' addresses, or select RealServer objects by their labels"),
    validation = Rule::new("!has(self.forwarding) || self.forwarding.method != 'Local'")
        .message("forwarding.method Local is for spec.fallback: choose DR, NAT or TUN")
        .field_path(".forwarding")
)]
pub struct BackendPool {
    /// Name, unique in the virtual service.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// Port of the members, 1 to 65535; 0 = the frontend's port. DR and TUN cannot change the port.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// Weight of members that have none of their own, 0 to 65535.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 65535))]
    pub weight: i32,
    /// Limits of members that have none of their own.
    #[serde(default)]
    pub connection_limits: ConnectionLimits,
    /// Forwarding of the members, where it differs from the virtual service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// Members written here, 1 to 256, key `address` and `port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into(), "port".into()]))]
    pub servers: Vec<InlineServer>,
    /// Members are the `RealServer` objects of this namespace with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_server_selector: Option<RealServerSelector>,
}

fn default_weight() -> i32 {
    1
}
