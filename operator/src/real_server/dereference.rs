//! No client: looks up in the snapshot what a real server refers to.

use std::net::IpAddr;

use lvs_crds::v1alpha1::RealServer;

use crate::world::World;

/// What a real server stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A node of the cluster and its internal addresses, in the node's order.
    Node {
        /// Name.
        name: String,
        /// Addresses, none if the node has not reported any.
        addresses: Vec<IpAddr>,
    },
    /// `spec.nodeName` names a node that does not exist.
    MissingNode(String),
    /// Any host, by its address as it was written.
    Address(String),
}

/// Looks up the host of a real server.
#[must_use]
pub fn dereference(world: &World, real_server: &RealServer) -> Host {
    let spec = &real_server.spec;
    match &spec.node_name {
        Some(name) if world.nodes.contains_key(name) => Host::Node {
            name: name.clone(),
            addresses: world.node_addresses(name),
        },
        Some(name) => Host::MissingNode(name.clone()),
        None => Host::Address(spec.address.clone().unwrap_or_default()),
    }
}
