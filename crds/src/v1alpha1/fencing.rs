//! What makes sure that a director whose role was taken over does no harm.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// The program that switches a silent director off. The nodes' administrator installs it on each
/// director; who may edit a pair can choose among what is installed and give no arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FencingHook {
    /// Name of the program in the directory of hooks, on the node `/etc/lvs-operator/hooks`.
    #[schemars(with = "format::HookName")]
    pub name: String,
    /// Seconds after which it is killed and has failed, 1 to 300.
    #[serde(default = "default_hook_timeout")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: i32,
}

fn default_hook_timeout() -> i32 {
    30
}

/// A watchdog device of the directors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watchdog {
    /// The device on the node, `/dev/watchdog` or `/dev/watchdogN`. Its driver must let it be stopped
    /// (no `nowayout`).
    #[serde(default = "default_device")]
    #[schemars(length(max = 32), regex(pattern = "^/dev/watchdog[0-9]*$"))]
    pub device: String,
    /// Seconds without a sign of life after which it resets the node, at most; 2 to 60. A device whose
    /// driver was loaded with a longer time-out is not used, and `FencingHealthy` says so; one with a
    /// shorter one is fed accordingly.
    #[serde(default = "default_watchdog_timeout")]
    #[schemars(range(min = 2, max = 60))]
    pub timeout_seconds: i32,
}

fn default_device() -> String {
    "/dev/watchdog".to_owned()
}

fn default_watchdog_timeout() -> i32 {
    10
}

/// Fencing. A takeover never waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.hook) || has(self.watchdog)")
    .message("fencing needs hook, watchdog or both: name a hook, write watchdog: {} for the default device, or remove fencing"))]
pub struct Fencing {
    /// Run on the director that takes over because the Active Router fell silent: not when it gave up
    /// its role, was preempted, or was never heard. Its environment has `LVS_PAIR`, `LVS_INSTANCE`,
    /// `LVS_PEER_NAME` (node name, empty if unknown), `LVS_PEER_ADDRESS` and `LVS_DIRECTORS` (names of
    /// the other directors, separated by commas); its argument is `fence`. A cut network looks like a
    /// dead peer, and then each director fences the other: let the hook ask a third party, or wait
    /// longer on one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<FencingHook>,
    /// Open while this director is Active, and fed by the thread that runs VRRP: one that hangs, or a
    /// node that is frozen, is reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Watchdog>,
}

/// Another director of the pair, as the one that fences it knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherDirector {
    /// Name of its node.
    #[schemars(with = "format::ObjectName")]
    pub node_name: String,
    /// Addresses that its advertisements come from, as far as they are known, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<format::LinkAddress>", length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub addresses: Vec<String>,
}

/// The last time that a director fenced another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FencingRun {
    /// Node that was fenced, or its address if no director is known by that.
    #[schemars(length(max = 253))]
    pub peer: String,
    /// Address that it was last heard from.
    #[schemars(length(max = 45))]
    pub peer_address: String,
    /// Instance that was taken over.
    #[schemars(with = "format::EntryName")]
    pub instance: String,
    /// When the hook was started.
    pub since: Time,
    /// What the hook failed at. Absent = it succeeded, or runs still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1536))]
    pub problem: Option<String>,
    /// Whether the hook has ended.
    pub ended: bool,
}

/// How a director's fencing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FencingReport {
    /// Why it would fail now: a hook that is not installed as it must be, a watchdog that cannot be
    /// used. Absent = nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2560))]
    pub problem: Option<String>,
    /// The last time that this director fenced another; absent = not since its agent started, or
    /// since its fencing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<FencingRun>,
}
