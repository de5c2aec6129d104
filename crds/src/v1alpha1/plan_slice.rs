//! `PlanSlice`: a shard of what a pair of directors balances.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{
    AddressFamily, BindAddresses, ConnectionLimits, Drain, Fallback, Forwarding, HealthCheck,
    Persistence, Port, Quorum, Scheduler, format,
};

/// Label of a slice: the `DirectorPair` that it belongs to.
pub const PAIR_LABEL: &str = "lvs-operator.dev/pair";

/// Firewall mark of a virtual service as directors program it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkPlan {
    /// The mark, 1 to 2147483647.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub mark: i32,
    /// Address family of the packets.
    pub family: AddressFamily,
    /// Whether the director marks packets to `addresses` and `ports` itself.
    pub managed: bool,
}

/// A virtual service as directors program it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePlan {
    /// Virtual service, as `namespace/name`.
    #[schemars(with = "format::Token")]
    pub name: String,
    /// UID of the object, for Events about it.
    #[schemars(length(max = 63))]
    pub uid: String,
    /// VRRP instance that owns the addresses.
    #[schemars(with = "format::EntryName")]
    pub instance: String,
    /// VIPs, at most 64; none where a firewall mark that others set is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<format::HostAddress>", length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub addresses: Vec<String>,
    /// Who puts the VIPs on the Active director.
    #[serde(default)]
    pub bind_addresses: BindAddresses,
    /// Firewall mark that is balanced, instead of addresses and ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_mark: Option<MarkPlan>,
    /// Ports, at most 64, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub ports: Vec<Port>,
    /// Forwarding of members that have none of their own.
    pub forwarding: Forwarding,
    /// Scheduler.
    pub scheduler: Scheduler,
    /// Persistence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Names of its pools, at most 1024: a large pool is several here. They may stand in other slices.
    #[schemars(with = "Vec<format::Token>", length(max = 1024))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub pools: Vec<String>,
    /// How much weight must be up.
    #[serde(default)]
    pub quorum: Quorum,
    /// Server for the time when the quorum is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// Every member leaves (`adminState: Drain`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

/// A real server in a pool. It serves the VIPs of its own address family. With TUN it also serves
/// those of the other family, if the service has none of its own: one host never counts twice.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct MemberPlan {
    /// Address.
    // Without an allocation of its own: a pair may have a million members.
    #[schemars(with = "format::HostAddress")]
    pub address: SmolStr,
    /// Port, 1 to 65535; 0 = the port of the virtual service.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// Weight, 0 to 65535, before checks.
    #[schemars(range(min = 0, max = 65535))]
    pub weight: i32,
    /// Whether it is checked (`Maintenance` is not).
    #[serde(default = "checked")]
    pub checked: bool,
    /// Limits on its connections.
    #[serde(default, skip_serializing_if = "ConnectionLimits::is_none")]
    pub connection_limits: ConnectionLimits,
    /// Forwarding, where it differs from the virtual service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// It leaves: no new connections, and removal when its own have ended or the time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

fn checked() -> bool {
    true
}

/// Real servers that one or more virtual services use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolPlan {
    /// Name, unique in the pair.
    #[schemars(with = "format::Token")]
    pub name: String,
    /// Members, at most 8192, key `address` and `port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8192))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into(), "port".into()]))]
    pub members: Vec<MemberPlan>,
}

/// A shard of what a pair balances, about 32 KiB, at most 256 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "lvs-operator.dev",
    version = "v1alpha1",
    kind = "PlanSlice",
    plural = "planslices",
    shortname = "lvsps",
    category = "lvs",
    doc = "A shard of what a pair of directors balances. Written by the operator; not for people to edit.",
    printcolumn(
        name = "Pair",
        type_ = "string",
        json_path = ".metadata.labels.lvs-operator\\.dev/pair"
    ),
    printcolumn(name = "Digest", type_ = "string", json_path = ".spec.digest"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PlanSliceSpec {
    /// Digest of the rest of this slice.
    #[schemars(with = "format::Token")]
    pub digest: String,
    /// Virtual services, at most 1024, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServicePlan>,
    /// Pools, at most 1024, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<PoolPlan>,
}
