//! What a director watches beside its peers: things whose failure makes it a worse director, or none.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// An address that must answer ICMP echo requests, one each second.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackedPing {
    /// The address, usually the gateway's.
    #[schemars(with = "format::HostAddress")]
    pub address: String,
}

/// The virtual services whose VIPs move with the instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackedVirtualServices {
    /// How many of them in 100 must be served on this director: with their quorum, by the checks that
    /// it makes itself. 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub minimum_ready_percent: i32,
}

/// Which state of a file is as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FileState {
    /// There is no such file: making it takes the director out.
    #[default]
    Absent,
    /// The file exists: removing it takes the director out.
    Present,
}

/// A file by which a program or a person on the node says whether it is fit to be Active.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackedFile {
    /// Name of the file in the directory `track` of the agent's state directory, on the node usually
    /// `/var/lib/lvs-operator/track`.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// Which state is as it should be.
    #[serde(default)]
    pub expected: FileState,
}

/// A program that the nodes' administrator installed and that looks at something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackedHook {
    /// Name of the program in the directory of hooks, on the node `/etc/lvs-operator/hooks`. It gets the
    /// argument `track`; exit code 0 means that all is well.
    #[schemars(with = "format::HookName")]
    pub name: String,
    /// Seconds from one start to the next, 1 to 3600. One that runs still is not started again.
    #[serde(default = "default_hook_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: i32,
    /// Seconds after which it is killed and has failed, 1 to 300.
    #[serde(default = "default_hook_seconds")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: i32,
}

/// A program that must be running on the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackedProcess {
    /// Name of the process as `ps -o comm` shows it: usually the program's file name, of which the
    /// kernel keeps the first 15 characters.
    #[schemars(with = "format::ProcessName")]
    pub name: String,
    /// Arguments that it must have been started with, the first ones and in this order: of a script,
    /// whose name is that of its interpreter, `[/srv/app.py]`. None: whatever they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<format::ProcessArgument>", length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub arguments: Vec<String>,
    /// How many of them must run, 1 to 1000.
    #[serde(default = "default_minimum")]
    #[schemars(range(min = 1, max = 1000))]
    pub minimum: i32,
}

fn default_minimum() -> i32 {
    1
}

fn default_hook_seconds() -> i32 {
    5
}

/// One thing that is watched, exactly one of `interface`, `ping`, `virtualServices`, `file`, `process`
/// and `hook`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "[has(self.interface), has(self.ping), has(self.virtualServices), has(self.file), has(self.process), has(self.hook)].exists_one(given, given)"
).message(
    "exactly one of interface, ping, virtualServices, file, process and hook is required: give each \
     thing to watch its own entry"
))]
pub struct Track {
    /// Name, unique among those of the instance.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// What it does to the priority, -253 to 253. 0: while it fails, the instance is in state `Fault`
    /// and another director is Active. Above 0: added while it is as it should be. Below 0: taken off
    /// while it fails.
    #[serde(default)]
    #[schemars(range(min = -253, max = 253))]
    pub weight: i32,
    /// Looks in a row that must succeed until what failed counts as well again, 1 to 100.
    #[serde(default = "default_looks")]
    #[schemars(range(min = 1, max = 100))]
    pub rise: i32,
    /// Looks in a row that must fail until it counts as failed, 1 to 100.
    #[serde(default = "default_looks")]
    #[schemars(range(min = 1, max = 100))]
    pub fall: i32,
    /// Network interface that must exist, be up and have a carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::InterfaceName>")]
    pub interface: Option<String>,
    /// Address that must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<TrackedPing>,
    /// Virtual services that must be served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_services: Option<TrackedVirtualServices>,
    /// File that must exist, or must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<TrackedFile>,
    /// Process that must run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<TrackedProcess>,
    /// Program that must succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<TrackedHook>,
}

fn default_looks() -> i32 {
    3
}
