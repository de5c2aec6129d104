//! `NodePlan`: who a node is. Written by the operator, carried out and reported on by its agent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AddressFamily, AdminState, ConnectionSync, Fencing, FencingReport, InstanceAddress,
    InstanceRoute, InterfaceSelector, OtherDirector, SyncGroup, Sysctls, Timeouts, Track,
    TunnelType, UnhealthyBackend, Vrrp, format,
};

/// Version of the plan's format that this crate writes and reads.
pub const FORMAT_VERSION: i32 = 1;

/// A VRRP instance as one director runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstancePlan {
    /// Name of the instance.
    #[schemars(with = "format::EntryName")]
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
    /// Addresses beside those of the virtual services, at most 256, key `address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into()]))]
    pub addresses: Vec<InstanceAddress>,
    /// Routes that move with the instance, at most 32, key `destination`, `metric` and `table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["destination".into(), "metric".into(), "table".into()]))]
    pub routes: Vec<InstanceRoute>,
    /// Addresses of the other directors, from which they send and to which this one sends when
    /// `vrrp.transport` is `Unicast`, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<format::LinkAddress>", length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub peers: Vec<String>,
    /// What changes this director's priority, those of the whole pair included, at most 64, key
    /// `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub track: Vec<Track>,
}

/// What a director does. The services come from the pair's `PlanSlice`s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectorRole {
    /// Name of the `DirectorPair`, the value of the label on its slices.
    #[schemars(with = "format::ObjectName")]
    pub pair: String,
    /// Interface that connection synchronisation uses unless it names another.
    pub interface: InterfaceSelector,
    /// Source address of advertisements; absent = the interface's first address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::LinkAddress>")]
    pub source_address: Option<String>,
    /// `Drain`: hand over and stay Backup.
    #[serde(default)]
    pub admin_state: AdminState,
    /// VRRP instances, 1 to 32, key `name`.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub instances: Vec<InstancePlan>,
    /// Instances that move together, at most 16, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sync_groups: Vec<SyncGroup>,
    /// VRRP settings of the pair.
    pub vrrp: Vrrp,
    /// Fencing; absent = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<Fencing>,
    /// The other directors that are in service, while fencing needs them, at most 3, key `nodeName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["nodeName".into()]))]
    pub other_directors: Vec<OtherDirector>,
    /// Connection synchronisation; `syncID` is resolved, never 0 while enabled.
    pub connection_sync: ConnectionSync,
    /// How long silent connections are kept; absent = as the node has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Sysctls.
    #[serde(default)]
    pub sysctls: Sysctls,
    /// Digest of the slices that belong to this plan.
    #[schemars(with = "format::Token")]
    pub slices_digest: String,
}

/// A VIP on a real server.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct LoopbackAddress {
    /// The VIP.
    #[schemars(with = "format::HostAddress")]
    pub address: String,
    /// Interface that gets it, usually `lo`.
    #[schemars(with = "format::InterfaceName")]
    pub interface: String,
    /// Whether `arp_ignore=1` and `arp_announce=2` are set on the interface that has `nodeAddress`.
    pub suppress_arp: bool,
    /// Names of the `DirectorPair`s whose directors send here, at most 64: the operator keeps the VIP
    /// until all of them have confirmed that they do not any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<format::ObjectName>", length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub pairs: Vec<String>,
}

/// A kind of tunnel whose packets a real server takes out.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct TunnelPlan {
    /// Kind of tunnel.
    #[serde(rename = "type")]
    pub type_: TunnelType,
    /// UDP port of GUE, 1 to 65535; 0 for the other kinds.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// Family of the packets inside: the VIPs'.
    pub inner: AddressFamily,
    /// Family of the packets outside: the real server's.
    pub outer: AddressFamily,
    /// Device that they come out of; absent = the kernel's own for this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::InterfaceName>")]
    pub device: Option<String>,
    /// Whether `rp_filter` of the device is set to 2 (loose).
    pub manage_rp_filter: bool,
}

/// What a real server does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealServerRole {
    /// Address that directors send to; the interface that has it is the one whose ARP is suppressed.
    #[schemars(with = "format::HostAddress")]
    pub node_address: String,
    /// VIPs on this node, at most 4096, key `address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into()]))]
    pub addresses: Vec<LoopbackAddress>,
    /// Tunnels that end here, at most 64, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub tunnels: Vec<TunnelPlan>,
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
    doc = "What one node's agent carries out. Written by the operator; not for people to edit.",
    printcolumn(name = "Pair", type_ = "string", json_path = ".spec.director.pair"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".spec.revision"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.appliedRevision"
    ),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct NodePlanSpec {
    /// Format of this plan; an agent that does not know it keeps the plan it has.
    #[schemars(range(min = 1))]
    pub format_version: i32,
    /// Features that the agent must have; one that lacks any keeps the plan it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub required_features: Vec<String>,
    /// Digest of everything that this node should have applied, slices included.
    #[schemars(with = "format::Token")]
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

/// Another router that is Active beside this node's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SplitBrain {
    /// Address that the other one sends from.
    #[schemars(length(max = 45))]
    pub peer: String,
    /// When it was first heard.
    pub since: Time,
}

/// State of an instance on one node. An instance with IPv4 and IPv6 VIPs runs one router of each
/// family; it is `Active` when all of them are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceReport {
    /// Name of the instance.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// State.
    pub state: RouterState,
    /// Why it cannot run, or what is wrong although it runs: VIPs that another program adds or
    /// removes, packets that cannot be sent. Absent = nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub problem: Option<String>,
    /// Another Active Router that is heard while this one is Active. Absent = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_brain: Option<SplitBrain>,
    /// Addresses that its advertisements come from, one of each family at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = 45)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub source_addresses: Vec<String>,
}

/// A member whose checks fail on this director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnhealthyServer {
    /// Virtual service, as `namespace/name`.
    #[schemars(with = "format::Token")]
    pub virtual_service: String,
    /// The member and why.
    #[serde(flatten)]
    pub backend: UnhealthyBackend,
}

/// A virtual service that a director cannot carry out as it is asked to, or not in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceProblem {
    /// Virtual service, as `namespace/name`.
    #[schemars(with = "format::Token")]
    pub virtual_service: String,
    /// One word in `CamelCase`: `UnsupportedByKernel`, `KernelError`.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What the kernel lacks or refuses, and what to do.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// A member that is leaving and still has connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainingServer {
    /// Virtual service, as `namespace/name`.
    #[schemars(with = "format::Token")]
    pub virtual_service: String,
    /// Address of the real server.
    #[schemars(length(max = 45))]
    pub address: String,
    /// Port of the real server; 0 = every port.
    pub port: i32,
}

/// What the node's kernel can do, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KernelReport {
    /// Release, as `uname -r`.
    #[schemars(length(max = 255))]
    pub release: String,
    /// Version of IPVS, as `ipvsadm` shows it; absent without IPVS, or while nobody needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub ipvs_version: Option<String>,
    /// Modules that the plan needs and the kernel could not load, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub missing_modules: Vec<String>,
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
    #[schemars(with = "Option<format::Token>")]
    pub applied_revision: Option<String>,
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::Token>")]
    pub agent_version: Option<String>,
    /// State of the VRRP instances, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub instances: Vec<InstanceReport>,
    /// How its fencing is; absent = it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<FencingReport>,
    /// Members whose checks fail, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub unhealthy: Vec<UnhealthyServer>,
    /// How many members' checks fail, also those beyond the list.
    #[serde(default)]
    pub unhealthy_count: i32,
    /// Virtual services that cannot be carried out as asked, at most 256, key `virtualService`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["virtualService".into()]))]
    pub service_problems: Vec<ServiceProblem>,
    /// Virtual services whose quorum is lost, as `namespace/name`, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<format::Token>", length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub without_quorum: Vec<String>,
    /// Members that are leaving and still in the table, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub draining: Vec<DrainingServer>,
    /// How many members are leaving, also those beyond the list.
    #[serde(default)]
    pub draining_count: i32,
    /// What the kernel can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelReport>,
    /// Conditions, key `type`: `Programmed`, and on a real server `LoopbackConfigured` and
    /// `ARPSuppressed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
