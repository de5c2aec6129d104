//! No client: which real servers a pool has. A pool that many virtual services use is resolved
//! once and stands once in the slices.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use lvs_crds::v1alpha1::{BackendPool, MemberPlan, RealServerAdminState};
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
    /// Whether `servers` lists a member that is of none of these families.
    pub foreign_server: Option<IpAddr>,
}

impl Pool {
    /// Whether it has a member of the family of this VIP.
    #[must_use]
    pub fn serves(&self, vip: &IpAddr) -> bool {
        self.members
            .iter()
            .any(|member| member.address.is_ipv4() == vip.is_ipv4())
    }

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
        let count = self
            .members
            .len()
            .div_ceil(PART_MEMBERS)
            .next_power_of_two();
        if count == 1 {
            return Ok(vec![(name, members.collect())]);
        }
        // A member's part depends on its address alone, so that the others stay when it goes.
        let mut parts: BTreeMap<u64, Vec<MemberPlan>> = BTreeMap::new();
        for member in members {
            let part = digest::number(&member.address) % u64::try_from(count).unwrap_or(1);
            parts.entry(part).or_default().push(member);
        }
        Ok(parts
            .into_iter()
            .map(|(part, members)| (format!("{name}-{part}"), members))
            .collect())
    }
}

/// What a pool is made from: two pools with the same source are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Source {
    namespace: String,
    servers: Vec<(String, i32, Option<i32>)>,
    labels: Option<BTreeMap<String, String>>,
    port: i32,
    weight: i32,
    families: Families,
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

    /// The pool that a virtual service of this namespace, with VIPs of these families, describes.
    ///
    /// # Errors
    /// When its digest cannot be made.
    pub fn resolve(
        &self,
        namespace: &str,
        backend: &BackendPool,
        families: Families,
    ) -> Result<Rc<Pool>, serde_json::Error> {
        let source = Source {
            namespace: namespace.to_owned(),
            servers: backend
                .servers
                .iter()
                .map(|server| (server.address.clone(), server.port, server.weight))
                .collect(),
            labels: backend
                .real_server_selector
                .as_ref()
                .map(|selector| selector.match_labels.clone()),
            port: backend.port,
            weight: backend.weight,
            families,
        };
        if let Some(pool) = self.resolved.borrow().get(&source) {
            return Ok(Rc::clone(pool));
        }
        let mut pool = Pool {
            name: digest::of(&source)?,
            ..Pool::default()
        };
        let mut members = BTreeMap::new();
        collect_servers(backend, families, &mut pool, &mut members);
        if let Some(labels) = &source.labels {
            for real_server in self.real_servers.select(namespace, labels) {
                collect_real_server(backend, real_server, families, &mut pool, &mut members);
            }
        }
        pool.members = members.into_values().collect();
        let pool = Rc::new(pool);
        self.resolved.borrow_mut().insert(source, Rc::clone(&pool));
        Ok(pool)
    }
}

type Members = BTreeMap<(IpAddr, i32), Member>;

fn collect_servers(
    backend: &BackendPool,
    families: Families,
    pool: &mut Pool,
    members: &mut Members,
) {
    for server in &backend.servers {
        // The schema lets only addresses through.
        let Ok(address) = server.address.parse::<IpAddr>() else {
            continue;
        };
        if !families.contain(&address) {
            pool.foreign_server.get_or_insert(address);
            continue;
        }
        let port = if server.port == 0 {
            backend.port
        } else {
            server.port
        };
        let weight = server.weight.unwrap_or(backend.weight);
        let plan = MemberPlan {
            address: address.to_string(),
            port,
            weight,
            checked: true,
            connection_limits: backend.connection_limits,
            forwarding: backend.forwarding.clone(),
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
    backend: &BackendPool,
    real_server: &Arc<ValidatedRealServer>,
    families: Families,
    pool: &mut Pool,
    members: &mut Members,
) {
    let weight = real_server.weight.unwrap_or(backend.weight);
    let (weight, checked) = match real_server.admin_state {
        RealServerAdminState::Enabled => (weight, true),
        RealServerAdminState::Drain => (0, true),
        RealServerAdminState::Maintenance => (0, false),
        RealServerAdminState::Disabled => return,
    };
    // One address of each family: the first that the node names.
    let addresses: Vec<IpAddr> = [IpAddr::is_ipv4, IpAddr::is_ipv6]
        .into_iter()
        .filter_map(|family: fn(&IpAddr) -> bool| {
            real_server.addresses.iter().copied().find(family)
        })
        .filter(|address| families.contain(address))
        .collect();
    if addresses.is_empty() {
        pool.wrong_family.push(real_server.key.clone());
    }
    for address in addresses {
        let port = backend.port;
        if members.contains_key(&(address, port)) {
            pool.duplicates.push(real_server.key.clone());
            continue;
        }
        let plan = MemberPlan {
            address: address.to_string(),
            port,
            weight,
            checked,
            connection_limits: backend.connection_limits,
            forwarding: backend.forwarding.clone(),
            drain: None,
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
