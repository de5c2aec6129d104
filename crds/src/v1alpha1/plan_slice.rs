//! `PlanSlice`: a shard of what a pair of directors balances.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{ForwardingMethod, HealthCheck, Persistence, Port, Scheduler};

/// Label of a slice: the `DirectorPair` that it belongs to.
pub const PAIR_LABEL: &str = "lvs-operator.dev/pair";

/// A virtual service as directors program it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePlan {
    /// Virtual service, as `namespace/name`.
    pub name: String,
    /// UID of the object, for Events about it.
    pub uid: String,
    /// VRRP instance that owns the addresses.
    pub instance: String,
    /// VIPs.
    pub addresses: Vec<String>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Forwarding method.
    pub forwarding: ForwardingMethod,
    /// Scheduler.
    pub scheduler: Scheduler,
    /// Persistence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Names of its pools; they may stand in other slices.
    pub pools: Vec<String>,
    /// Every member at weight 0 (`adminState: Drain`).
    #[serde(default)]
    pub drain: bool,
}

/// A real server in a pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberPlan {
    /// Address.
    pub address: String,
    /// Port, 1 to 65535; 0 = the port of the virtual service.
    #[serde(default)]
    pub port: i32,
    /// Weight, 0 to 65535, before checks.
    pub weight: i32,
    /// Whether it is checked (`Maintenance` is not).
    #[serde(default = "checked")]
    pub checked: bool,
}

fn checked() -> bool {
    true
}

/// Real servers that one or more virtual services use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolPlan {
    /// Name, unique in the pair.
    pub name: String,
    /// Members, key `address` and `port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    doc = "A shard of what a pair of directors balances. Written by the operator; not for people to edit."
)]
#[serde(rename_all = "camelCase")]
pub struct PlanSliceSpec {
    /// [`super::revision::slice_digest`] of the rest of this slice.
    pub digest: String,
    /// Virtual services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServicePlan>,
    /// Pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolPlan>,
}
