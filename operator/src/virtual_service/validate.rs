//! No client: what a virtual service must satisfy beside other objects. The rest is in the CRD's
//! schema.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use kube::{Resource, ResourceExt};
use lvs_crds::v1alpha1::{
    AddressFamily, AdminState, BindAddresses, ConnectionSyncMode, DirectorPair, ForwardingMethod,
    MarkPlan, ServicePlan, VirtualService, condition::reason,
};

use super::{
    claims::Claims,
    dereference, fallback,
    marks::Allocator,
    pools::{Families, Pools, Terms, UsedPool},
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
    /// Families of its VIPs, or of its mark where it has none.
    pub families: Families,
    /// Its firewall mark.
    pub mark: Option<MarkPlan>,
    /// Its pools with their members, in the order of `spec.backends`.
    pub pools: Vec<UsedPool>,
    /// Whether its directors synchronise connections.
    pub synchronised: bool,
    /// The object, for everything that needs no second look.
    pub object: Arc<VirtualService>,
}

impl ValidatedService {
    /// `adminState: Disabled`: on no director, and no real server has its VIPs.
    #[must_use]
    pub fn disabled(&self) -> bool {
        self.object.spec.admin_state == AdminState::Disabled
    }

    /// Whether a member with this address gets the packets to a VIP: it is of the same family, or a
    /// tunnel carries the VIP's family in the other and the member has no VIP of its own.
    #[must_use]
    pub fn reaches(&self, used: &UsedPool, vip: &IpAddr, member: &IpAddr) -> bool {
        vip.is_ipv4() == member.is_ipv4()
            || (used.forwarding.method == ForwardingMethod::TUN && !self.families.contain(member))
    }

    /// A VIP that no real server is of the family of, although there are some.
    #[must_use]
    pub fn orphan(&self) -> Option<&IpAddr> {
        let has_candidates = self
            .pools
            .iter()
            .any(|used| !used.pool.members.is_empty() || !used.pool.wrong_family.is_empty());
        let serves = |used: &UsedPool, vip: &IpAddr| {
            used.pool
                .members
                .iter()
                .any(|member| self.reaches(used, vip, &member.address))
        };
        self.addresses
            .iter()
            .find(|vip| has_candidates && !self.pools.iter().any(|used| serves(used, vip)))
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
    let mut marks = Allocator::new(world, current);
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
        let scene = Scene {
            pools: &pools,
            hosts: &hosts,
            claims: &claims,
            is_running,
            pair_is_accepted: pair.is_some_and(|pair| pairs.accepted(&pair.name_any()).is_some()),
        };
        let verdict = validate(service, pair, &scene, &mut marks)?;
        if let Ok(validated) = &verdict {
            claims.claim(validated);
        }
        verdicts.insert(key(&**service), verdict);
    }
    Ok(verdicts)
}

/// What a virtual service is judged beside.
struct Scene<'a> {
    pools: &'a Pools<'a>,
    hosts: &'a Hosts,
    claims: &'a Claims,
    /// Whether directors carry it already.
    is_running: bool,
    /// Whether the specification of its pair is the one that the directors carry.
    pair_is_accepted: bool,
}

impl Scene<'_> {
    /// A service that is running has its VIPs already.
    fn check_hosts(&self, service: &ValidatedService) -> Result<(), Rejection> {
        if self.is_running {
            Ok(())
        } else {
            self.hosts.check(service)
        }
    }
}

fn validate(
    service: &Arc<VirtualService>,
    pair: Option<&DirectorPair>,
    scene: &Scene<'_>,
    marks: &mut Allocator,
) -> Result<Result<ValidatedService, Rejection>, serde_json::Error> {
    let spec = &service.spec;
    let (pair, addresses) = match check_references(service, pair, scene) {
        Ok(found) => found,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let wanted = spec.frontend.firewall_mark.as_ref();
    let mark = match wanted.map(|wanted| marks.allocate(service, wanted)) {
        Some(Err(rejection)) => return Ok(Err(rejection)),
        Some(Ok(mark)) => Some(mark),
        None => None,
    };
    let families = mark
        .as_ref()
        .map_or_else(|| Families::of(&addresses), |mark| of_mark(mark.family));
    let synchronised = pair.spec.connection_sync.mode == ConnectionSyncMode::Enabled;
    let terms = Terms {
        families,
        forwarding: &spec.forwarding,
        drain: &spec.drain,
        synchronised,
    };
    let namespace = service.namespace().unwrap_or_default();
    let mut resolved = Vec::new();
    for backend in &spec.backends {
        resolved.push(scene.pools.resolve(&namespace, backend, terms)?);
    }
    let validated = ValidatedService {
        key: key(&**service),
        pair: spec.director_pair_ref.name.clone(),
        addresses,
        families,
        mark,
        pools: resolved,
        synchronised,
        object: Arc::clone(service),
    };
    Ok(check_families(&validated, scene.is_running)
        .and_then(|()| scene.check_hosts(&validated))
        .and_then(|()| fallback::check(&validated, scene.is_running))
        .and_then(|()| scene.claims.check(&validated))
        .map(|()| validated))
}

const fn of_mark(family: AddressFamily) -> Families {
    Families {
        ipv4: matches!(family, AddressFamily::IPv4),
        ipv6: matches!(family, AddressFamily::IPv6),
    }
}

/// Checks the pair and its instance, and reads the VIPs.
fn check_references<'a>(
    service: &VirtualService,
    pair: Option<&'a DirectorPair>,
    scene: &Scene<'_>,
) -> Result<(&'a DirectorPair, Vec<IpAddr>), Rejection> {
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
        // A pair that turns to version 2 is refused itself while a service has an IPv6 VIP.
        let judged = scene.pair_is_accepted || !scene.is_running;
        let by_vrrp = spec.frontend.bind_addresses == BindAddresses::Managed;
        if address.is_ipv6() && pair.spec.vrrp.version != 3 && judged && by_vrrp {
            return Err(Rejection::new(
                reason::IPV6_NEEDS_VERSION_3,
                format!(
                    "spec.frontend.addresses: {text} is IPv6, and DirectorPair {name} speaks VRRP \
                     version {}, which carries IPv4 only; set spec.vrrp.version of the pair to 3, or \
                     bindAddresses to External",
                    pair.spec.vrrp.version
                ),
            ));
        }
        addresses.push(address);
    }
    Ok((pair, addresses))
}

/// DR and NAT keep the address family, so every VIP needs members of its own.
fn check_families(service: &ValidatedService, is_running: bool) -> Result<(), Rejection> {
    for used in &service.pools {
        // A tunnel that runs loses such a server when its pair begins to synchronise. To reject it
        // would keep the server, and with it the kernel from synchronising.
        let removed = is_running && used.forwarding.method == ForwardingMethod::TUN;
        if let Some(server) = used.pool.foreign_server.filter(|_| !removed) {
            return Err(Rejection::new(
                reason::MIXED_FAMILY,
                foreign_message(service, used, &server.to_string()),
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

/// What is wrong with a member of a family that no VIP has.
pub(super) fn foreign_message(service: &ValidatedService, used: &UsedPool, member: &str) -> String {
    let backend = &used.backend;
    let method = used.forwarding.method;
    let frontend = &service.object.spec.frontend;
    let vips = if frontend.addresses.is_empty() {
        "spec.frontend.firewallMark.family".to_owned()
    } else {
        format!(
            "{} in spec.frontend.addresses",
            frontend.addresses.join(", ")
        )
    };
    let remedy = remedy(service, used);
    format!(
        "spec.backends[{backend}]: {member} is of another address family than {vips}; forwarding \
         {method:?} {remedy}"
    )
}

/// What is wrong with a VIP that no real server is of the family of.
pub(super) fn orphan_message(service: &ValidatedService, vip: &IpAddr) -> String {
    let method = service.object.spec.forwarding.method;
    let remedy = service
        .pools
        .first()
        .map(|used| remedy(service, used))
        .unwrap_or_default();
    format!(
        "spec.frontend.addresses: no real server in spec.backends is of the address family of {vip}; \
         forwarding {method:?} {remedy}"
    )
}

fn remedy(service: &ValidatedService, used: &UsedPool) -> &'static str {
    match used.forwarding.method {
        ForwardingMethod::TUN if service.families.are_both() => {
            "sends VIPs of both families to members of their own; use a VirtualService for each family"
        }
        ForwardingMethod::TUN if service.synchronised => {
            "could cross families, but the kernel allows that only without connection \
             synchronisation; set connectionSync.mode of the DirectorPair to Disabled, or use real \
             servers of the same family"
        }
        _ => "needs IPv4 behind IPv4 and IPv6 behind IPv6",
    }
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
                .flat_map(|used| &used.pool.members)
                .any(|member| member.address == **vip)
        };
        // A VIP that somebody else binds may well be a host's own address, but not a real server's.
        let by_vrrp = service.object.spec.frontend.bind_addresses == BindAddresses::Managed;
        let found = service
            .addresses
            .iter()
            .filter(|_| by_vrrp)
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
                    .any(|other| other.range() == port.range() && other.protocol == port.protocol)
            })
            && (spec.frontend.bind_addresses == plan.bind_addresses
                || plan.bind_addresses == BindAddresses::Managed)
            && has_mark(service, plan)
    })
}

/// Whether a plan has the mark that the object asks for.
fn has_mark(service: &VirtualService, plan: &ServicePlan) -> bool {
    match (&service.spec.frontend.firewall_mark, &plan.firewall_mark) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(has)) => {
            wanted.family == has.family && wanted.mark.is_none_or(|mark| mark == has.mark)
        }
    }
}
