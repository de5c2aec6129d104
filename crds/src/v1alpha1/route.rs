//! A route that moves with a VRRP instance.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// A route that is in the kernel of the director whose instance is Active, and nowhere else. It
/// leads through the interface of the instance.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(self.gateway) || !isIP(self.gateway) || !isCIDR(self.destination) || ip(self.gateway).family() == cidr(self.destination).ip().family()"
    ).message("gateway must be of the family of destination: both IPv4 or both IPv6").field_path(".gateway"),
    validation = Rule::new(
        "!has(self.source) || !isIP(self.source) || !isCIDR(self.destination) || ip(self.source).family() == cidr(self.destination).ip().family()"
    ).message("source must be of the family of destination: both IPv4 or both IPv6").field_path(".source")
)]
pub struct InstanceRoute {
    /// Network that it leads to, in CIDR notation without host bits; `0.0.0.0/0` and `::/0` are
    /// default routes. The instance needs a VIP of the same family.
    #[schemars(with = "format::Cidr")]
    #[x_kube(validation = Rule::new("!isCIDR(self) || cidr(self) == cidr(self).masked()")
        .message("destination has bits beyond its prefix length: write the network, for example 192.168.1.0/24"))]
    pub destination: String,
    /// Next hop on the interface's link; absent = the destination is on the link itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::LinkAddress>")]
    pub gateway: Option<String>,
    /// Address that the director's own connections over this route come from, a VIP of the instance
    /// or another address of the director; absent = the first of the instance's `addresses` of the
    /// family, else its lowest VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::LinkAddress>")]
    pub source: Option<String>,
    /// Metric, 0 to 2147483647: of two routes to one destination the lower one is used. 0 = none,
    /// which the kernel counts as 1024 for IPv6.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub metric: i32,
    /// Routing table, 1 to 2147483647; 254 is `main`, and 255, `local`, is the kernel's own.
    #[serde(default = "main_table")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    #[x_kube(validation = Rule::new("self != 255")
        .message("table 255 is the kernel's own: use 254, main, or a number that your rules look up"))]
    pub table: i32,
}

fn main_table() -> i32 {
    254
}
