//! No client: which virtual router id an instance gets.
//!
//! A VRID must be unique among the routers of one network (RFC 9568 section 1.6). Pairs claim in
//! order of age; an instance without a number of its own keeps the one in its status, or gets the
//! first free one from a place that its name decides.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use kube::ResourceExt;
use lvs_crds::v1alpha1::{DirectorPair, InterfaceSelector, VrrpInstance, condition::reason};

use crate::{digest, rejection::Rejection, world::World};

/// Largest VRID (RFC 9568 section 5.2.3).
const MAXIMUM: i32 = 255;

/// VRIDs of a pair by instance name.
pub type Vrids = BTreeMap<String, i32>;

/// A VRID in use.
#[derive(Clone, Debug)]
struct Claim {
    pair: String,
    instance: String,
    vrid: i32,
    network: Option<IpNet>,
}

/// Hands out VRIDs to pairs, which must come oldest first.
#[derive(Clone, Debug)]
pub struct Allocator {
    claims: Vec<Claim>,
    /// VRIDs that some specification names or some status records: never handed out anew.
    spoken_for: BTreeSet<i32>,
}

impl Allocator {
    /// An allocator that knows which VRIDs specifications name and statuses record.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let named = world
            .pairs
            .iter()
            .flat_map(|pair| &pair.spec.instances)
            .filter_map(|instance| instance.virtual_router_id);
        let recorded = world
            .pairs
            .iter()
            .filter_map(|pair| pair.status.as_ref())
            .flat_map(|status| &status.instances)
            .map(|instance| instance.virtual_router_id);
        let spoken_for = named.chain(recorded).collect();
        Self {
            claims: Vec::new(),
            spoken_for,
        }
    }

    /// The VRIDs of a pair's instances. Nothing is claimed yet.
    ///
    /// # Errors
    /// `VRIDConflict` when an older pair or another instance has the number, or when none is left.
    pub fn allocate(&self, pair: &DirectorPair) -> Result<Vrids, Rejection> {
        let mut vrids = Vrids::new();
        for instance in &pair.spec.instances {
            let vrid = match instance.virtual_router_id {
                Some(vrid) => self.named(pair, instance, vrid)?,
                None => self.choose(pair, instance, &vrids)?,
            };
            vrids.insert(instance.name.clone(), vrid);
        }
        Ok(vrids)
    }

    /// Makes the VRIDs of an accepted pair, or of one that keeps its last plan, its own.
    pub fn claim(&mut self, pair: &DirectorPair, vrids: &Vrids) {
        for (name, vrid) in vrids {
            let instance = pair
                .spec
                .instances
                .iter()
                .find(|instance| &instance.name == name);
            self.claims.push(Claim {
                pair: pair.name_any(),
                instance: name.clone(),
                vrid: *vrid,
                network: instance.and_then(|instance| network(pair, instance)),
            });
        }
    }

    fn named(
        &self,
        pair: &DirectorPair,
        instance: &VrrpInstance,
        vrid: i32,
    ) -> Result<i32, Rejection> {
        let own_network = network(pair, instance);
        let automatic = pair.spec.instances.iter().find(|other| {
            other.name != instance.name
                && other.virtual_router_id.is_none()
                && recorded(pair, other) == Some(vrid)
                && overlap(network(pair, other), own_network)
        });
        if let Some(other) = automatic {
            return Err(Rejection::new(
                reason::VRID_CONFLICT,
                format!(
                    "spec.instances[{}].virtualRouterID: {vrid} was allocated to instance {} of the \
                     same pair, which runs with it; choose another number from 1 to {MAXIMUM}",
                    instance.name, other.name
                ),
            ));
        }
        match self
            .claims
            .iter()
            .find(|claim| claim.vrid == vrid && overlap(claim.network, own_network))
        {
            None => Ok(vrid),
            Some(claim) => Err(Rejection::new(
                reason::VRID_CONFLICT,
                format!(
                    "spec.instances[{}].virtualRouterID: {vrid} is used by instance {} of \
                     DirectorPair {}, which is older and may be on the same network; choose another \
                     number from 1 to {MAXIMUM}, or leave the field out to have one allocated",
                    instance.name, claim.instance, claim.pair
                ),
            )),
        }
    }

    fn choose(
        &self,
        pair: &DirectorPair,
        instance: &VrrpInstance,
        own: &Vrids,
    ) -> Result<i32, Rejection> {
        let recorded = recorded(pair, instance);
        let free = |vrid: &i32| {
            (1..=MAXIMUM).contains(vrid)
                && self.claims.iter().all(|claim| claim.vrid != *vrid)
                && own.values().all(|taken| taken != vrid)
        };
        let unspoken = |vrid: &i32| free(vrid) && !self.spoken_for.contains(vrid);
        let start = digest::number(&format!("{}/{}", pair.name_any(), instance.name)) % 255;
        // At most 254, which every i32 holds.
        let start = i32::try_from(start).unwrap_or_default();
        recorded
            .filter(free)
            .or_else(|| {
                (0..MAXIMUM)
                    .map(|step| (start + step) % MAXIMUM + 1)
                    .find(unspoken)
            })
            .ok_or_else(|| {
                Rejection::new(
                    reason::VRID_CONFLICT,
                    format!(
                        "spec.instances[{}]: all {MAXIMUM} virtual router ids are in use; remove an \
                         instance, or set virtualRouterID to one of another network",
                        instance.name
                    ),
                )
            })
    }
}

/// The number that an instance has in the status of its pair.
fn recorded(pair: &DirectorPair, instance: &VrrpInstance) -> Option<i32> {
    pair.status
        .iter()
        .flat_map(|status| &status.instances)
        .find_map(|status| (status.name == instance.name).then_some(status.virtual_router_id))
}

/// The network that an instance speaks on, where the specification tells.
fn network(pair: &DirectorPair, instance: &VrrpInstance) -> Option<IpNet> {
    let selector: &InterfaceSelector = instance.interface.as_ref().unwrap_or(&pair.spec.interface);
    selector.subnet.as_ref()?.parse().ok()
}

/// Whether two networks may be the same one. An interface name says nothing about the network.
fn overlap(a: Option<IpNet>, b: Option<IpNet>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.contains(&b) || b.contains(&a),
        _ => true,
    }
}
