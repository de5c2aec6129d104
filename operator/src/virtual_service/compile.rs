//! No client: what the directors of every pair balance.

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::{AdminState, ForwardingMethod, MemberPlan, PoolPlan, ServicePlan};

use super::validate::{ServiceVerdicts, ValidatedService, vips};
use crate::{
    director_pair::validate::PairVerdicts,
    node::readiness::Readiness,
    world::{Current, World, key},
};

/// What one pair balances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairContent {
    /// Services by `namespace/name`.
    pub services: BTreeMap<String, ServicePlan>,
    /// Pools by name.
    pub pools: BTreeMap<String, Vec<MemberPlan>>,
}

/// What all pairs balance, and why some members wait.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// By name of the pair. A pair whose plan is frozen is not in it.
    pub pairs: BTreeMap<String, PairContent>,
    /// Real servers that a service holds at weight 0 until their loopback is ready, by service.
    pub waiting: BTreeMap<String, BTreeSet<String>>,
    /// VIPs of services that go on with their last plan although they are not accepted now.
    pub carried_vips: BTreeSet<String>,
}

/// Compiles every accepted virtual service of every accepted pair. One that is not accepted any
/// more keeps the plan that the directors have.
///
/// # Errors
/// When a digest cannot be made.
pub fn compile(
    world: &World,
    current: &Current<'_>,
    pairs: &PairVerdicts,
    services: &ServiceVerdicts,
    readiness: &Readiness,
) -> Result<Content, serde_json::Error> {
    let mut content = Content::default();
    for (name, verdict) in &pairs.pairs {
        if verdict.is_ok() {
            content.pairs.insert(name.clone(), PairContent::default());
        } else {
            for service in current.services_of(name) {
                content
                    .carried_vips
                    .extend(vips(service).iter().map(ToString::to_string));
            }
        }
    }
    for object in &world.services {
        let key = key(&**object);
        match services.get(&key) {
            Some(Ok(service)) => compile_service(service, current, readiness, &mut content)?,
            _ => carry_over(&key, current, &mut content),
        }
    }
    Ok(content)
}

fn compile_service(
    service: &ValidatedService,
    current: &Current<'_>,
    readiness: &Readiness,
    content: &mut Content,
) -> Result<(), serde_json::Error> {
    let Some(pair) = content.pairs.get_mut(&service.pair) else {
        return Ok(());
    };
    if service.disabled() {
        return Ok(());
    }
    let admitted = current.admitted(&service.key);
    let mut names = Vec::new();
    let mut waiting = BTreeSet::new();
    for pool in &service.pools {
        let mut held = BTreeSet::new();
        if service.object.spec.forwarding.method == ForwardingMethod::DR {
            for member in &pool.members {
                let Some(real_server) = &member.real_server else {
                    continue;
                };
                if member.plan.weight == 0
                    || admitted.contains(&(member.plan.address.as_str(), member.plan.port))
                    || readiness.ready(real_server, member.address, &service.addresses)
                {
                    continue;
                }
                held.insert(&member.plan);
                waiting.insert(real_server.key.clone());
            }
        }
        // Parts of a shared pool are in place already when another service uses it.
        for (name, members) in pool.parts(&held)? {
            if !names.contains(&name) {
                names.push(name.clone());
            }
            pair.pools.entry(name).or_insert(members);
        }
    }
    if !waiting.is_empty() {
        content.waiting.insert(service.key.clone(), waiting);
    }
    pair.services
        .insert(service.key.clone(), plan(service, names));
    Ok(())
}

fn plan(service: &ValidatedService, pools: Vec<String>) -> ServicePlan {
    let spec = &service.object.spec;
    ServicePlan {
        name: service.key.clone(),
        uid: service.object.metadata.uid.clone().unwrap_or_default(),
        instance: spec.instance.clone(),
        addresses: service.addresses.iter().map(ToString::to_string).collect(),
        ports: spec.frontend.ports.clone(),
        bind_addresses: spec.frontend.bind_addresses,
        firewall_mark: None,
        forwarding: spec.forwarding.clone(),
        scheduler: spec.scheduler.clone(),
        persistence: spec.persistence.clone(),
        health_check: spec.health_check.clone(),
        pools,
        quorum: spec.quorum.clone(),
        fallback: spec.fallback.clone(),
        drain: (spec.admin_state == AdminState::Drain).then(|| spec.drain.clone()),
    }
}

/// Keeps a service as the directors have it.
fn carry_over(key: &str, current: &Current<'_>, content: &mut Content) {
    let Some((pair_name, plan)) = current.service(key) else {
        return;
    };
    let Some(pair) = content.pairs.get_mut(pair_name) else {
        return;
    };
    for name in &plan.pools {
        if let Some(members) = current.pool(pair_name, name) {
            pair.pools
                .entry(name.clone())
                .or_insert_with(|| members.to_vec());
        }
    }
    content
        .carried_vips
        .extend(vips(plan).iter().map(ToString::to_string));
    pair.services.insert(key.to_owned(), plan.clone());
}

/// The pools of a pair as slices carry them.
pub fn pool_plans(content: &PairContent) -> impl Iterator<Item = PoolPlan> + '_ {
    content.pools.iter().map(|(name, members)| PoolPlan {
        name: name.clone(),
        members: members.clone(),
    })
}
