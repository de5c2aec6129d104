//! No client: what a virtual service must satisfy beside other objects. The rest is in the CRD's
//! schema.

use std::{collections::BTreeMap, net::IpAddr, rc::Rc, sync::Arc};

use kube::{Resource, ResourceExt};
use lvs_crds::v1alpha1::{
    AdminState, DirectorPair, ServicePlan, VirtualService, condition::reason,
};

use super::{
    claims::Claims,
    dereference,
    pools::{Families, Pool, Pools},
};
use crate::{
    director_pair::validate::PairVerdicts,
    real_server::validate::{INVALID_ADDRESS, RealServerVerdicts},
    rejection::Rejection,
    world::{Current, World, internal_addresses, key},
};

/// A virtual service that can be compiled.
#[derive(Clone, Debug)]
pub struct ValidatedService {
    /// `namespace/name`.
    pub key: String,
    /// Name of its pair.
    pub pair: String,
    /// Its VIPs.
    pub addresses: Vec<IpAddr>,
    /// Its pools with their members, in the order of `spec.backends`.
    pub pools: Vec<Rc<Pool>>,
    /// The object, for everything that needs no second look.
    pub object: Arc<VirtualService>,
}

impl ValidatedService {
    /// `adminState: Disabled`: on no director, and no real server has its VIPs.
    #[must_use]
    pub fn disabled(&self) -> bool {
        self.object.spec.admin_state == AdminState::Disabled
    }

    /// A VIP that no real server is of the family of, although there are some.
    #[must_use]
    pub fn orphan(&self) -> Option<&IpAddr> {
        let has_candidates = self
            .pools
            .iter()
            .any(|pool| !pool.members.is_empty() || !pool.wrong_family.is_empty());
        self.addresses
            .iter()
            .find(|vip| has_candidates && !self.pools.iter().any(|pool| pool.serves(vip)))
    }
}

/// Answers for all virtual services by `namespace/name`.
pub type ServiceVerdicts = BTreeMap<String, Result<ValidatedService, Rejection>>;

/// Validates every virtual service. Of two in conflict the one loses that has not been running with
/// what it asks for; of two new ones the younger.
///
/// # Errors
/// When a digest cannot be made.
pub fn validate_all(
    world: &World,
    current: &Current<'_>,
    pairs: &PairVerdicts,
    real_servers: &RealServerVerdicts,
) -> Result<ServiceVerdicts, serde_json::Error> {
    let pools = Pools::new(real_servers);
    let hosts = Hosts::new(world, real_servers);
    let mut claims = Claims::new(world, pairs);
    let mut verdicts = ServiceVerdicts::new();
    let (running, new): (Vec<_>, Vec<_>) = world
        .services
        .iter()
        .partition(|service| is_running(service, current));
    // One that is not accepted goes on with its last plan, so that belongs to it until it is.
    for service in &new {
        claims.reserve(&key(&***service), current);
    }
    let running = running.into_iter().map(|service| (service, true));
    for (service, is_running) in running.chain(new.into_iter().map(|service| (service, false))) {
        let pair = dereference::dereference(world, service).pair;
        let hosts = (!is_running).then_some(&hosts);
        let verdict = validate(service, pair, &pools, hosts, &claims)?;
        if let Ok(validated) = &verdict {
            claims.claim(validated);
        }
        verdicts.insert(key(&**service), verdict);
    }
    Ok(verdicts)
}

/// `hosts` is absent for a service that is running.
fn validate(
    service: &Arc<VirtualService>,
    pair: Option<&DirectorPair>,
    pools: &Pools<'_>,
    hosts: Option<&Hosts>,
    claims: &Claims,
) -> Result<Result<ValidatedService, Rejection>, serde_json::Error> {
    let addresses = match check_references(service, pair) {
        Ok(addresses) => addresses,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let families = Families::of(&addresses);
    let namespace = service.namespace().unwrap_or_default();
    let mut resolved = Vec::new();
    for backend in &service.spec.backends {
        resolved.push(pools.resolve(&namespace, backend, families)?);
    }
    let validated = ValidatedService {
        key: key(&**service),
        pair: service.spec.director_pair_ref.name.clone(),
        addresses,
        pools: resolved,
        object: Arc::clone(service),
    };
    Ok(check_families(&validated, hosts.is_none())
        .and_then(|()| hosts.map_or(Ok(()), |hosts| hosts.check(&validated)))
        .and_then(|()| claims.check(&validated))
        .map(|()| validated))
}

/// Checks the pair and its instance, and reads the VIPs.
fn check_references(
    service: &VirtualService,
    pair: Option<&DirectorPair>,
) -> Result<Vec<IpAddr>, Rejection> {
    let spec = &service.spec;
    let name = &spec.director_pair_ref.name;
    let Some(pair) = pair else {
        return Err(Rejection::new(
            reason::DIRECTOR_PAIR_NOT_FOUND,
            format!(
                "spec.directorPairRef.name: there is no DirectorPair {name}; kubectl get directorpairs \
                 lists those that exist"
            ),
        ));
    };
    let instances = &pair.spec.instances;
    if !instances
        .iter()
        .any(|instance| instance.name == spec.instance)
    {
        let names: Vec<_> = instances
            .iter()
            .map(|instance| instance.name.as_str())
            .collect();
        return Err(Rejection::new(
            reason::INSTANCE_NOT_FOUND,
            format!(
                "spec.instance: DirectorPair {name} has no instance {}; it has: {}",
                spec.instance,
                names.join(", ")
            ),
        ));
    }
    let mut addresses = Vec::new();
    for text in &spec.frontend.addresses {
        let Ok(address) = text.parse::<IpAddr>() else {
            return Err(Rejection::new(
                INVALID_ADDRESS,
                format!("spec.frontend.addresses: {text:?} is not an IPv4 or IPv6 address"),
            ));
        };
        if address.is_ipv6() && pair.spec.vrrp.version != 3 {
            return Err(Rejection::new(
                reason::IPV6_NEEDS_VERSION_3,
                format!(
                    "spec.frontend.addresses: {text} is IPv6, and DirectorPair {name} speaks VRRP \
                     version {}, which carries IPv4 only; set spec.vrrp.version of the pair to 3",
                    pair.spec.vrrp.version
                ),
            ));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// DR and NAT keep the address family, so every VIP needs members of its own.
fn check_families(service: &ValidatedService, is_running: bool) -> Result<(), Rejection> {
    let method = service.object.spec.forwarding.method;
    for (backend, pool) in service.object.spec.backends.iter().zip(&service.pools) {
        if let Some(server) = pool.foreign_server {
            let vips = &service.object.spec.frontend.addresses;
            return Err(Rejection::new(
                reason::MIXED_FAMILY,
                format!(
                    "spec.backends[{}].servers: {server} is of another address family than {} in \
                     spec.frontend.addresses; forwarding {method:?} needs IPv4 behind IPv4 and IPv6 \
                     behind IPv6",
                    backend.name,
                    vips.join(", ")
                ),
            ));
        }
    }
    // One that runs loses its last real server of a family when somebody takes that out on purpose.
    // To reject it would keep the last plan, and with it just this real server.
    match service.orphan().filter(|_| !is_running) {
        Some(vip) => Err(Rejection::new(
            reason::MIXED_FAMILY,
            orphan_message(service, vip),
        )),
        None => Ok(()),
    }
}

/// What is wrong with a VIP that no real server is of the family of.
pub(super) fn orphan_message(service: &ValidatedService, vip: &IpAddr) -> String {
    let method = service.object.spec.forwarding.method;
    format!(
        "spec.frontend.addresses: no real server in spec.backends is of the address family of {vip}; \
         forwarding {method:?} needs IPv4 behind IPv4 and IPv6 behind IPv6"
    )
}

/// Addresses that are hosts' own and can be no VIP.
#[derive(Debug)]
struct Hosts(BTreeMap<IpAddr, String>);

impl Hosts {
    fn new(world: &World, real_servers: &RealServerVerdicts) -> Self {
        let mut hosts = BTreeMap::new();
        for real_server in real_servers.by_namespace.values().flatten() {
            if real_server.node.is_none() {
                for address in &real_server.addresses {
                    hosts.insert(*address, format!("RealServer {}", real_server.key));
                }
            }
        }
        for (name, node) in &world.nodes {
            for address in internal_addresses(node) {
                hosts.insert(address, format!("Node {name}"));
            }
        }
        Self(hosts)
    }

    fn check(&self, service: &ValidatedService) -> Result<(), Rejection> {
        let own = |vip: &&IpAddr| {
            service
                .pools
                .iter()
                .flat_map(|pool| &pool.members)
                .any(|member| member.address == **vip)
        };
        let found = service
            .addresses
            .iter()
            .find_map(|vip| self.0.get(vip).map(|host| (vip, host.clone())))
            .or_else(|| {
                let vip = service.addresses.iter().find(own)?;
                Some((vip, "a real server in spec.backends".to_owned()))
            });
        match found {
            None => Ok(()),
            Some((vip, host)) => Err(Rejection::new(
                reason::NOT_A_REAL_SERVER_ADDRESS,
                format!(
                    "spec.frontend.addresses: {vip} is the address of {host}; a VIP moves between \
                     directors, so it must be an address that no host has"
                ),
            )),
        }
    }
}

/// VIPs of a plan.
#[must_use]
pub fn vips(plan: &ServicePlan) -> Vec<IpAddr> {
    plan.addresses
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect()
}

/// Whether the directors carry every VIP and port that the object asks for already.
fn is_running(service: &VirtualService, current: &Current<'_>) -> bool {
    let spec = &service.spec;
    current.service(&key(service)).is_some_and(|(pair, plan)| {
        let has = vips(plan);
        Some(&plan.uid) == service.meta().uid.as_ref()
            && pair == spec.director_pair_ref.name
            && plan.instance == spec.instance
            && spec
                .frontend
                .addresses
                .iter()
                .all(|text| text.parse().is_ok_and(|address| has.contains(&address)))
            && spec.frontend.ports.iter().all(|port| {
                plan.ports
                    .iter()
                    .any(|other| other.port == port.port && other.protocol == port.protocol)
            })
    })
}
