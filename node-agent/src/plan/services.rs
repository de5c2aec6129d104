//! The virtual services that a director balances, with the pools of their members. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use lvs_crds::v1alpha1::{AddressFamily, PlanSliceSpec, Port, ServicePlan};
use lvs_ipvs::{DestinationKey, Family, Forwarding, Protocol, ServiceKey};

use super::Problem;
use super::pool::{self, Member, Pool};
use crate::bundle::PlanBundle;
use crate::report::Subject;

mod patch;

/// Longest range of ports: each is a service in the kernel.
const LONGEST_RANGE: usize = 1024;

/// The services of a plan, as far as all that they refer to has arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Services to program, by `namespace/name`.
    pub resolved: BTreeMap<Arc<str>, Arc<ResolvedService>>,
    /// Whose each service of the kernel is.
    pub owners: BTreeMap<ServiceKey, Arc<ResolvedService>>,
    /// Keys of services that wait for a pool and were never resolved before, each with its VRRP
    /// instance: whatever the kernel has of them stays as it is.
    pub untouched: BTreeMap<ServiceKey, String>,
    /// What is missing.
    pub problems: Vec<Problem>,
    /// The slices that this was resolved from.
    slices: BTreeMap<String, Arc<PlanSliceSpec>>,
    pools: BTreeMap<Arc<str>, Arc<Pool>>,
    /// Whether these slices are all, everything in them is resolved, and no name is in two of them.
    is_complete: bool,
}

/// A virtual service with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedService {
    /// Name, as `namespace/name`.
    pub name: Arc<str>,
    /// Object that Events are about.
    pub subject: Arc<Subject>,
    /// The service.
    pub plan: ServicePlan,
    /// Its VIPs.
    pub addresses: Vec<IpAddr>,
    /// Its pools.
    pub pools: Vec<Arc<Pool>>,
    /// Values that are left out because they are not valid.
    invalid: Vec<String>,
}

/// A member as one service of the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedMember<'a> {
    /// Address and port there.
    pub key: DestinationKey,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// The member.
    pub member: &'a Member,
}

impl Services {
    /// Resolves the services of a bundle. One whose pools have not all arrived stays as it was in
    /// `previous`, and so does one that is missing while slices are. What has not changed is shared
    /// with `previous`, so that a change costs what it touches.
    #[must_use]
    pub fn resolve(bundle: &PlanBundle, previous: &Self) -> Self {
        previous
            .patched(bundle)
            .unwrap_or_else(|| Self::resolve_all(bundle, previous))
    }

    fn resolve_all(bundle: &PlanBundle, previous: &Self) -> Self {
        let mut services = Self {
            pools: pools(bundle, previous),
            slices: bundle.balanced(),
            ..Self::default()
        };
        for (name, slice) in &services.slices.clone() {
            let is_unchanged = previous.has_slice(name, slice);
            for plan in &slice.services {
                let known = previous.resolved.get(plan.name.as_str());
                services.take(plan, known.filter(|_| is_unchanged), previous);
            }
        }
        if !bundle.has_its_slices() {
            // The slice that carries it may be on its way: a service moves between slices in two
            // writes, and no connection may notice.
            for (name, service) in &previous.resolved {
                services
                    .resolved
                    .entry(Arc::clone(name))
                    .or_insert_with(|| Arc::clone(service));
            }
        }
        for service in services.resolved.values() {
            services.problems.extend(service.problems());
            for key in service.keys() {
                // The operator lets one service have a key; should two claim it, the order of
                // their names decides, on both directors alike.
                services
                    .owners
                    .entry(key)
                    .or_insert_with(|| Arc::clone(service));
            }
        }
        let all = services.slices.values();
        let (with_services, with_pools) = all.fold((0, 0), |(services, pools), slice| {
            (services + slice.services.len(), pools + slice.pools.len())
        });
        services.is_complete = bundle.has_its_slices()
            && services.problems.is_empty()
            && services.resolved.len() == with_services
            && services.pools.len() == with_pools;
        services
    }

    /// The services that `previous` had otherwise, or not at all.
    pub fn changed_since<'a>(
        &'a self,
        previous: &'a Self,
    ) -> impl Iterator<Item = &'a Arc<ResolvedService>> {
        changed(&self.resolved, &previous.resolved).map(|(_, service)| service)
    }

    /// The keys that `previous` gave to a service that was another or otherwise, or to none.
    pub fn keys_changed_since<'a>(
        &'a self,
        previous: &'a Self,
    ) -> impl Iterator<Item = (&'a ServiceKey, &'a Arc<ResolvedService>)> {
        changed(&self.owners, &previous.owners)
    }

    fn has_slice(&self, name: &str, slice: &Arc<PlanSliceSpec>) -> bool {
        self.slices
            .get(name)
            .is_some_and(|before| Arc::ptr_eq(before, slice))
    }

    /// Takes a service in. `known` is what it was when neither it nor its slice has changed.
    fn take(&mut self, plan: &ServicePlan, known: Option<&Arc<ResolvedService>>, previous: &Self) {
        let mut found = Vec::with_capacity(plan.pools.len());
        for name in &plan.pools {
            let Some(pool) = self.pools.get(name.as_str()) else {
                self.problems.push(Problem::pending(format!(
                    "virtual service {}: pool {name} has not arrived; the service stays as it was",
                    plan.name
                )));
                self.keep(plan, previous);
                return;
            };
            found.push(Arc::clone(pool));
        }
        let has_pools = |known: &&Arc<ResolvedService>| {
            known.pools.len() == found.len()
                && known
                    .pools
                    .iter()
                    .zip(&found)
                    .all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let service = if let Some(known) = known.filter(has_pools) {
            Arc::clone(known)
        } else {
            let service = ResolvedService::new(plan, found);
            match previous.resolved.get(plan.name.as_str()) {
                Some(before) if **before == service => Arc::clone(before),
                _ => Arc::new(service),
            }
        };
        self.resolved.insert(Arc::clone(&service.name), service);
    }

    fn keep(&mut self, plan: &ServicePlan, previous: &Self) {
        if let Some((name, service)) = previous.resolved.get_key_value(plan.name.as_str()) {
            self.resolved.insert(Arc::clone(name), Arc::clone(service));
        } else {
            let service = ResolvedService::new(plan, Vec::new());
            self.untouched
                .extend(service.keys().map(|key| (key, plan.instance.clone())));
        }
    }
}

/// The entries that were otherwise, or not there. Both are walked once, in their order.
fn changed<'a, K: Ord, V>(
    now: &'a BTreeMap<K, Arc<V>>,
    before: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = (&'a K, &'a Arc<V>)> {
    let mut before = before.iter().peekable();
    now.iter().filter(move |(key, value)| {
        while before.next_if(|(earlier, _)| earlier < key).is_some() {}
        let known = before.next_if(|(known, _)| known == key);
        known.is_none_or(|(_, known)| !Arc::ptr_eq(known, value))
    })
}

/// The pools of a bundle; those that are as they were are the same in memory.
fn pools(bundle: &PlanBundle, previous: &Services) -> BTreeMap<Arc<str>, Arc<Pool>> {
    let mut pools = BTreeMap::new();
    for (name, slice) in bundle.balanced() {
        let is_unchanged = previous.has_slice(&name, &slice);
        for plan in &slice.pools {
            let known = previous.pools.get(plan.name.as_str());
            let pool = match known {
                Some(known) if is_unchanged => Arc::clone(known),
                _ => {
                    let pool = Pool::parse(plan);
                    match known {
                        Some(known) if **known == pool => Arc::clone(known),
                        _ => Arc::new(pool),
                    }
                }
            };
            pools.insert(plan.name.as_str().into(), pool);
        }
    }
    pools
}

impl ResolvedService {
    fn new(plan: &ServicePlan, pools: Vec<Arc<Pool>>) -> Self {
        let mut addresses = Vec::new();
        let mut invalid = Vec::new();
        for address in &plan.addresses {
            match address.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => invalid.push(format!("address {address}")),
            }
        }
        for member in pools.iter().flat_map(|pool| &pool.invalid) {
            invalid.push(format!("member {member}"));
        }
        Self {
            name: plan.name.as_str().into(),
            subject: Arc::new(subject(plan)),
            plan: plan.clone(),
            addresses,
            pools,
            invalid,
        }
    }

    /// Whether it is the same as another but for weights of members that stay.
    #[must_use]
    pub fn differs_in_weights_only(&self, other: &Self) -> bool {
        self.plan == other.plan
            && self.pools.len() == other.pools.len()
            && self
                .pools
                .iter()
                .zip(&other.pools)
                .all(|(a, b)| Arc::ptr_eq(a, b) || a.differs_in_weights_only(b))
    }

    fn problems(&self) -> impl Iterator<Item = Problem> {
        self.invalid.iter().map(|what| {
            Problem::invalid(format!(
                "virtual service {}: {what} is not valid; it is left out",
                self.name
            ))
        })
    }

    /// The kernel's services that this one consists of: one for each VIP and port, or that of its
    /// firewall mark.
    pub fn keys(&self) -> impl Iterator<Item = ServiceKey> {
        let mark = self.plan.firewall_mark.as_ref();
        let by_mark = mark.and_then(|plan| {
            Some(ServiceKey::Mark {
                mark: NonZeroU32::new(u32::try_from(plan.mark).ok()?)?,
                family: match plan.family {
                    AddressFamily::IPv4 => Family::Ipv4,
                    AddressFamily::IPv6 => Family::Ipv6,
                },
            })
        });
        let by_address = self
            .addresses
            .iter()
            .filter(move |_| mark.is_none())
            .flat_map(|&address| self.address_keys(address));
        by_mark.into_iter().chain(by_address)
    }

    /// The kernel's services that packets to a VIP come to.
    pub fn keys_of(&self, vip: IpAddr) -> impl Iterator<Item = ServiceKey> {
        let by_mark = self.plan.firewall_mark.is_some();
        self.keys()
            .take_while(move |_| by_mark)
            .chain(self.address_keys(vip).take_while(move |_| !by_mark))
    }

    /// The address families of the packets that it balances.
    #[must_use]
    pub fn families(&self) -> BTreeSet<Family> {
        let of_mark = self.plan.firewall_mark.iter().flat_map(|_| self.keys());
        self.addresses
            .iter()
            .map(|vip| Family::of(*vip))
            .chain(of_mark.map(|key| key.family()))
            .collect()
    }

    fn address_keys(&self, address: IpAddr) -> impl Iterator<Item = ServiceKey> {
        self.plan
            .ports
            .iter()
            .flat_map(move |port| port_keys(address, port))
    }

    /// The members that serve a key, as they are there. Where two pools name the same real server
    /// the first one's settings count. DR and NAT need real servers of the packets' family; so does
    /// a tunnel where the service has VIPs of both.
    #[must_use]
    pub fn members_of(&self, key: &ServiceKey) -> Vec<PlacedMember<'_>> {
        let own = pool::forwarding(&self.plan.forwarding);
        let mut members: Vec<_> = self
            .pools
            .iter()
            .flat_map(|pool| &pool.members)
            .filter_map(|member| {
                let forwarding = member.forwarding.unwrap_or(own);
                let key = self.place(key, member.address, member.port, forwarding)?;
                Some(PlacedMember {
                    key,
                    forwarding,
                    member,
                })
            })
            .collect();
        // Both keep the order of equal ones.
        members.sort_by_key(|placed| placed.key);
        members.dedup_by_key(|placed| placed.key);
        members
    }

    /// Address and port of a real server in one service of the kernel; none if it cannot serve there.
    /// Only NAT can change a port.
    #[must_use]
    pub fn place(
        &self,
        key: &ServiceKey,
        address: IpAddr,
        port: u16,
        forwarding: Forwarding,
    ) -> Option<DestinationKey> {
        let family = Family::of(address);
        let is_served_otherwise = || self.addresses.iter().any(|vip| Family::of(*vip) == family);
        let fits = family == key.family()
            || (matches!(forwarding, Forwarding::Tunnel(_)) && !is_served_otherwise());
        let frontend = match *key {
            ServiceKey::Address { port, .. } => port,
            ServiceKey::Mark { .. } => 0,
        };
        let port = match forwarding {
            Forwarding::Nat if port != 0 => port,
            _ => frontend,
        };
        fits.then_some(DestinationKey { address, port })
    }
}

fn port_keys(address: IpAddr, port: &Port) -> impl Iterator<Item = ServiceKey> + use<> {
    let protocol = protocol(port);
    let (first, last) = port.range();
    (first..=last).take(LONGEST_RANGE).filter_map(move |port| {
        Some(ServiceKey::Address {
            protocol,
            address,
            port: u16::try_from(port).ok()?,
        })
    })
}

/// The protocol of a port.
#[must_use]
pub fn protocol(port: &Port) -> Protocol {
    match port.protocol {
        lvs_crds::v1alpha1::Protocol::TCP => Protocol::Tcp,
        lvs_crds::v1alpha1::Protocol::UDP => Protocol::Udp,
        lvs_crds::v1alpha1::Protocol::SCTP => Protocol::Sctp,
    }
}

fn subject(plan: &ServicePlan) -> Subject {
    let (namespace, name) = plan.name.split_once('/').unwrap_or(("", &plan.name));
    Subject::VirtualService {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: plan.uid.clone(),
    }
}

#[cfg(test)]
mod tests;
