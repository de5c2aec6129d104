//! How a network interface is named.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// Names a network interface, exactly one of by its name or by a subnet that it has an address in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) != has(self.subnet)").message(
    "exactly one of name and subnet is required: the interface's name, for example eth0, or a \
     subnet that it has an address in, for example 192.168.1.0/24"
))]
pub struct InterfaceSelector {
    /// Interface name as `ip link` shows it, 1 to 15 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::InterfaceName>")]
    pub name: Option<String>,
    /// CIDR: the interface that has an address in it, for example `192.168.1.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::Cidr>")]
    pub subnet: Option<String>,
}
