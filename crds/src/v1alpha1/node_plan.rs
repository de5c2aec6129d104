//! `NodePlan`: who a node is. Written by the operator, carried out and reported on by its agent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdminState, ConnectionSync, InstanceAddress, InterfaceSelector, UnhealthyBackend, Vrrp};

/// Version of the plan's format that this crate writes and reads.
pub const FORMAT_VERSION: i32 = 1;

/// A VRRP instance as one director runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstancePlan {
    /// Name of the instance.
    pub name: String,
    /// Virtual router id, 1 to 255.
    #[serde(rename = "virtualRouterID")]
    #[schemars(range(min = 1, max = 255))]
    pub virtual_router_id: i32,
    /// This director's priority, 1 to 254.
    #[schemars(range(min = 1, max = 254))]
    pub priority: i32,
    /// Interface on this node.
    pub interface: InterfaceSelector,
    /// Addresses beside those of the virtual services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<InstanceAddress>,
}

/// What a director does. The services come from the pair's `PlanSlice`s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorRole {
    /// Name of the `DirectorPair`, the value of the label on its slices.
    pub pair: String,
    /// Interface that connection synchronisation uses unless it names another.
    pub interface: InterfaceSelector,
    /// Source address of advertisements; absent = the interface's first address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// `Drain`: hand over and stay Backup.
    #[serde(default)]
    pub admin_state: AdminState,
    /// VRRP instances.
    pub instances: Vec<InstancePlan>,
    /// VRRP settings of the pair.
    pub vrrp: Vrrp,
    /// Connection synchronisation; `syncID` is resolved, never 0 while enabled.
    pub connection_sync: ConnectionSync,
    /// [`super::revision::slices_digest`] of the slices that belong to this plan.
    pub slices_digest: String,
}

/// A VIP on a real server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoopbackAddress {
    /// The VIP.
    pub address: String,
    /// Interface that gets it, usually `lo`.
    pub interface: String,
    /// Whether `arp_ignore=1` and `arp_announce=2` are set on the interface that has `nodeAddress`.
    pub suppress_arp: bool,
}

/// What a real server does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerRole {
    /// Address that directors send to; the interface that has it is the one whose ARP is suppressed.
    pub node_address: String,
    /// VIPs on this node, key `address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<LoopbackAddress>,
}

/// What a node should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "lvs-operator.dev",
    version = "v1alpha1",
    kind = "NodePlan",
    plural = "nodeplans",
    shortname = "lvsnp",
    category = "lvs",
    status = "NodePlanStatus",
    doc = "What one node's agent carries out. Written by the operator; not for people to edit."
)]
#[serde(rename_all = "camelCase")]
pub struct NodePlanSpec {
    /// Format of this plan; an agent that does not know it keeps the plan it has.
    pub format_version: i32,
    /// Features that the agent must have; one that lacks any keeps the plan it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_features: Vec<String>,
    /// Digest of everything that this node should have applied, slices included.
    pub revision: String,
    /// Present while the node is a director.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub director: Option<DirectorRole>,
    /// Present while the node is a managed real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_server: Option<RealServerRole>,
}

/// State of a VRRP router (RFC 9568 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RouterState {
    /// Not running.
    Initialize,
    /// Watches the Active Router.
    Backup,
    /// Owns the VIPs.
    Active,
    /// Cannot run: the interface is missing or down.
    Fault,
}

/// State of an instance on one node. An instance with IPv4 and IPv6 VIPs runs one router of each
/// family; it is `Active` when all of them are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceReport {
    /// Name of the instance.
    pub name: String,
    /// State.
    pub state: RouterState,
}

/// A member whose checks fail on this director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnhealthyServer {
    /// Virtual service, as `namespace/name`.
    pub virtual_service: String,
    /// The member and why.
    #[serde(flatten)]
    pub backend: UnhealthyBackend,
}

/// What a node is, as its agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePlanStatus {
    /// Generation that this status speaks of; -1 before the first.
    #[serde(default = "super::condition::unobserved")]
    pub observed_generation: i64,
    /// `spec.revision` once the kernel equals the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// State of the VRRP instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceReport>,
    /// Members whose checks fail, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unhealthy: Vec<UnhealthyServer>,
    /// How many members' checks fail, also those beyond the list.
    #[serde(default)]
    pub unhealthy_count: i32,
    /// Conditions, key `type`: `Programmed`, and on a real server `LoopbackConfigured` and
    /// `ARPSuppressed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
