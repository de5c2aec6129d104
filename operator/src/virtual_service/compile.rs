//! No client: what the directors of every pair balance.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
};

use lvs_crds::v1alpha1::{AdminState, Forwarding, MemberPlan, PoolPlan, ServicePlan};

use super::{
    needs::{covers, needs},
    pools::{Member, Pool, UsedPool},
    validate::{ServiceVerdicts, ValidatedService, vips},
};
use crate::{
    digest,
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

/// What a virtual service waits for: real servers that are not ready for it. Nobody may send to a
/// host before it has the VIP, and none that gets connections already may lose them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Real servers at weight 0 until they are ready.
    pub members: BTreeSet<String>,
    /// Real servers that get connections and lack what the change of the service needs.
    pub others: BTreeSet<String>,
    /// New VIPs that the directors do not get until `others` have them.
    pub vips: BTreeSet<IpAddr>,
    /// The way of forwarding changes, so that the directors keep the whole service as it was until
    /// `others` are ready.
    pub forwarding: bool,
}

/// What all pairs balance, and what some of it waits for.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// By name of the pair. A pair whose plan is frozen is not in it.
    pub pairs: BTreeMap<String, PairContent>,
    /// By service.
    pub waiting: BTreeMap<String, Waiting>,
    /// VIPs of services that go on with their last plan although they are not accepted now, by pair.
    pub carried_vips: BTreeMap<String, BTreeSet<IpAddr>>,
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
            let carried = content.carried_vips.entry(name.clone()).or_default();
            carried.extend(current.services_of(name).flat_map(vips));
        }
    }
    let mut compiler = Compiler {
        current,
        readiness,
        newcomers: BTreeMap::new(),
    };
    let mut carried = Vec::new();
    for object in &world.services {
        let key = key(&**object);
        let has_plan = match services.get(&key) {
            Some(Ok(service)) => compiler.service(service, &mut content)?,
            _ => false,
        };
        if !has_plan {
            carried.push(key);
        }
    }
    // After the others, so that a pool which they share has what it should have now.
    for key in carried {
        carry_over(&key, current, &mut content)?;
    }
    Ok(content)
}

struct Compiler<'a> {
    current: &'a Current<'a>,
    readiness: &'a Readiness,
    /// Members of a pool that nobody sends to yet, by pair and pool: many services share few pools.
    newcomers: BTreeMap<(String, String), Rc<Vec<usize>>>,
}

impl Compiler<'_> {
    /// Compiles a service. False when the directors are to keep what they have of it.
    fn service(
        &mut self,
        service: &ValidatedService,
        content: &mut Content,
    ) -> Result<bool, serde_json::Error> {
        let Some(pair) = content.pairs.get_mut(&service.pair) else {
            return Ok(true);
        };
        if service.disabled() {
            return Ok(true);
        }
        let former = Former::new(self.current, service);
        let mut waiting = Waiting::default();
        let mut names = Vec::new();
        for used in &service.pools {
            let held = self.held(service, used, &former, &mut waiting);
            if held.is_empty() {
                let natural = used.pool.part_names();
                if !natural.iter().all(|name| pair.pools.contains_key(name)) {
                    pair.pools.extend(used.pool.parts(&held)?);
                }
                push_new(&mut names, natural);
            } else {
                let parts = used.pool.parts(&held)?;
                push_new(&mut names, parts.iter().map(|(name, _)| name.clone()));
                pair.pools.extend(parts);
            }
        }
        let compiled = !waiting.forwarding;
        if compiled {
            let plan = plan(service, names, &waiting);
            pair.services.insert(service.key.clone(), plan);
        }
        if waiting != Waiting::default() {
            content.waiting.insert(service.key.clone(), waiting);
        }
        Ok(compiled)
    }

    /// The members of a pool that are not ready for the service. What cannot be said of a member
    /// alone is noted in `waiting`.
    fn held<'p>(
        &mut self,
        service: &ValidatedService,
        used: &'p UsedPool,
        former: &Former<'_>,
        waiting: &mut Waiting,
    ) -> BTreeSet<&'p MemberPlan> {
        let mut held = BTreeSet::new();
        if !used.forwarding.method.keeps_destination() {
            return held;
        }
        let pool = &*used.pool;
        if former.has_settled(used) {
            for index in &*self.newcomers(&service.pair, pool) {
                if let Some(member) = pool.members.get(*index) {
                    self.hold(service, used, member, &mut held, waiting);
                }
            }
            return held;
        }
        let members = former.members(self.current);
        for member in pool.members.iter().filter(|member| member.plan.weight > 0) {
            let Some(real_server) = &member.real_server else {
                continue;
            };
            let Some(forwarding) = members.get(&(member.plan.address.as_str(), member.plan.port))
            else {
                self.hold(service, used, member, &mut held, waiting);
                continue;
            };
            if !self.readiness.expected(real_server) {
                continue;
            }
            let covered = covers(forwarding, &used.forwarding);
            let vips = if covered {
                &former.new_vips
            } else {
                &service.addresses
            };
            let needs = needs(service, used, vips, &member.address);
            if !self.readiness.ready(real_server, &needs) {
                waiting.others.insert(real_server.key.clone());
                waiting.vips.extend(needs.vips.iter().filter(|_| covered));
                waiting.forwarding |= !covered;
            }
        }
        held
    }

    /// Holds a member that gets no connections yet, unless it is ready.
    fn hold<'p>(
        &self,
        service: &ValidatedService,
        used: &UsedPool,
        member: &'p Member,
        held: &mut BTreeSet<&'p MemberPlan>,
        waiting: &mut Waiting,
    ) {
        let Some(real_server) = &member.real_server else {
            return;
        };
        let needs = needs(service, used, &service.addresses, &member.address);
        if !self.readiness.ready(real_server, &needs) {
            held.insert(&member.plan);
            waiting.members.insert(real_server.key.clone());
        }
    }

    /// Members with a weight that the pool in the slices does not give one.
    fn newcomers(&mut self, pair: &str, pool: &Pool) -> Rc<Vec<usize>> {
        let current = self.current;
        let found = self
            .newcomers
            .entry((pair.to_owned(), pool.name.clone()))
            .or_insert_with(|| {
                let names = pool.part_names();
                let admitted: BTreeSet<(&str, i32)> = names
                    .iter()
                    .filter_map(|name| current.pool(pair, name))
                    .flatten()
                    .filter(|member| member.weight > 0)
                    .map(|member| (member.address.as_str(), member.port))
                    .collect();
                let members = pool.members.iter().enumerate();
                let new = members.filter(|(_, member)| {
                    let plan = &member.plan;
                    plan.weight > 0 && !admitted.contains(&(plan.address.as_str(), plan.port))
                });
                Rc::new(new.map(|(index, _)| index).collect())
            });
        Rc::clone(found)
    }
}

/// What the directors carry of a service at present.
struct Former<'a> {
    plan: Option<(&'a str, &'a ServicePlan)>,
    /// VIPs that it asks for and does not have.
    new_vips: Vec<IpAddr>,
    /// It asks for no other VIPs and no other forwarding than it has.
    is_settled: bool,
}

impl<'a> Former<'a> {
    fn new(current: &'a Current<'_>, service: &ValidatedService) -> Self {
        let plan = current
            .service(&service.key)
            .filter(|(pair, _)| *pair == service.pair);
        let has = plan.map(|(_, plan)| vips(plan)).unwrap_or_default();
        let new_vips: Vec<IpAddr> = service
            .addresses
            .iter()
            .copied()
            .filter(|vip| !has.contains(vip))
            .collect();
        let is_settled = new_vips.is_empty()
            && plan.is_some_and(|(_, plan)| plan.forwarding == service.object.spec.forwarding);
        Self {
            plan,
            new_vips,
            is_settled,
        }
    }

    /// Whether it uses the pool in the same way already.
    fn has_settled(&self, used: &UsedPool) -> bool {
        self.is_settled
            && self.plan.is_some_and(|(_, plan)| {
                let names = used.pool.part_names();
                names.iter().all(|name| plan.pools.contains(name))
            })
    }

    /// Members that get connections by address and port, with the way that packets reach them.
    fn members(&self, current: &'a Current<'_>) -> BTreeMap<(&'a str, i32), &'a Forwarding> {
        let Some((pair, plan)) = self.plan else {
            return BTreeMap::new();
        };
        plan.pools
            .iter()
            .filter_map(|pool| current.pool(pair, pool))
            .flatten()
            .filter(|member| member.weight > 0)
            .map(|member| {
                let forwarding = member.forwarding.as_ref().unwrap_or(&plan.forwarding);
                ((member.address.as_str(), member.port), forwarding)
            })
            .collect()
    }
}

/// Adds names that are not there yet: two pools of a service may have one source.
fn push_new(names: &mut Vec<String>, new: impl IntoIterator<Item = String>) {
    for name in new {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

fn plan(service: &ValidatedService, pools: Vec<String>, waiting: &Waiting) -> ServicePlan {
    let spec = &service.object.spec;
    ServicePlan {
        name: service.key.clone(),
        uid: service.object.metadata.uid.clone().unwrap_or_default(),
        instance: spec.instance.clone(),
        addresses: service
            .addresses
            .iter()
            .filter(|vip| !waiting.vips.contains(vip))
            .map(ToString::to_string)
            .collect(),
        ports: spec.frontend.ports.clone(),
        bind_addresses: spec.frontend.bind_addresses,
        firewall_mark: service.mark.clone(),
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
fn carry_over(
    key: &str,
    current: &Current<'_>,
    content: &mut Content,
) -> Result<(), serde_json::Error> {
    let Some((pair_name, plan)) = current.service(key) else {
        return Ok(());
    };
    let Some(pair) = content.pairs.get_mut(pair_name) else {
        return Ok(());
    };
    let mut plan = plan.clone();
    for name in &mut plan.pools {
        let Some(members) = current.pool(pair_name, name) else {
            continue;
        };
        // Others go on with the pool: new members of it know nothing of this service.
        if pair
            .pools
            .get(name)
            .is_some_and(|present| present != members)
        {
            *name = digest::of(&(&name, key))?;
        }
        pair.pools
            .entry(name.clone())
            .or_insert_with(|| members.to_vec());
    }
    let carried = content.carried_vips.entry(pair_name.to_owned());
    carried.or_default().extend(vips(&plan));
    pair.services.insert(key.to_owned(), plan);
    Ok(())
}

/// The pools of a pair as slices carry them.
pub fn pool_plans(content: &PairContent) -> impl Iterator<Item = PoolPlan> + '_ {
    content.pools.iter().map(|(name, members)| PoolPlan {
        name: name.clone(),
        members: members.clone(),
    })
}
