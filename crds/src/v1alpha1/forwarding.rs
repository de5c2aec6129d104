//! How packets reach a real server.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Forwarding method, as `ipvsadm -g`, `-m` and `-i`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum ForwardingMethod {
    /// Direct routing: the packet goes to the real server's MAC address unchanged, the answer goes
    /// straight to the client. Needs one layer-2 network, and the VIP on the real server's loopback.
    #[default]
    DR,
    /// Network address translation (masquerading): answers return through the director.
    NAT,
    /// Tunnelling: the packet goes to the real server inside another one, the answer goes straight
    /// to the client. The real server may be in any network; it needs the VIP on its loopback and a
    /// tunnel device.
    TUN,
    /// The director itself answers, on the VIP: for a fallback.
    Local,
}

impl ForwardingMethod {
    /// Whether packets keep the VIP as destination, so that the real server must have it and the
    /// port cannot change.
    #[must_use]
    pub const fn keeps_destination(self) -> bool {
        match self {
            Self::DR | Self::TUN | Self::Local => true,
            Self::NAT => false,
        }
    }
}

/// Kind of tunnel (`ipvsadm --tun-type`).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum TunnelType {
    /// IP in IP (RFC 2003).
    #[default]
    IPIP,
    /// Generic UDP encapsulation (kernel 5.3 and later).
    GUE,
    /// Generic routing encapsulation (RFC 2784; kernel 5.3 and later).
    GRE,
}

/// Checksum of the outer header (`ipvsadm --tun-nocsum`, `--tun-csum`, `--tun-remcsum`).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum TunnelChecksum {
    /// None.
    #[default]
    None,
    /// Checksum of the outer header.
    Checksum,
    /// Remote checksum offload. GUE alone has it.
    RemoteChecksum,
}

/// Tunnel from directors to real servers.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.port) == (self.type == 'GUE')")
        .message("port is the UDP port of type GUE: give it with GUE, for example 6080, and with no other type")
        .field_path(".port"),
    validation = Rule::new("self.checksum == 'None' || self.type != 'IPIP'")
        .message("checksum is for the types GUE and GRE: set it to None, or change type")
        .field_path(".checksum"),
    validation = Rule::new("self.checksum != 'RemoteChecksum' || self.type != 'GRE'")
        .message("checksum RemoteChecksum is for type GUE alone: set it to Checksum or None, or change type")
        .field_path(".checksum")
)]
pub struct Tunnel {
    /// Kind of tunnel.
    #[serde(default, rename = "type")]
    pub type_: TunnelType,
    /// UDP port that real servers receive GUE on, 1 to 65535; required by GUE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Checksum of the outer header.
    #[serde(default)]
    pub checksum: TunnelChecksum,
}

/// Forwarding of a virtual service, or of a pool that differs from it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.tunnel) || self.method == 'TUN'")
    .message("tunnel is for method TUN: remove it, or set method to TUN")
    .field_path(".tunnel"))]
pub struct Forwarding {
    /// Forwarding method.
    #[serde(default)]
    pub method: ForwardingMethod,
    /// Tunnel of method TUN; absent = IPIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
}
