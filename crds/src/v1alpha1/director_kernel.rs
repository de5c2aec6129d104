//! Settings of a director's kernel that hold for all virtual services of the node.

#![allow(
    clippy::struct_field_names,
    reason = "the API has units in its names, and those of the timeouts are all seconds"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the kernel keeps silent connections (`ipvsadm --set`). The values that it had are
/// recorded and put back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// Seconds for open TCP connections, 1 to 2678400.
    #[serde(default = "default_tcp_seconds")]
    #[schemars(range(min = 1, max = 2_678_400))]
    pub tcp_seconds: i32,
    /// Seconds for TCP connections after a FIN, 1 to 2678400.
    #[serde(default = "default_tcp_fin_seconds")]
    #[schemars(range(min = 1, max = 2_678_400))]
    pub tcp_fin_seconds: i32,
    /// Seconds for UDP, 1 to 2678400.
    #[serde(default = "default_udp_seconds")]
    #[schemars(range(min = 1, max = 2_678_400))]
    pub udp_seconds: i32,
}

fn default_tcp_seconds() -> i32 {
    900
}

fn default_tcp_fin_seconds() -> i32 {
    120
}

fn default_udp_seconds() -> i32 {
    300
}

/// Who sets the sysctls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SysctlMode {
    /// The agents: recorded first, kept, and put back on release.
    #[default]
    Managed,
    /// The agents report what differs and change nothing.
    CheckOnly,
    /// Nobody looks.
    Ignore,
}

/// Sysctls of directors below `net.ipv4.vs`, documented in the kernel's
/// `Documentation/networking/ipvs-sysctl.rst`. One that is absent here is left as the node has it,
/// but for `connReuseMode` and `expireNodestConn`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sysctls {
    /// Who sets them; `net.ipv4.ip_forward`, which NAT needs, is among them.
    #[serde(default)]
    pub mode: SysctlMode,
    /// `conntrack`: IPVS connections are known to netfilter, which rules that match NAT need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<bool>,
    /// `conn_reuse_mode`, 0 to 3: what a new connection from a port in use does. Absent = 3: it is
    /// scheduled anew, so that a client never meets the dead server of its last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub conn_reuse_mode: Option<i32>,
    /// `expire_nodest_conn`: connections end at once when their server is removed, and who asks a
    /// server at weight 0 for a new one gets another server. Absent = true: a client that asked a
    /// server just before it was found dead is served as soon as it repeats its SYN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_nodest_conn: Option<bool>,
    /// `expire_quiescent_template`: weight 0 ends persistence too, so that clients move on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_quiescent_template: Option<bool>,
    /// `sloppy_tcp`: any TCP packet, not only a SYN, may begin a connection.
    #[serde(default, rename = "sloppyTCP", skip_serializing_if = "Option::is_none")]
    pub sloppy_tcp: Option<bool>,
    /// `sloppy_sctp`: the same for SCTP.
    #[serde(
        default,
        rename = "sloppySCTP",
        skip_serializing_if = "Option::is_none"
    )]
    pub sloppy_sctp: Option<bool>,
    /// `backup_only`: while the backup synchronisation daemon runs alone, nothing is scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_only: Option<bool>,
    /// `sync_persist_mode`: only persistence templates are synchronised, not their connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_persist_mode: Option<bool>,
    /// `sync_refresh_period` in seconds, 0 to 86400: how often a connection is told of again. Above 0
    /// this sets `sync_threshold` too, to `3 0`: every connection that has packets is told of so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub sync_refresh_period_seconds: Option<i32>,
    /// `sync_retries`, 0 to 3: how often a message is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub sync_retries: Option<i32>,
    /// `drop_entry`, 0 to 3: defence that drops connection entries when memory is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub drop_entry: Option<i32>,
    /// `drop_packet`, 0 to 3: defence that drops packets when memory is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub drop_packet: Option<i32>,
    /// `secure_tcp`, 0 to 3: defence by a stricter TCP state table.
    #[serde(default, rename = "secureTCP", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub secure_tcp: Option<i32>,
    /// `pmtu_disc`: path MTU discovery for tunnelled packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pmtu_disc: Option<bool>,
    /// `run_estimation`: the kernel estimates rates; off saves CPU with many servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_estimation: Option<bool>,
}
