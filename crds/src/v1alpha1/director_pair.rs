//! `DirectorPair`: which nodes are directors and how they fail over.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    AdminState, ConnectionSync, Fencing, InstanceRoute, InterfaceSelector, Sysctls, Timeouts,
    Track, Vrrp, format,
};

/// A node that is a director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Director {
    /// Name of the node.
    #[schemars(with = "format::ObjectName")]
    pub node_name: String,
    /// Interface on this node, where it differs from the pair's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceSelector>,
    /// Source address of this director's advertisements on its interface; absent = the interface's
    /// first address, as on the interfaces of instances that name their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::LinkAddress>")]
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
    #[schemars(with = "format::ObjectName")]
    pub node_name: String,
    /// VRRP priority, 1 to 254.
    #[schemars(range(min = 1, max = 254))]
    pub priority: i32,
}

/// An address that moves with an instance and belongs to no virtual service.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.prefixLength) || self.prefixLength <= 32 || !isIP(self.address) || ip(self.address).family() == 6"
).message("prefixLength is too long for an IPv4 address: 32 at most").field_path(".prefixLength"))]
pub struct InstanceAddress {
    /// IPv4 or IPv6 address.
    #[schemars(with = "format::LinkAddress")]
    pub address: String,
    /// Prefix length; absent = 32 for IPv4, 128 for IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub prefix_length: Option<i32>,
}

/// A VRRP instance: the VIPs that move together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.preferredDirector) || !has(self.priorities)")
        .message("preferredDirector and priorities exclude each other: name the preferred director, or give every director its priority")
        .field_path(".preferredDirector"),
    validation = Rule::new("!has(self.priorities) || self.priorities.all(p, self.priorities.exists_one(q, q.priority == p.priority))")
        .message("priorities must differ from director to director: with equal ones the election has no order")
        .field_path(".priorities")
)]
pub struct VrrpInstance {
    /// Name, unique in the pair.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// Virtual router id, 1 to 255; absent = allocated and shown in the status.
    #[serde(
        default,
        rename = "virtualRouterID",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1, max = 255))]
    pub virtual_router_id: Option<i32>,
    /// Director that gets priority 150; the others get 100, 90, 80 in the order of `directors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::ObjectName>")]
    pub preferred_director: Option<String>,
    /// Priorities one by one, instead of `preferredDirector`: one for each director, key `nodeName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["nodeName".into()]))]
    pub priorities: Vec<InstancePriority>,
    /// Interface of this instance, where it differs from the director's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceSelector>,
    /// Addresses that move with the instance and belong to no virtual service, at most 256, key
    /// `address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into()]))]
    pub addresses: Vec<InstanceAddress>,
    /// Routes that are in the kernel of the director that is Active, at most 32, key `destination`,
    /// `metric` and `table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["destination".into(), "metric".into(), "table".into()]))]
    pub routes: Vec<InstanceRoute>,
    /// What this instance watches beside its peers, at most 32, key `name`. One with the name of an
    /// entry of `vrrp.track` replaces that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub track: Vec<Track>,
}

/// Instances that move together: when one of them cannot be Active, none is (RFC 9568 has no such
/// thing; keepalived calls it `vrrp_sync_group`). NAT needs it for its outside and inside. The
/// priorities of the first instance are those of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncGroup {
    /// Name, unique in the pair.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// Names of at least two of `spec.instances`.
    #[schemars(with = "Vec<format::EntryName>", length(min = 2, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub instances: Vec<String>,
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
    doc = "The nodes that balance together, and how they fail over.",
    validation = Rule::new("self.metadata.name.size() <= 63").message(
        "metadata.name must be at most 63 characters: it becomes the value of a label"
    ),
    printcolumn(name = "Directors", type_ = "string", json_path = ".status.members"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.active"),
    printcolumn(name = "Sync", type_ = "string", json_path = ".status.conditions[?(@.type==\"ConnectionSynced\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.adminState != 'Drain'")
        .message("adminState Drain is not for a whole pair, where nobody could take over: set it on one of spec.directors, or set Disabled to release all")
        .field_path(".adminState"),
    validation = Rule::new("self.instances.all(i, !has(i.preferredDirector) || self.directors.exists(d, d.nodeName == i.preferredDirector))")
        .message("preferredDirector must be the nodeName of one of spec.directors: add the node there, or name one of them")
        .field_path(".instances"),
    validation = Rule::new("self.instances.all(i, !has(i.priorities) || i.priorities.all(p, self.directors.exists(d, d.nodeName == p.nodeName)))")
        .message("priorities[].nodeName must be the nodeName of one of spec.directors: add the node there, or remove its priority")
        .field_path(".instances"),
    validation = Rule::new("self.instances.all(i, !has(i.priorities) || self.directors.all(d, i.priorities.exists(p, p.nodeName == d.nodeName)))")
        .message("priorities must give every one of spec.directors its priority: add the missing ones, or use preferredDirector")
        .field_path(".instances"),
    validation = Rule::new("self.instances.all(i, !has(i.virtualRouterID) || self.instances.exists_one(j, has(j.virtualRouterID) && j.virtualRouterID == i.virtualRouterID && (has(i.interface) ? (has(i.interface.name) ? i.interface.name : i.interface.subnet) : (has(self.interface.name) ? self.interface.name : self.interface.subnet)) == (has(j.interface) ? (has(j.interface.name) ? j.interface.name : j.interface.subnet) : (has(self.interface.name) ? self.interface.name : self.interface.subnet))))")
        .message("virtualRouterID must differ between instances on the same interface: give each its own of 1 to 255, or leave it out to have one allocated")
        .field_path(".instances"),
    validation = Rule::new("!has(self.syncGroups) || self.syncGroups.all(g, g.instances.all(n, self.instances.exists(i, i.name == n)))")
        .message("syncGroups[].instances must be names of spec.instances: add the instance there, or name one of them")
        .field_path(".syncGroups"),
    validation = Rule::new("!has(self.syncGroups) || self.syncGroups.all(g, g.instances.all(n, self.syncGroups.exists_one(h, n in h.instances)))")
        .message("an instance can be in one of syncGroups only: remove it from the others, or make them one group")
        .field_path(".syncGroups"),
    validation = Rule::new("self.vrrp.version == 3 || self.instances.all(i, !has(i.addresses) || i.addresses.all(a, !isIP(a.address) || ip(a.address).family() == 4))")
        .message("instances[].addresses has an IPv6 address and vrrp.version 2 knows IPv4 alone: set version to 3, or remove the address")
        .field_path(".instances"),
    validation = Rule::new("self.vrrp.version == 3 || self.instances.all(i, !has(i.routes) || i.routes.all(r, !isCIDR(r.destination) || cidr(r.destination).ip().family() == 4))")
        .message("instances[].routes has an IPv6 destination and vrrp.version 2 knows IPv4 alone: set version to 3, or remove the route")
        .field_path(".instances"),
    validation = Rule::new("self.vrrp.version == 3 || self.directors.all(d, !has(d.sourceAddress) || !isIP(d.sourceAddress) || ip(d.sourceAddress).family() == 4)")
        .message("directors[].sourceAddress is IPv6 and vrrp.version 2 knows IPv4 alone: set version to 3, or give an IPv4 address")
        .field_path(".directors"),
    validation = Rule::new("self.vrrp.transport.mode == 'Multicast' || self.directors.size() > 1")
        .message("vrrp.transport.mode Unicast sends to the other directors and spec.directors has one: add another, or set the mode to Multicast")
        .field_path(".directors"),
    validation = Rule::new("self.vrrp.preemption.mode != 'AfterSync' || self.connectionSync.mode == 'Enabled'")
        .message("vrrp.preemption.mode AfterSync waits for connections and connectionSync.mode is Disabled: enable it, or set the mode of preemption to Immediate")
        .field_path(".connectionSync"),
    validation = Rule::new("self.vrrp.preemption.mode != 'AfterSync' || !has(self.sysctls.syncRefreshPeriodSeconds) || (self.sysctls.syncRefreshPeriodSeconds > 0 && self.sysctls.syncRefreshPeriodSeconds * 2 < self.vrrp.preemption.syncTimeoutSeconds)")
        .message("sysctls.syncRefreshPeriodSeconds must be above 0 and below half of vrrp.preemption.syncTimeoutSeconds with mode AfterSync, which waits for two periods: change it, or remove it to have 5")
        .field_path(".sysctls")
)]
pub struct DirectorPairSpec {
    /// The directors, 1 to 4, key `nodeName`; two is the normal case.
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["nodeName".into()]))]
    pub directors: Vec<Director>,
    /// Interface that has the VIPs and carries the advertisements.
    pub interface: InterfaceSelector,
    /// VRRP instances, 1 to 32, key `name`; absent = one called `default`.
    #[serde(default = "default_instances")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub instances: Vec<VrrpInstance>,
    /// Instances that move together, at most 16, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sync_groups: Vec<SyncGroup>,
    /// VRRP settings.
    #[serde(default)]
    pub vrrp: Vrrp,
    /// Fencing; absent = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<Fencing>,
    /// Connection synchronisation.
    #[serde(default)]
    pub connection_sync: ConnectionSync,
    /// How long silent connections are kept; absent = as the nodes have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Sysctls of the directors.
    #[serde(default)]
    pub sysctls: Sysctls,
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
        routes: Vec::new(),
        track: Vec::new(),
    }]
}

/// State of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Name of the instance.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// Virtual router id in use.
    #[serde(rename = "virtualRouterID")]
    pub virtual_router_id: i32,
    /// Node that is the Active Router; absent = none known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::ObjectName>")]
    pub active: Option<String>,
}

/// State of one director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorStatus {
    /// Name of the node.
    #[schemars(with = "format::ObjectName")]
    pub node_name: String,
    /// Revision that its kernel carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::Token>")]
    pub applied_revision: Option<String>,
    /// Version of its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::Token>")]
    pub agent_version: Option<String>,
}

/// What a `DirectorPair` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorPairStatus {
    /// Generation that this status speaks of; -1 before the first.
    #[serde(default = "super::condition::unobserved")]
    pub observed_generation: i64,
    /// Names of `spec.directors` joined by commas, whatever the state, for the column of
    /// `kubectl get`: a column shows one value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub members: Option<String>,
    /// Nodes that are the Active Router of some instance, each once, joined by commas, for the
    /// column of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub active: Option<String>,
    /// State of the instances, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub instances: Vec<InstanceStatus>,
    /// State of the directors, key `nodeName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["nodeName".into()]))]
    pub directors: Vec<DirectorStatus>,
    /// Conditions, key `type`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
