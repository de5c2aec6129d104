//! How a network interface is named.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Names a network interface, exactly one of by its name or by a subnet that it has an address in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InterfaceSelector {
    /// Interface name as `ip link` shows it, 1 to 15 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// CIDR: the interface that has an address in it, for example `192.168.1.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
}
