//! No client: the status of a real server.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use lvs_crds::v1alpha1::{
    LoopbackMode, RealServer, RealServerAdminState, RealServerStatus,
    condition::{self, reason},
};

use super::validate::ValidatedRealServer;
use crate::{
    conditions::{Conditions, Finding, accepted, held, status_of},
    director_pair::observe::PairReport,
    node::readiness::{applied, confirmed},
    pipeline::{Plans, Verdicts},
    rejection::Rejection,
    virtual_service::pools::UsedPool,
    world::{Current, World, key},
};

/// Reason: a node would need more VIPs or tunnels than its plan can hold.
const TOO_MANY_ADDRESSES: &str = "TooManyAddresses";

/// How virtual services use real servers, by `namespace/name` of the real server.
#[derive(Debug)]
pub struct Usage<'a> {
    reports: &'a BTreeMap<String, PairReport<'a>>,
    services: BTreeMap<String, i32>,
    failures: BTreeMap<String, String>,
    /// By namespace and address.
    carriers: BTreeMap<(&'a str, &'a str), Carriers<'a>>,
}

/// Who balances to an address.
#[derive(Debug, Default)]
struct Carriers<'a> {
    pairs: BTreeSet<&'a str>,
    /// Whether one of them gives it a weight.
    weighted: bool,
}

impl<'a> Usage<'a> {
    /// Counts virtual services, and finds what the Active Routers' checks say of each address.
    #[must_use]
    pub fn new(
        current: &Current<'a>,
        verdicts: &Verdicts,
        reports: &'a BTreeMap<String, PairReport<'a>>,
    ) -> Self {
        let mut failures = BTreeMap::new();
        for ((_, service), backends) in reports.values().flat_map(|report| &report.unhealthy) {
            for backend in backends {
                failures.entry(backend.address.clone()).or_insert_with(|| {
                    format!(
                        "port {} of VirtualService {service}: {}",
                        backend.port, backend.reason
                    )
                });
            }
        }
        // Many services share few pools: count by pool first.
        let mut shared: BTreeMap<&str, (i32, Vec<&str>)> = BTreeMap::new();
        let mut services: BTreeMap<String, i32> = BTreeMap::new();
        for service in verdicts
            .services
            .values()
            .flatten()
            .filter(|service| !service.disabled())
        {
            if let [pool] = service.pools.as_slice() {
                let entry = shared
                    .entry(&pool.pool.name)
                    .or_insert_with(|| (0, members(pool).collect()));
                entry.0 += 1;
            } else {
                let keys: BTreeSet<&str> = service.pools.iter().flat_map(members).collect();
                for key in keys {
                    *services.entry(key.to_owned()).or_default() += 1;
                }
            }
        }
        for (count, keys) in shared.into_values() {
            for key in keys.into_iter().collect::<BTreeSet<_>>() {
                *services.entry(key.to_owned()).or_default() += count;
            }
        }
        let mut pools = BTreeSet::new();
        let mut carriers: BTreeMap<(&str, &str), Carriers<'_>> = BTreeMap::new();
        for (key, pair, service) in current.services() {
            let namespace = namespace(key);
            for pool in &service.pools {
                if !pools.insert((namespace, pair, pool)) {
                    continue;
                }
                for member in current.pool(pair, pool).into_iter().flatten() {
                    let carriers = carriers.entry((namespace, &member.address)).or_default();
                    carriers.pairs.insert(pair);
                    carriers.weighted |= member.weight > 0;
                }
            }
        }
        Self {
            reports,
            services,
            failures,
            carriers,
        }
    }

    /// Why an address may have connections still.
    fn remaining(&self, namespace_of_it: &str, address: &str, held: bool) -> Option<Finding> {
        let carriers = self.carriers.get(&(namespace_of_it, address));
        if carriers.is_some_and(|carriers| carriers.weighted) {
            return Some(Finding::no(
                reason::PENDING,
                format!("a virtual service gives {address} a weight still"),
            ));
        }
        self.reports
            .iter()
            // Which pairs had an address that is in no plan any more, nothing tells.
            .filter(|(pair, _)| {
                carriers.is_none_or(|carriers| carriers.pairs.contains(pair.as_str()))
            })
            .find_map(|(pair, report)| {
                report.remaining(pair, held, |server| {
                    server.address == address
                        && namespace(&server.virtual_service) == namespace_of_it
                })
            })
    }
}

/// The namespace of `namespace/name`.
fn namespace(key: &str) -> &str {
    key.split_once('/').map_or("", |(namespace, _)| namespace)
}

fn members(used: &UsedPool) -> impl Iterator<Item = &str> {
    used.pool
        .members
        .iter()
        .filter_map(|member| member.real_server.as_ref())
        .map(|real_server| real_server.key.as_str())
}

/// The status that a real server should have, beside the `old` one.
#[must_use]
pub fn status(
    world: &World,
    real_server: &RealServer,
    old: Option<&RealServerStatus>,
    verdict: Option<&Result<Arc<ValidatedRealServer>, Rejection>>,
    plans: &Plans,
    usage: &Usage<'_>,
    now: Timestamp,
) -> RealServerStatus {
    let generation = real_server.metadata.generation.unwrap_or_default();
    let old_conditions = old
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let mut conditions = Conditions::new(generation, now);
    let valid = match verdict {
        Some(Ok(valid)) => Some(valid),
        _ => None,
    };
    let (acceptance, resolution) = if let Some(Err(rejection)) = verdict {
        let finding = Finding::no(rejection.reason, rejection.message.clone());
        (finding.clone(), finding)
    } else {
        (
            accepted(),
            Finding::yes(reason::AS_EXPECTED, "its address is known"),
        )
    };
    conditions.set(condition::ACCEPTED, acceptance);
    conditions.set(condition::RESOLVED, resolution);
    let services = usage
        .services
        .get(&key(real_server))
        .copied()
        .unwrap_or_default();
    let mut needed = vec![condition::ACCEPTED, condition::RESOLVED];
    if let Some(valid) = valid {
        if let Some((loopback, arp)) = loopback(world, plans, valid, old_conditions) {
            conditions.set(condition::LOOPBACK_CONFIGURED, loopback);
            conditions.set(condition::ARP_SUPPRESSED, arp);
            needed.extend([condition::LOOPBACK_CONFIGURED, condition::ARP_SUPPRESSED]);
        }
        let health = health(valid, services, usage);
        if health.status == Some(false) {
            needed.push(condition::HEALTHY);
        }
        conditions.set(condition::HEALTHY, health);
        let was_drained = held(old_conditions, condition::DRAINED, generation);
        if let Some(drained) = drained(valid, usage, was_drained) {
            conditions.set(condition::DRAINED, drained);
        }
    }
    conditions.summarize(&needed, Finding::yes(reason::AS_EXPECTED, "it can serve"));
    RealServerStatus {
        observed_generation: generation,
        resolved_address: valid
            .and_then(|valid| valid.addresses.first())
            .map(ToString::to_string),
        virtual_services: services,
        conditions: conditions.finish(old_conditions),
    }
}

/// `LoopbackConfigured` and `ARPSuppressed`; nothing where no VIP is wanted.
fn loopback(
    world: &World,
    plans: &Plans,
    real_server: &ValidatedRealServer,
    old: &[Condition],
) -> Option<(Finding, Finding)> {
    match real_server.loopback {
        LoopbackMode::Disabled => None,
        LoopbackMode::External => {
            let finding = Finding::yes(
                reason::EXTERNAL,
                "left to whoever runs the host, as spec.loopback.mode says",
            );
            Some((finding.clone(), finding))
        }
        LoopbackMode::Managed => {
            let node = real_server.node.as_deref().unwrap_or_default();
            if let Some(excess) = plans.overfull.get(node) {
                let finding = Finding::no(TOO_MANY_ADDRESSES, format!("Node {node}: {excess}"));
                return Some((finding.clone(), finding));
            }
            let desired = plans
                .nodes
                .plans
                .get(node)
                .and_then(|plan| plan.real_server.as_ref());
            let present = world.node_plans.get(node);
            let up_to_date = present.is_some_and(|plan| plan.spec.real_server.as_ref() == desired);
            let finding = |type_: &str, done: &str| {
                let reported = present.filter(|_| up_to_date).and_then(|plan| {
                    confirmed(plan, type_).or_else(|| applied(plan).then(|| (true, String::new())))
                });
                match reported {
                    Some((true, _)) => Finding::yes(reason::AS_EXPECTED, done),
                    Some((false, message)) => Finding::no(
                        reason::KERNEL_ERROR,
                        format!("the agent on {node} says: {message}"),
                    ),
                    // The agent is at work, on something else than these VIPs.
                    None if up_to_date && status_of(old, type_) == Some("True") => {
                        Finding::yes(reason::AS_EXPECTED, done)
                    }
                    None => Finding::no(
                        reason::PENDING,
                        format!(
                            "waiting for the agent on {node}; kubectl get nodeplan {node} shows how \
                             far it is"
                        ),
                    ),
                }
            };
            let arp = if real_server.suppress_arp {
                finding(
                    condition::ARP_SUPPRESSED,
                    "it does not answer ARP for the VIPs",
                )
            } else {
                Finding::yes(
                    reason::EXTERNAL,
                    "left to whoever runs the host, as spec.loopback.arpSuppression says",
                )
            };
            Some((
                finding(condition::LOOPBACK_CONFIGURED, "its loopback has the VIPs"),
                arp,
            ))
        }
    }
}

fn health(real_server: &ValidatedRealServer, services: i32, usage: &Usage<'_>) -> Finding {
    let failure = real_server
        .addresses
        .iter()
        .find_map(|address| usage.failures.get(&address.to_string()));
    match (failure, real_server.admin_state) {
        (_, RealServerAdminState::Disabled) => {
            Finding::unknown(reason::DISABLED, "adminState is Disabled: it is in no pool")
        }
        (_, RealServerAdminState::Maintenance) => Finding::unknown(
            reason::MAINTENANCE,
            "adminState is Maintenance: nobody checks it",
        ),
        _ if services == 0 => Finding::unknown(
            "NotInUse",
            "no virtual service selects it; look at its labels",
        ),
        (Some(failure), _) => Finding::no("CheckFailed", failure.clone()),
        (None, _) => Finding::yes(reason::AS_EXPECTED, "no check of the Active Router fails"),
    }
}

fn drained(real_server: &ValidatedRealServer, usage: &Usage<'_>, held: bool) -> Option<Finding> {
    let (reason, state) = match real_server.admin_state {
        RealServerAdminState::Enabled => return None,
        RealServerAdminState::Drain => (reason::DRAINING, "Drain"),
        RealServerAdminState::Maintenance => (reason::MAINTENANCE, "Maintenance"),
        RealServerAdminState::Disabled => (reason::DISABLED, "Disabled"),
    };
    let remaining = real_server
        .addresses
        .iter()
        .find_map(|address| usage.remaining(&real_server.namespace, &address.to_string(), held));
    Some(match remaining {
        Some(finding) => Finding {
            message: format!("adminState is {state}: {}", finding.message),
            ..finding
        },
        None => Finding::yes(
            reason,
            format!("adminState is {state}: no director has connections to it"),
        ),
    })
}
