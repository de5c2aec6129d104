//! No client: which real servers a pool has. A pool that many virtual services use is resolved
//! once and stands once in the slices.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use lvs_crds::v1alpha1::{
    BackendPool, ConnectionLimits, Drain, Forwarding, ForwardingMethod, MemberPlan,
    RealServerAdminState,
};
use serde::Serialize;

use crate::{
    digest,
    real_server::validate::{RealServerVerdicts, ValidatedRealServer},
};

/// Longest part that a pool is split into, in members.
const PART_MEMBERS: usize = 256;

/// Address families of a virtual service's VIPs; members of another one are of no use to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Families {
    /// It has an IPv4 VIP.
    pub ipv4: bool,
    /// It has an IPv6 VIP.
    pub ipv6: bool,
}

impl Families {
    /// The families of some addresses.
    #[must_use]
    pub fn of(addresses: &[IpAddr]) -> Self {
        Self {
            ipv4: addresses.iter().any(IpAddr::is_ipv4),
            ipv6: addresses.iter().any(IpAddr::is_ipv6),
        }
    }

    /// Whether both are among them.
    #[must_use]
    pub const fn are_both(self) -> bool {
        self.ipv4 && self.ipv6
    }

    /// Whether an address is of one of them.
    #[must_use]
    pub fn contain(self, address: &IpAddr) -> bool {
        if address.is_ipv4() {
            self.ipv4
        } else {
            self.ipv6
        }
    }
}

/// A member of a pool and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As the slices carry it.
    pub plan: MemberPlan,
    /// Its address.
    pub address: IpAddr,
    /// The object that it comes from; `None` when it was written into the pool.
    pub real_server: Option<Arc<ValidatedRealServer>>,
}

/// A pool with its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Name in the slices: a digest of what the pool is made from.
    pub name: String,
    /// Members by address and port, sorted, of the families that were asked for.
    pub members: Vec<Member>,
    /// Selected real servers without an address of these families.
    pub wrong_family: Vec<String>,
    /// Selected real servers whose address another one has that is older.
    pub duplicates: Vec<String>,
    /// A member of `servers` that is of none of these families.
    pub foreign_server: Option<IpAddr>,
}

impl Pool {
    /// The pool as slices carry it, in parts that each fit a slice. Members in `held` get weight 0;
    /// such a pool has a name of its own, so that other services keep theirs as it is.
    ///
    /// # Errors
    /// When its digest cannot be made.
    pub fn parts(
        &self,
        held: &BTreeSet<&MemberPlan>,
    ) -> Result<Vec<(String, Vec<MemberPlan>)>, serde_json::Error> {
        let name = if held.is_empty() {
            self.name.clone()
        } else {
            let keys: Vec<_> = held
                .iter()
                .map(|member| (&member.address, member.port))
                .collect();
            digest::of(&(&self.name, keys))?
        };
        let members = self.members.iter().map(|member| {
            let mut plan = member.plan.clone();
            if held.contains(&member.plan) {
                plan.weight = 0;
            }
            plan
        });
        let count = self.part_count();
        if count == 1 {
            return Ok(vec![(name, members.collect())]);
        }
        let mut parts: BTreeMap<u64, Vec<MemberPlan>> = BTreeMap::new();
        for member in members {
            parts
                .entry(part(&member.address, count))
                .or_default()
                .push(member);
        }
        Ok(parts
            .into_iter()
            .map(|(part, members)| (part_name(&name, part), members))
            .collect())
    }

    /// Names of its parts while no member is held.
    #[must_use]
    pub fn part_names(&self) -> Vec<String> {
        let count = self.part_count();
        if count == 1 {
            return vec![self.name.clone()];
        }
        let parts: BTreeSet<u64> = self
            .members
            .iter()
            .map(|member| part(&member.plan.address, count))
            .collect();
        parts
            .into_iter()
            .map(|part| part_name(&self.name, part))
            .collect()
    }

    fn part_count(&self) -> u64 {
        let count = self
            .members
            .len()
            .div_ceil(PART_MEMBERS)
            .next_power_of_two();
        u64::try_from(count).unwrap_or(1)
    }
}

/// A member's part depends on its address alone, so that the others stay when it goes.
fn part(address: &str, count: u64) -> u64 {
    digest::number(address) % count
}

fn part_name(pool: &str, part: u64) -> String {
    format!("{pool}-{part}")
}

/// A pool as one virtual service uses it.
#[derive(Clone, Debug)]
pub struct UsedPool {
    /// Name in `spec.backends`.
    pub backend: String,
    /// How packets reach its members.
    pub forwarding: Forwarding,
    /// The pool; other services may use the same one.
    pub pool: Rc<Pool>,
}

/// What a virtual service asks of its pools, beside what stands in `spec.backends`.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Families of its VIPs.
    pub families: Families,
    /// Forwarding of pools that have none of their own.
    pub forwarding: &'a Forwarding,
    /// How members leave that have no `drain` of their own.
    pub drain: &'a Drain,
    /// Whether the directors synchronise connections: while they do, the kernel takes no member of
    /// another family than the VIP's.
    pub synchronised: bool,
}

/// What a pool is made from: two pools with the same source are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Source {
    namespace: String,
    servers: Vec<(String, i32, Option<i32>)>,
    labels: Option<BTreeMap<String, String>>,
    port: i32,
    weight: i32,
    connection_limits: ConnectionLimits,
    forwarding: Option<Forwarding>,
    families: Families,
    /// Whether real servers that have no address of these families are members by another one.
    mixed: bool,
    /// How real servers leave that do not say it themselves.
    drain: Option<Drain>,
}

/// Resolves pools, each source once.
#[derive(Debug)]
pub struct Pools<'a> {
    real_servers: &'a RealServerVerdicts,
    resolved: RefCell<BTreeMap<Source, Rc<Pool>>>,
}

impl<'a> Pools<'a> {
    /// A resolver over these real servers.
    #[must_use]
    pub fn new(real_servers: &'a RealServerVerdicts) -> Self {
        Self {
            real_servers,
            resolved: RefCell::default(),
        }
    }

    /// The pool that a virtual service of this namespace describes.
    ///
    /// # Errors
    /// When its digest cannot be made.
    pub fn resolve(
        &self,
        namespace: &str,
        backend: &BackendPool,
        terms: Terms<'_>,
    ) -> Result<UsedPool, serde_json::Error> {
        let forwarding = backend.forwarding.as_ref().unwrap_or(terms.forwarding);
        let selector = backend.real_server_selector.as_ref();
        let source = Source {
            namespace: namespace.to_owned(),
            servers: backend
                .servers
                .iter()
                .map(|server| (server.address.clone(), server.port, server.weight))
                .collect(),
            labels: selector.map(|selector| selector.match_labels.clone()),
            port: backend.port,
            weight: backend.weight,
            connection_limits: backend.connection_limits,
            forwarding: backend.forwarding.clone(),
            families: terms.families,
            // With VIPs of both families a host that has an address of each would count twice.
            mixed: forwarding.method == ForwardingMethod::TUN
                && !terms.families.are_both()
                && !terms.synchronised,
            // Members that are listed do not drain: they are removed from the list.
            drain: selector.map(|_| terms.drain.clone()),
        };
        let used = |pool: &Rc<Pool>| UsedPool {
            backend: backend.name.clone(),
            forwarding: forwarding.clone(),
            pool: Rc::clone(pool),
        };
        if let Some(pool) = self.resolved.borrow().get(&source) {
            return Ok(used(pool));
        }
        let mut pool = Pool {
            name: digest::of(&source)?,
            ..Pool::default()
        };
        let mut members = BTreeMap::new();
        collect_servers(backend, &source, &mut pool, &mut members);
        if let Some(labels) = &source.labels {
            for real_server in self.real_servers.select(namespace, labels) {
                collect_real_server(&source, real_server, &mut pool, &mut members);
            }
        }
        pool.members = members.into_values().collect();
        let pool = Rc::new(pool);
        let result = used(&pool);
        self.resolved.borrow_mut().insert(source, pool);
        Ok(result)
    }
}

type Members = BTreeMap<(IpAddr, i32), Member>;

fn collect_servers(backend: &BackendPool, source: &Source, pool: &mut Pool, members: &mut Members) {
    for server in &backend.servers {
        // The schema lets only addresses through.
        let Ok(address) = server.address.parse::<IpAddr>() else {
            continue;
        };
        if !source.mixed && !source.families.contain(&address) {
            pool.foreign_server.get_or_insert(address);
            continue;
        }
        let port = if server.port == 0 {
            source.port
        } else {
            server.port
        };
        let plan = MemberPlan {
            address: address.to_string().into(),
            port,
            weight: server.weight.unwrap_or(source.weight),
            checked: true,
            connection_limits: source.connection_limits,
            forwarding: source.forwarding.clone(),
            drain: None,
        };
        members.entry((address, port)).or_insert_with(|| Member {
            plan,
            address,
            real_server: None,
        });
    }
}

fn collect_real_server(
    source: &Source,
    real_server: &Arc<ValidatedRealServer>,
    pool: &mut Pool,
    members: &mut Members,
) {
    let weight = real_server.weight.unwrap_or(source.weight);
    let (weight, checked, leaves) = match real_server.admin_state {
        RealServerAdminState::Enabled => (weight, true, false),
        RealServerAdminState::Drain => (0, true, true),
        RealServerAdminState::Maintenance => (0, false, true),
        RealServerAdminState::Disabled => return,
    };
    let drain = real_server.drain.as_ref().or(source.drain.as_ref());
    let addresses = addresses(source, real_server);
    if addresses.is_empty() {
        pool.wrong_family.push(real_server.key.clone());
    }
    for address in addresses {
        let port = source.port;
        if members.contains_key(&(address, port)) {
            pool.duplicates.push(real_server.key.clone());
            continue;
        }
        let plan = MemberPlan {
            address: address.to_string().into(),
            port,
            weight,
            checked,
            connection_limits: real_server
                .connection_limits
                .unwrap_or(source.connection_limits),
            forwarding: source.forwarding.clone(),
            drain: drain.filter(|_| leaves).cloned(),
        };
        let real_server = Some(Arc::clone(real_server));
        members.insert(
            (address, port),
            Member {
                plan,
                address,
                real_server,
            },
        );
    }
}

/// One address of each family: the first that the node names.
fn addresses(source: &Source, real_server: &ValidatedRealServer) -> Vec<IpAddr> {
    let of_families: Vec<IpAddr> = [IpAddr::is_ipv4, IpAddr::is_ipv6]
        .into_iter()
        .filter_map(|family: fn(&IpAddr) -> bool| {
            real_server.addresses.iter().copied().find(family)
        })
        .filter(|address| source.families.contain(address))
        .collect();
    if of_families.is_empty() && source.mixed {
        return real_server.addresses.iter().copied().take(1).collect();
    }
    of_families
}
