//! Everything that the operator decides from, as values taken at one moment.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Node, Pod, Secret},
    jiff::Timestamp,
};
use kube::{Resource, ResourceExt};
use lvs_crds::v1alpha1::{
    DirectorPair, MemberPlan, NodePlan, PlanSlice, RealServer, ServicePlan, VirtualService,
    plan_slice::PAIR_LABEL,
};

/// A snapshot of the cluster, as far as it concerns the operator.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Pairs, oldest first: the order in which claims are granted.
    pub pairs: Vec<Arc<DirectorPair>>,
    /// Virtual services, oldest first.
    pub services: Vec<Arc<VirtualService>>,
    /// Real servers, oldest first.
    pub real_servers: Vec<Arc<RealServer>>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Arc<Node>>,
    /// Node plans by name, which is the node's.
    pub node_plans: BTreeMap<String, Arc<NodePlan>>,
    /// Slices by name.
    pub slices: BTreeMap<String, Arc<PlanSlice>>,
    /// Secrets of the operator's namespace by name; values are masked, only lengths are true.
    pub secrets: BTreeMap<String, Arc<Secret>>,
    /// Pods of the agents.
    pub agent_pods: Vec<Arc<Pod>>,
    /// Pod templates of the agents.
    pub agent_templates: Option<Arc<ConfigMap>>,
    /// Namespace of the operator, its agents and the Secrets of VRRP.
    pub namespace: String,
}

impl World {
    /// Puts objects into the order in which claims are granted: by creation, then by namespace and
    /// name. Call it once after filling the lists.
    pub fn sort(&mut self) {
        self.pairs.sort_by_cached_key(|object| age(&**object));
        self.services.sort_by_cached_key(|object| age(&**object));
        self.real_servers
            .sort_by_cached_key(|object| age(&**object));
    }

    /// The pair of that name.
    #[must_use]
    pub fn pair(&self, name: &str) -> Option<&Arc<DirectorPair>> {
        self.pairs.iter().find(|pair| pair.name_any() == name)
    }

    /// Slices of a pair.
    pub fn slices_of(&self, pair: &str) -> impl Iterator<Item = &Arc<PlanSlice>> {
        self.slices
            .values()
            .filter(move |slice| slice_pair(slice) == Some(pair))
    }

    /// Whether the node exists and its kubelet reports it ready. A node that is not cannot confirm
    /// anything, so nobody waits for it.
    #[must_use]
    pub fn node_ready(&self, name: &str) -> bool {
        self.nodes.get(name).is_some_and(|node| {
            node.status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten())
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
    }

    /// Addresses of type `InternalIP` of a node; empty when it does not exist.
    #[must_use]
    pub fn node_addresses(&self, name: &str) -> Vec<IpAddr> {
        self.nodes
            .get(name)
            .map(|node| internal_addresses(node))
            .unwrap_or_default()
    }
}

/// Addresses of type `InternalIP` of a node that other hosts can reach, in the node's order. Plans
/// take no others: their schema refuses them.
#[must_use]
pub fn internal_addresses(node: &Node) -> Vec<IpAddr> {
    node.status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten())
        .filter(|address| address.type_ == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
        .filter(is_host_address)
        .collect()
}

/// Whether the schema of plans takes the address as that of a host.
fn is_host_address(address: &IpAddr) -> bool {
    let special = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    let special_of_family = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.to_ipv4_mapped().is_some()
        }
    };
    !special && !special_of_family
}

/// Name of the pair that a slice belongs to.
#[must_use]
pub fn slice_pair(slice: &PlanSlice) -> Option<&str> {
    slice.labels().get(PAIR_LABEL).map(String::as_str)
}

/// `namespace/name`, or the name alone of a cluster-scoped object.
#[must_use]
pub fn key<K: Resource>(object: &K) -> String {
    match object.meta().namespace.as_deref() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}

fn age<K: Resource>(object: &K) -> (Option<Timestamp>, String) {
    (
        object.meta().creation_timestamp.as_ref().map(|time| time.0),
        key(object),
    )
}

/// What the slices say at this moment: the state that carries on when an object turns bad.
#[derive(Debug, Default)]
pub struct Current<'a> {
    services: BTreeMap<&'a str, (&'a str, &'a ServicePlan)>,
    pools: BTreeMap<(&'a str, &'a str), &'a [MemberPlan]>,
}

impl<'a> Current<'a> {
    /// Indexes the slices of a snapshot.
    #[must_use]
    pub fn new(world: &'a World) -> Self {
        let mut current = Self::default();
        for slice in world.slices.values() {
            let Some(pair) = slice_pair(slice) else {
                continue;
            };
            for service in &slice.spec.services {
                current.services.insert(&service.name, (pair, service));
            }
            for pool in &slice.spec.pools {
                current.pools.insert((pair, &pool.name), &pool.members);
            }
        }
        current
    }

    /// The plan of a virtual service and the pair that carries it.
    #[must_use]
    pub fn service(&self, key: &str) -> Option<(&'a str, &'a ServicePlan)> {
        self.services.get(key).copied()
    }

    /// Plans of all virtual services, each with its key and the pair that carries it.
    pub fn services(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a ServicePlan)> {
        self.services
            .iter()
            .map(|(key, (pair, service))| (*key, *pair, *service))
    }

    /// Plans of all virtual services that a pair carries.
    pub fn services_of(&self, pair: &str) -> impl Iterator<Item = &'a ServicePlan> {
        self.services
            .values()
            .filter(move |(carrier, _)| *carrier == pair)
            .map(|(_, service)| *service)
    }

    /// Members of a pool.
    #[must_use]
    pub fn pool(&self, pair: &str, name: &str) -> Option<&'a [MemberPlan]> {
        self.pools.get(&(pair, name)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_addresses_that_plans_take() {
        let node: Node = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "n"},
            "status": {"addresses": [
                {"type": "InternalIP", "address": "fe80::1"},
                {"type": "InternalIP", "address": "::ffff:192.0.2.1"},
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "InternalIP", "address": "2001:db8::1"},
                {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "ExternalIP", "address": "198.51.100.1"},
            ]},
        }))
        .unwrap();
        let expected: [IpAddr; 2] = ["2001:db8::1", "192.0.2.1"].map(|text| text.parse().unwrap());
        assert_eq!(internal_addresses(&node), expected);
    }
}
