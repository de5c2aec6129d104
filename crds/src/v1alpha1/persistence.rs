//! Keeping a client on one real server.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What tells one client from another (`ipvsadm --pe`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PersistenceEngine {
    /// The client's address.
    #[default]
    None,
    /// The Call-ID of SIP over UDP (module `ip_vs_pe_sip`).
    SIP,
}

/// Persistence (`ipvsadm -p`): all connections of a client network go to one real server until it
/// has been silent for the timeout.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// Seconds after the last connection, 1 to 2678400 (31 days).
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 1, max = 2_678_400))]
    pub timeout_seconds: i32,
    /// IPv4 clients that share this prefix count as one client, 1 to 32.
    #[serde(default = "default_ipv4_prefix_length")]
    #[schemars(range(min = 1, max = 32))]
    pub ipv4_prefix_length: i32,
    /// IPv6 clients that share this prefix count as one client, 1 to 128.
    #[serde(default = "default_ipv6_prefix_length")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix_length: i32,
    /// What tells one client from another.
    #[serde(default)]
    pub engine: PersistenceEngine,
}

fn default_timeout_seconds() -> i32 {
    300
}

fn default_ipv4_prefix_length() -> i32 {
    32
}

fn default_ipv6_prefix_length() -> i32 {
    128
}
