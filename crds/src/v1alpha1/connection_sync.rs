//! Keeping connections over a failover: the IPVS connection synchronisation daemons.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// Whether connections are synchronised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConnectionSyncMode {
    /// Both daemon roles run on every director, so that failback keeps connections too.
    #[default]
    Enabled,
    /// No daemon.
    Disabled,
}

/// Connection synchronisation between the directors (`ipvsadm --start-daemon`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSync {
    /// Whether connections are synchronised.
    #[serde(default)]
    pub mode: ConnectionSyncMode,
    /// Sync id, 1 to 255; 0 = the VRID of the first instance.
    #[serde(default, rename = "syncID")]
    #[schemars(range(min = 0, max = 255))]
    pub sync_id: i32,
    /// Interface that carries the messages; empty = the directors' interface.
    #[serde(default)]
    #[schemars(with = "format::OptionalInterfaceName")]
    pub interface: String,
    /// Longest message in bytes, 64 to 65507.
    #[serde(default = "default_max_packet_bytes")]
    #[schemars(range(min = 64, max = 65507))]
    pub max_packet_bytes: i32,
    /// Multicast group, IPv4 or IPv6.
    #[serde(default = "default_group")]
    #[schemars(with = "format::MulticastGroup")]
    pub group: String,
    /// UDP port, 1 to 65535.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Time to live of the messages, 1 to 255.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 1, max = 255))]
    pub ttl: i32,
}

impl Default for ConnectionSync {
    fn default() -> Self {
        Self {
            mode: ConnectionSyncMode::default(),
            sync_id: 0,
            interface: String::new(),
            max_packet_bytes: default_max_packet_bytes(),
            group: default_group(),
            port: default_port(),
            ttl: default_ttl(),
        }
    }
}

fn default_max_packet_bytes() -> i32 {
    1400
}

fn default_group() -> String {
    "224.0.0.81".into()
}

fn default_port() -> i32 {
    8848
}

fn default_ttl() -> i32 {
    1
}
