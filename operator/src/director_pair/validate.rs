//! No client: what a pair must satisfy beside other objects. The rest is in the CRD's schema.

use std::collections::BTreeMap;

use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    AdminState, BindAddresses, ConnectionSync, ConnectionSyncMode, Director, DirectorPair,
    DirectorPairSpec, Fencing, InstanceAddress, InstanceRoute, InstanceStatus, InterfaceSelector,
    SyncGroup, Sysctls, Timeouts, Track, Vrrp, VrrpInstance, condition::reason,
};

use super::{
    addresses::Addresses,
    dereference::{self, References},
    secret,
    sources::Sources,
    vrid::{Allocator, Vrids},
};
use crate::{
    rejection::Rejection,
    world::{Current, World, key},
};

/// Priority of the preferred director, as api.md has it.
const PREFERRED_PRIORITY: i32 = 150;
/// Priorities of the others, in the order of `directors`.
const PRIORITIES: [i32; 4] = [100, 90, 80, 70];

/// A VRRP instance with everything decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedInstance {
    /// Name.
    pub name: String,
    /// Virtual router id, 1 to 255.
    pub vrid: i32,
    /// Interface, where it differs from the director's.
    pub interface: Option<InterfaceSelector>,
    /// Addresses that belong to no virtual service.
    pub addresses: Vec<InstanceAddress>,
    /// Routes that move with the instance.
    pub routes: Vec<InstanceRoute>,
    /// What it watches, what all instances watch included.
    pub track: Vec<Track>,
    /// Priority by node, 1 to 254.
    pub priorities: BTreeMap<String, i32>,
}

/// A pair that can be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedPair {
    /// Name.
    pub name: String,
    /// UID, for owner references.
    pub uid: String,
    /// `adminState: Disabled`: no node has a role.
    pub disabled: bool,
    /// Directors whose node exists.
    pub directors: Vec<Director>,
    /// Directors whose node does not exist; the others work without them.
    pub missing_nodes: Vec<String>,
    /// Interface of directors that name none.
    pub interface: InterfaceSelector,
    /// Instances.
    pub instances: Vec<ValidatedInstance>,
    /// VRRP settings.
    pub vrrp: Vrrp,
    /// Connection synchronisation with its id resolved.
    pub connection_sync: ConnectionSync,
    /// Fencing.
    pub fencing: Option<Fencing>,
    /// Instances that move together.
    pub sync_groups: Vec<SyncGroup>,
    /// How long silent connections are kept.
    pub timeouts: Option<Timeouts>,
    /// Sysctls of the directors.
    pub sysctls: Sysctls,
    /// Where the directors' advertisements come from.
    pub sources: Sources,
}

/// Answers for all pairs.
#[derive(Debug, Default)]
pub struct PairVerdicts {
    /// By name of the pair.
    pub pairs: BTreeMap<String, Result<ValidatedPair, Rejection>>,
    /// Pair that a node is a director of.
    pub director_of: BTreeMap<String, String>,
}

impl PairVerdicts {
    /// The pair, if it is accepted.
    #[must_use]
    pub fn accepted(&self, name: &str) -> Option<&ValidatedPair> {
        self.pairs.get(name)?.as_ref().ok()
    }
}

/// Validates every pair. Of two in conflict the one loses that has not been running with what it
/// asks for; of two new ones the younger.
#[must_use]
pub fn validate_all(world: &World, current: &Current<'_>) -> PairVerdicts {
    let mut verdicts = PairVerdicts::default();
    let mut allocator = Allocator::new(world);
    let mut addresses = Addresses::new(current);
    let (running, new): (Vec<_>, Vec<_>) =
        world.pairs.iter().partition(|pair| is_running(world, pair));
    for pair in running.into_iter().chain(new) {
        let references = dereference::dereference(world, pair);
        let name = pair.name_any();
        let verdict = validate(pair, references, &allocator, &verdicts.director_of)
            .and_then(|it| check_version(world, current, pair).map(|()| it))
            .and_then(|it| addresses.claim(&name, &it.instances).map(|()| it));
        let held = match &verdict {
            Ok(validated) => validated
                .instances
                .iter()
                .map(|instance| (instance.name.clone(), instance.vrid))
                .collect(),
            // Its directors go on with their last plan and so with these numbers.
            Err(_) => recorded_vrids(pair),
        };
        allocator.claim(pair, &held);
        let nodes: Vec<String> = match &verdict {
            Ok(validated) => validated
                .directors
                .iter()
                .map(|director| director.node_name.clone())
                .collect(),
            Err(_) => directors_by_plan(world, &name).map(str::to_owned).collect(),
        };
        for node in nodes {
            verdicts
                .director_of
                .entry(node)
                .or_insert_with(|| name.clone());
        }
        verdicts.pairs.insert(name, verdict);
    }
    verdicts
}

/// Validates one pair.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate(
    pair: &DirectorPair,
    references: References,
    allocator: &Allocator,
    director_of: &BTreeMap<String, String>,
) -> Result<ValidatedPair, Rejection> {
    let spec = &pair.spec;
    check_nodes(spec, director_of)?;
    secret::check(&references.secret, &references.namespace)?;
    let vrids = allocator.allocate(pair)?;
    let instances: Vec<_> = spec
        .instances
        .iter()
        .map(|instance| resolve(spec, instance, &vrids))
        .collect();
    let mut connection_sync = spec.connection_sync.clone();
    if connection_sync.mode == ConnectionSyncMode::Enabled && connection_sync.sync_id == 0 {
        connection_sync.sync_id = instances.first().map_or(1, |instance| instance.vrid);
    }
    let directors = spec
        .directors
        .iter()
        .filter(|director| !references.missing_nodes.contains(&director.node_name))
        .cloned()
        .collect();
    Ok(ValidatedPair {
        name: pair.name_any(),
        uid: pair.uid().unwrap_or_default(),
        disabled: spec.admin_state == AdminState::Disabled,
        directors,
        missing_nodes: references.missing_nodes,
        interface: spec.interface.clone(),
        instances,
        vrrp: Vrrp {
            // Each instance has all of its own.
            track: Vec::new(),
            ..spec.vrrp.clone()
        },
        connection_sync,
        fencing: spec.fencing.clone(),
        sync_groups: spec.sync_groups.clone(),
        timeouts: spec.timeouts.clone(),
        sysctls: spec.sysctls.clone(),
        sources: references.sources,
    })
}

fn check_nodes(
    spec: &DirectorPairSpec,
    director_of: &BTreeMap<String, String>,
) -> Result<(), Rejection> {
    for director in &spec.directors {
        if let Some(other) = director_of.get(&director.node_name) {
            return Err(Rejection::new(
                reason::NODE_IN_ANOTHER_PAIR,
                format!(
                    "spec.directors: node {} is a director of DirectorPair {other}, which is older; \
                     a node serves one pair, so choose another node or remove it there first",
                    director.node_name
                ),
            ));
        }
    }
    Ok(())
}

/// A pair does not turn to VRRP version 2 while it serves IPv6 VIPs, which would be gone at once.
fn check_version(
    world: &World,
    current: &Current<'_>,
    pair: &DirectorPair,
) -> Result<(), Rejection> {
    let version = pair.spec.vrrp.version;
    if version == 3 {
        return Ok(());
    }
    let name = pair.name_any();
    // What is running counts only as long as its object asks for it: a deleted one must not keep the
    // pair from being accepted.
    let found = world.services.iter().find_map(|service| {
        let frontend = &service.spec.frontend;
        let concerned = service.spec.director_pair_ref.name == name
            && service.spec.admin_state != AdminState::Disabled
            && frontend.bind_addresses == BindAddresses::Managed;
        let vip = frontend.addresses.iter().find(|vip| vip.contains(':'))?;
        let (carrier, _) = current.service(&key(&**service))?;
        (concerned && carrier == name).then(|| (key(&**service), vip))
    });
    match found {
        None => Ok(()),
        Some((service, vip)) => Err(Rejection::new(
            reason::IPV6_NEEDS_VERSION_3,
            format!(
                "spec.vrrp.version: VirtualService {service} has the IPv6 VIP {vip}, which VRRP \
                 version {version} cannot carry; leave it at 3, or remove the VIP there first"
            ),
        )),
    }
}

fn resolve(spec: &DirectorPairSpec, instance: &VrrpInstance, vrids: &Vrids) -> ValidatedInstance {
    ValidatedInstance {
        name: instance.name.clone(),
        vrid: vrids.get(&instance.name).copied().unwrap_or(1),
        interface: instance.interface.clone(),
        addresses: instance.addresses.clone(),
        routes: instance.routes.clone(),
        track: track(spec, instance),
        priorities: priorities(spec, instance),
    }
}

/// What all instances watch, where the instance does not say otherwise, and what it watches itself.
fn track(spec: &DirectorPairSpec, instance: &VrrpInstance) -> Vec<Track> {
    let is_replaced = |track: &&Track| instance.track.iter().any(|own| own.name == track.name);
    let shared = spec.vrrp.track.iter().filter(|track| !is_replaced(track));
    shared.chain(&instance.track).cloned().collect()
}

/// Priorities by node: those that the instance lists; else 150 for the preferred director and 100,
/// 90, 80, 70 for the others in their order, leaving out what is listed.
fn priorities(spec: &DirectorPairSpec, instance: &VrrpInstance) -> BTreeMap<String, i32> {
    let mut priorities: BTreeMap<String, i32> = instance
        .priorities
        .iter()
        .map(|entry| (entry.node_name.clone(), entry.priority))
        .collect();
    if let Some(preferred) = &instance.preferred_director {
        priorities.insert(preferred.clone(), PREFERRED_PRIORITY);
    }
    for director in &spec.directors {
        if !priorities.contains_key(&director.node_name) {
            let free = PRIORITIES
                .into_iter()
                .find(|priority| !priorities.values().any(|taken| taken == priority));
            // Four directors at most, so that there is one left.
            priorities.insert(director.node_name.clone(), free.unwrap_or(1));
        }
    }
    priorities
}

/// VRIDs that the pair's status records.
fn recorded_vrids(pair: &DirectorPair) -> Vrids {
    pair.status
        .iter()
        .flat_map(|status| &status.instances)
        .map(
            |InstanceStatus {
                 name,
                 virtual_router_id,
                 ..
             }| (name.clone(), *virtual_router_id),
        )
        .collect()
}

/// Nodes that carry the director role of a pair at this moment.
fn directors_by_plan<'a>(world: &'a World, pair: &'a str) -> impl Iterator<Item = &'a str> {
    world
        .node_plans
        .iter()
        .filter(move |(_, plan)| {
            plan.spec
                .director
                .as_ref()
                .is_some_and(|role| role.pair == pair)
        })
        .map(|(node, _)| node.as_str())
}

/// Whether the pair already has all that it could take from another one: its VRIDs and its nodes.
fn is_running(world: &World, pair: &DirectorPair) -> bool {
    let recorded = recorded_vrids(pair);
    let name = pair.name_any();
    pair.spec.instances.iter().all(|instance| {
        recorded.get(&instance.name).is_some_and(|vrid| {
            instance
                .virtual_router_id
                .is_none_or(|named| named == *vrid)
        })
    }) && pair.spec.directors.iter().all(|director| {
        world
            .node_plans
            .get(&director.node_name)
            .and_then(|plan| plan.spec.director.as_ref())
            .is_none_or(|role| role.pair == name)
    })
}
