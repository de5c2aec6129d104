//! The virtual services that a director balances, with the members of their pools. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lvs_crds::v1alpha1::{ForwardingMethod, MemberPlan, PoolPlan, Port, ServicePlan};
use lvs_ipvs::{DestinationKey, Protocol, ServiceKey};

use super::Problem;
use crate::bundle::PlanBundle;
use crate::report::Subject;

/// The services of a plan, as far as all that they refer to has arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Services to program, by `namespace/name`.
    pub resolved: BTreeMap<Arc<str>, Arc<ResolvedService>>,
    /// Keys of services that wait for a pool and were never resolved before, each with its VRRP
    /// instance: whatever the kernel has of them stays as it is.
    pub untouched: BTreeMap<ServiceKey, String>,
    /// What is missing.
    pub problems: Vec<Problem>,
}

/// A virtual service with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedService {
    /// Name, as `namespace/name`.
    pub name: Arc<str>,
    /// Object that Events are about.
    pub subject: Arc<Subject>,
    /// The service; its pools are resolved in `members`.
    pub plan: ServicePlan,
    /// Its VIPs.
    pub addresses: Vec<IpAddr>,
    /// Its members, each address and port once.
    pub members: Vec<Member>,
}

/// A real server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Address.
    pub address: IpAddr,
    /// Port; 0 stands for the port of the virtual service.
    pub port: u16,
    /// Weight before checks.
    pub weight: u32,
    /// Whether it is checked.
    pub checked: bool,
}

impl Services {
    /// Resolves the services of a bundle. One whose pools have not all arrived stays as it was in
    /// `previous`, and so does one that is missing while slices are.
    #[must_use]
    pub fn resolve(bundle: &PlanBundle, previous: &Self) -> Self {
        let pools: BTreeMap<&str, &PoolPlan> = bundle
            .pools()
            .map(|pool| (pool.name.as_str(), pool))
            .collect();
        let mut services = Self::default();
        for plan in bundle.services() {
            let missing = plan
                .pools
                .iter()
                .find(|pool| !pools.contains_key(pool.as_str()));
            if let Some(pool) = missing {
                services.problems.push(Problem::pending(format!(
                    "virtual service {}: pool {pool} has not arrived; the service stays as it was",
                    plan.name
                )));
                services.keep(plan, previous);
                continue;
            }
            let members = plan
                .pools
                .iter()
                .filter_map(|pool| pools.get(pool.as_str()).copied());
            services.add(plan, members.flat_map(|pool| &pool.members));
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
        services
    }

    fn keep(&mut self, plan: &ServicePlan, previous: &Self) {
        if let Some((name, service)) = previous.resolved.get_key_value(plan.name.as_str()) {
            self.resolved.insert(Arc::clone(name), Arc::clone(service));
        } else {
            let addresses = plan
                .addresses
                .iter()
                .filter_map(|address| address.parse().ok());
            let keys = addresses.flat_map(|address| keys_of(address, &plan.ports));
            self.untouched
                .extend(keys.map(|key| (key, plan.instance.clone())));
        }
    }

    fn add<'a>(&mut self, plan: &ServicePlan, members: impl Iterator<Item = &'a MemberPlan>) {
        let mut invalid = |field: &str, value: &dyn std::fmt::Display| {
            self.problems.push(Problem::invalid(format!(
                "virtual service {}: {field} {value} is not valid; it is left out",
                plan.name
            )));
        };
        let mut addresses = Vec::new();
        for address in &plan.addresses {
            match address.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => invalid("address", address),
            }
        }
        let mut seen = BTreeSet::new();
        let mut resolved = Vec::new();
        for member in members {
            match Member::parse(member) {
                Some(parsed) if seen.insert((parsed.address, parsed.port)) => resolved.push(parsed),
                // Two pools name the same real server: the first one's weight counts.
                Some(_) => {}
                None => invalid("member", &format!("{}:{}", member.address, member.port)),
            }
        }
        let name: Arc<str> = plan.name.as_str().into();
        let service = ResolvedService {
            name: Arc::clone(&name),
            subject: Arc::new(subject(plan)),
            plan: plan.clone(),
            addresses,
            members: resolved,
        };
        self.resolved.insert(name, Arc::new(service));
    }
}

impl ResolvedService {
    /// The kernel's services that this one consists of: one for each VIP and port.
    pub fn keys(&self) -> impl Iterator<Item = ServiceKey> {
        self.addresses
            .iter()
            .flat_map(|&address| keys_of(address, &self.plan.ports))
    }

    /// The members that serve a key, each with the destination that it is there. DR and NAT need
    /// real servers of the VIP's family.
    pub fn destinations(
        &self,
        vip: IpAddr,
        frontend_port: u16,
    ) -> impl Iterator<Item = (DestinationKey, &Member)> {
        let translates_ports = self.plan.forwarding.method == ForwardingMethod::NAT;
        self.members
            .iter()
            .filter(move |member| member.address.is_ipv4() == vip.is_ipv4())
            .map(move |member| {
                let port = match member.port {
                    port if port != 0 && translates_ports => port,
                    _ => frontend_port,
                };
                (
                    DestinationKey {
                        address: member.address,
                        port,
                    },
                    member,
                )
            })
    }
}

impl Member {
    fn parse(plan: &MemberPlan) -> Option<Self> {
        Some(Self {
            address: plan.address.parse().ok()?,
            port: plan.port.try_into().ok()?,
            weight: plan.weight.try_into().ok()?,
            checked: plan.checked,
        })
    }
}

fn keys_of(address: IpAddr, ports: &[Port]) -> impl Iterator<Item = ServiceKey> {
    ports.iter().filter_map(move |port| {
        Some(ServiceKey::Address {
            protocol: match port.protocol {
                lvs_crds::v1alpha1::Protocol::TCP => Protocol::Tcp,
                lvs_crds::v1alpha1::Protocol::UDP => Protocol::Udp,
                lvs_crds::v1alpha1::Protocol::SCTP => Protocol::Sctp,
            },
            address,
            port: u16::try_from(port.port).ok()?,
        })
    })
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
