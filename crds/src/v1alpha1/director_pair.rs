//! `DirectorPair`: which nodes are directors and how they fail over.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{AdminState, ConnectionSync, InterfaceSelector, Vrrp};

/// A node that is a director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Director {
    /// Name of the node.
    pub node_name: String,
    /// Interface on this node, where it differs from the pair's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceSelector>,
    /// Source address of this director's advertisements; absent = the interface's first address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// `Drain` hands the VIPs over and keeps this director Backup.
    #[serde(default)]
    pub admin_state: AdminState,
}

/// Priority of one director in one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstancePriority {
    /// Name of the director's node.
    pub node_name: String,
    /// VRRP priority, 1 to 254.
    #[schemars(range(min = 1, max = 254))]
    pub priority: i32,
}

/// An address that moves with an instance and belongs to no virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceAddress {
    /// IPv4 or IPv6 address.
    pub address: String,
    /// Prefix length; absent = 32 for IPv4, 128 for IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub prefix_length: Option<i32>,
}

/// A VRRP instance: the VIPs that move together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VrrpInstance {
    /// Name, unique in the pair.
    pub name: String,
    /// Virtual router id, 1 to 255; absent = allocated and shown in the status.
    #[serde(default, rename = "virtualRouterID", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub virtual_router_id: Option<i32>,
    /// Director that gets priority 150; the others get 100, 90, 80 in the order of `directors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_director: Option<String>,
    /// Priorities one by one, instead of `preferredDirector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<InstancePriority>,
    /// Interface of this instance, where it differs from the director's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceSelector>,
    /// Addresses that move with the instance and belong to no virtual service, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<InstanceAddress>,
}

/// What a `DirectorPair` should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "lvs-operator.dev",
    version = "v1alpha1",
    kind = "DirectorPair",
    plural = "directorpairs",
    shortname = "lvsdp",
    category = "lvs",
    status = "DirectorPairStatus",
    doc = "The nodes that balance together, and how they fail over."
)]
#[serde(rename_all = "camelCase")]
pub struct DirectorPairSpec {
    /// The directors, 1 to 4, key `nodeName`; two is the normal case.
    pub directors: Vec<Director>,
    /// Interface that has the VIPs and carries the advertisements.
    pub interface: InterfaceSelector,
    /// VRRP instances, 1 to 32, key `name`; absent = one called `default`.
    #[serde(default = "default_instances")]
    pub instances: Vec<VrrpInstance>,
    /// VRRP settings.
    #[serde(default)]
    pub vrrp: Vrrp,
    /// Connection synchronisation.
    #[serde(default)]
    pub connection_sync: ConnectionSync,
    /// `Drain` is not for a whole pair: nobody could take over. `Disabled` releases the directors.
    #[serde(default)]
    pub admin_state: AdminState,
}

fn default_instances() -> Vec<VrrpInstance> {
    vec![VrrpInstance {
        name: "default".into(),
        virtual_router_id: None,
        preferred_director: None,
        priorities: Vec::new(),
        interface: None,
        addresses: Vec::new(),
    }]
}

/// State of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Name of the instance.
    pub name: String,
    /// Virtual router id in use.
    #[serde(rename = "virtualRouterID")]
    pub virtual_router_id: i32,
    /// Node that is the Active Router; absent = none known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
}

/// State of one director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorStatus {
    /// Name of the node.
    pub node_name: String,
    /// Revision that its kernel carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,
    /// Version of its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
}

/// What a `DirectorPair` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorPairStatus {
    /// Generation that this status speaks of; -1 before the first.
    #[serde(default = "super::condition::unobserved")]
    pub observed_generation: i64,
    /// State of the instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceStatus>,
    /// State of the directors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directors: Vec<DirectorStatus>,
    /// Conditions, key `type`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
