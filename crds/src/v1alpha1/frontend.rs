//! What clients connect to.

use std::ops::RangeInclusive;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// Transport protocol.
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
pub enum Protocol {
    /// TCP.
    #[default]
    TCP,
    /// UDP.
    UDP,
    /// SCTP.
    SCTP,
}

/// A port, or a range of ports, of a virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.endPort) || (self.port != 0 && self.endPort >= self.port)")
    .message("endPort must be the last port of a range that begins at port, which is not 0: raise it, or remove it")
    .field_path(".endPort"))]
pub struct Port {
    /// Name, unique in the list.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// Port, 1 to 65535; 0 = every port, which needs persistence or a firewall mark.
    #[schemars(range(min = 0, max = 65535))]
    pub port: i32,
    /// Last port of a range; absent = `port` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

impl Port {
    /// First and last port.
    #[must_use]
    pub fn range(&self) -> (i32, i32) {
        (self.port, self.end_port.unwrap_or(self.port))
    }
}

/// Address family.
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
pub enum AddressFamily {
    /// IPv4.
    #[default]
    IPv4,
    /// IPv6.
    IPv6,
}

/// Who gives packets their firewall mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MarkRules {
    /// The directors' agents, by an nftables table of their own, made from `addresses` and `ports`.
    #[default]
    Managed,
    /// Rules that you have installed yourself.
    External,
}

/// Marks that are handed out to virtual services without one of their own: 65,536 from `0x10000000`.
/// It is far above the bits that kube-proxy (`0x4000`, `0x8000`) and hand-written rules use.
pub const ALLOCATED_MARKS: RangeInclusive<i32> = 0x1000_0000..=0x1000_ffff;

/// Balances by firewall mark instead of by address and port (`ipvsadm -f`): several ports, or
/// several VIPs, are then one service with one persistence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.mark) || self.rules == 'Managed'")
    .message("mark is required with rules External: give the mark that your rules set")
    .field_path(".mark"))]
pub struct FirewallMark {
    /// The mark, 1 to 2147483647; absent = allocated, from 268435456 (0x10000000) to 268500991, and
    /// shown in the status. `External` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub mark: Option<i32>,
    /// Address family of the packets.
    #[serde(default)]
    pub family: AddressFamily,
    /// Who sets the mark.
    #[serde(default)]
    pub rules: MarkRules,
}

/// Who puts the VIPs on the Active director.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BindAddresses {
    /// The directors' agents, by VRRP.
    #[default]
    Managed,
    /// Somebody else: routing, another VRRP daemon.
    External,
}

/// What clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.addresses) || (has(self.firewallMark) && self.firewallMark.rules == 'External')")
        .message("addresses is required, unless firewallMark.rules is External: give the VIPs")
        .field_path(".addresses"),
    validation = Rule::new("has(self.ports) || (has(self.firewallMark) && self.firewallMark.rules == 'External')")
        .message("ports is required, unless firewallMark.rules is External: give at least one port")
        .field_path(".ports"),
    validation = Rule::new("!has(self.firewallMark) || !has(self.addresses) || self.addresses.all(a, !isIP(a) || ip(a).family() == (self.firewallMark.family == 'IPv4' ? 4 : 6))")
        .message("addresses has one that is not of firewallMark.family: a firewall mark stands for one address family; use a VirtualService for each")
        .field_path(".addresses"),
    validation = Rule::new("!has(self.ports) || self.ports.all(p, (has(p.endPort) && p.endPort < p.port) || self.ports.exists_one(q, q.protocol == p.protocol && q.port <= (has(p.endPort) ? p.endPort : p.port) && p.port <= (has(q.endPort) ? q.endPort : q.port)))")
        .message("ports has the same port and protocol twice: remove one of the two, or shorten a range")
        .field_path(".ports"),
    validation = Rule::new("!has(self.ports) || self.ports.all(p, p.port != 0 || self.ports.exists_one(q, q.protocol == p.protocol))")
        .message("port 0 stands for every port and must be the only one of its protocol: remove the others, or port 0")
        .field_path(".ports"),
    validation = Rule::new("has(self.firewallMark) || !has(self.ports) || self.ports.all(p, !has(p.endPort) || p.endPort - p.port < 1024)")
        .message("a range of ports has more than 1024, and each is a virtual service in the kernel: shorten it, or use firewallMark, with which a range of any length is one service")
        .field_path(".ports")
)]
pub struct Frontend {
    /// VIPs, 1 to 64, IPv4 or IPv6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<format::HostAddress>", length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub addresses: Vec<String>,
    /// Ports, 1 to 64, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub ports: Vec<Port>,
    /// Balances by firewall mark; absent = by address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_mark: Option<FirewallMark>,
    /// Who puts the VIPs on the Active director.
    #[serde(default)]
    pub bind_addresses: BindAddresses,
}
