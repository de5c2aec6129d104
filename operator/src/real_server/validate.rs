//! No client: what a real server must satisfy beside other objects.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    ArpSuppression, ConnectionLimits, Drain, LoopbackMode, RealServer, RealServerAdminState,
    RpFilter, condition::reason, real_server::AUTO_DEVICE,
};

use super::dereference::{self, Host};
use crate::{
    rejection::Rejection,
    world::{World, key},
};

/// Reason: the node exists and has reported no internal address.
pub const NODE_HAS_NO_ADDRESS: &str = "NodeHasNoAddress";
/// Reason: the field does not hold an IP address.
pub const INVALID_ADDRESS: &str = "InvalidAddress";

/// A real server that pools can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedRealServer {
    /// `namespace/name`.
    pub key: String,
    /// Namespace.
    pub namespace: String,
    /// Labels, for selectors.
    pub labels: BTreeMap<String, String>,
    /// Node, if it is one of the cluster.
    pub node: Option<String>,
    /// Addresses, at least one; the first is shown in the status.
    pub addresses: Vec<IpAddr>,
    /// Weight, 0 to 65535; absent = the pool's.
    pub weight: Option<i32>,
    /// What the administrator wants.
    pub admin_state: RealServerAdminState,
    /// Limits on its connections; absent = the pool's.
    pub connection_limits: Option<ConnectionLimits>,
    /// How it leaves; absent = as the virtual service says.
    pub drain: Option<Drain>,
    /// Who configures the VIPs on its loopback.
    pub loopback: LoopbackMode,
    /// Interface that gets the VIPs.
    pub interface: String,
    /// Whether its agent suppresses ARP.
    pub suppress_arp: bool,
    /// Device that tunnelled packets come out of; absent = the kernel's own for the kind of tunnel.
    pub tunnel_device: Option<String>,
    /// Whether its agent sets `rp_filter` of that device.
    pub manage_rp_filter: bool,
}

impl ValidatedRealServer {
    /// The node whose agent configures the VIPs; `None` when nobody of ours does.
    #[must_use]
    pub fn managed_node(&self) -> Option<&str> {
        (self.loopback == LoopbackMode::Managed)
            .then_some(self.node.as_deref())
            .flatten()
    }
}

/// Answers for all real servers by `namespace/name`.
#[derive(Debug, Default)]
pub struct RealServerVerdicts {
    /// By `namespace/name`.
    pub real_servers: BTreeMap<String, Result<Arc<ValidatedRealServer>, Rejection>>,
    /// The accepted ones of each namespace, oldest first.
    pub by_namespace: BTreeMap<String, Vec<Arc<ValidatedRealServer>>>,
}

impl RealServerVerdicts {
    /// The accepted real servers of a namespace with all of these labels, oldest first.
    pub fn select<'a>(
        &'a self,
        namespace: &str,
        labels: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Arc<ValidatedRealServer>> {
        self.by_namespace
            .get(namespace)
            .into_iter()
            .flatten()
            .filter(move |real_server| {
                labels
                    .iter()
                    .all(|(name, value)| real_server.labels.get(name) == Some(value))
            })
    }
}

/// Validates every real server.
#[must_use]
pub fn validate_all(world: &World) -> RealServerVerdicts {
    let mut verdicts = RealServerVerdicts::default();
    for real_server in &world.real_servers {
        let host = dereference::dereference(world, real_server);
        let verdict = validate(real_server, host).map(Arc::new);
        if let Ok(validated) = &verdict {
            verdicts
                .by_namespace
                .entry(validated.namespace.clone())
                .or_default()
                .push(Arc::clone(validated));
        }
        verdicts.real_servers.insert(key(&**real_server), verdict);
    }
    verdicts
}

/// Validates one real server.
///
/// # Errors
/// What is wrong.
pub fn validate(real_server: &RealServer, host: Host) -> Result<ValidatedRealServer, Rejection> {
    let spec = &real_server.spec;
    let (node, addresses) = match host {
        Host::MissingNode(name) => {
            return Err(Rejection::new(
                reason::NODE_NOT_FOUND,
                format!(
                    "spec.nodeName: the cluster has no Node {name}; kubectl get nodes lists those \
                     that it has, and a host outside the cluster is given by spec.address instead"
                ),
            ));
        }
        Host::Node { name, addresses } if addresses.is_empty() => {
            return Err(Rejection::new(
                NODE_HAS_NO_ADDRESS,
                format!(
                    "spec.nodeName: Node {name} has reported no InternalIP; start its kubelet with \
                     --node-ip, or give the host by spec.address instead"
                ),
            ));
        }
        Host::Node { name, addresses } => (Some(name), addresses),
        Host::Address(text) => match text.parse() {
            Ok(address) => (None, vec![address]),
            Err(_) => {
                return Err(Rejection::new(
                    INVALID_ADDRESS,
                    format!("spec.address: {text:?} is not an IPv4 or IPv6 address"),
                ));
            }
        },
    };
    let default_mode = if node.is_some() {
        LoopbackMode::Managed
    } else {
        LoopbackMode::External
    };
    Ok(ValidatedRealServer {
        key: key(real_server),
        namespace: real_server.namespace().unwrap_or_default(),
        labels: real_server.labels().clone(),
        node,
        addresses,
        weight: spec.weight,
        admin_state: spec.admin_state,
        connection_limits: spec.connection_limits,
        drain: spec.drain.clone(),
        loopback: spec.loopback.mode.unwrap_or(default_mode),
        interface: spec.loopback.interface.clone(),
        suppress_arp: spec.loopback.arp_suppression == ArpSuppression::Managed,
        tunnel_device: Some(&spec.tunnel.device)
            .filter(|device| *device != AUTO_DEVICE)
            .cloned(),
        manage_rp_filter: spec.tunnel.rp_filter == RpFilter::Managed,
    })
}
