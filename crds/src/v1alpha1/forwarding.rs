//! How packets reach a real server.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Forwarding method of a virtual service, as `ipvsadm -g` and `-m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ForwardingMethod {
    /// Direct routing: the packet goes to the real server's MAC address unchanged, the answer goes
    /// straight to the client. Needs one layer-2 network, and the VIP on the real server's loopback.
    #[default]
    DR,
    /// Network address translation (masquerading): answers return through the director.
    NAT,
}

/// Forwarding of a virtual service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forwarding {
    /// Forwarding method.
    #[serde(default)]
    pub method: ForwardingMethod,
}
