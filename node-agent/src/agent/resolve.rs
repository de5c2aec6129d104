//! Takes in what is to be: a new plan, new results of checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use lvs_ipvs::{DestinationKey, ServiceKey};

use super::Agent;
use super::services::now_unix_seconds;
use crate::bundle::PlanBundle;
use crate::plan::members::{self, MemberKey};
use crate::plan::services::{ResolvedService, Services};
use crate::statistics::Names;

impl Agent {
    /// Takes in a new plan and new results of checks.
    pub(super) fn take_in(&mut self, bundle: &Arc<PlanBundle>) -> Result<(), lvs_ipvs::Error> {
        self.resolve(bundle)?;
        self.take_health();
        Ok(())
    }

    /// Resolves a new plan's services, tells the checks about them, and notes which services of the
    /// kernel are to be looked at for it.
    fn resolve(&mut self, bundle: &Arc<PlanBundle>) -> Result<(), lvs_ipvs::Error> {
        if is_taken_in(self.resolved.as_ref(), bundle) {
            return Ok(());
        }
        let services = Services::resolve(bundle, &self.services);
        let before = std::mem::replace(&mut self.services, services);
        if let Err(error) = self.follow_members(&before) {
            // The next pass finds the same differences.
            self.services = before;
            return Err(error);
        }
        self.resolved = Some(Arc::clone(bundle));
        self.refused_ops.clear();
        let (mut changed, mut weights) = (Vec::new(), Vec::new());
        for (key, owner) in self.services.keys_changed_since(&before) {
            changed.push(*key);
            let known = before.owners.get(key);
            if known.is_some_and(|known| owner.differs_in_weights_only(known)) {
                weights.push(*key);
            }
        }
        self.weights.extend(weights);
        self.todo.add(changed);
        Ok(())
    }

    /// Takes in whose the services of a new plan are.
    pub(super) fn claim_services(&mut self, bundle: &Arc<PlanBundle>) {
        if is_taken_in(self.claimed.as_ref(), bundle) {
            return;
        }
        self.claimed = Some(Arc::clone(bundle));
        self.ownership
            .claim_services(&self.services, now_unix_seconds());
        self.programming.follow(&self.services);
        let names = Names::of(&self.services);
        self.outputs.names.send_replace(Arc::new(names));
    }

    /// Tells the checks whom to check, if that has changed.
    fn follow_members(&mut self, before: &Services) -> Result<(), lvs_ipvs::Error> {
        let changed: Vec<Arc<ResolvedService>> =
            self.services.changed_since(before).cloned().collect();
        let is_same = |service: &ResolvedService| {
            let before = before.resolved.get(&service.name);
            before.is_some_and(|before| members::are_same(before, service))
        };
        // Then all names were there before: as many are all that were.
        let has_same_names = before.resolved.len() == self.services.resolved.len();
        if changed.iter().all(|service| is_same(service)) && has_same_names {
            return Ok(());
        }
        for service in &changed {
            let checked = members::checked(service);
            if checked.iter().any(|key| !self.up.contains_key(key)) {
                let weights = self.weights_of(service)?;
                let weight = |key: &ServiceKey, destination: &DestinationKey| {
                    weights.get(&(*key, *destination)).copied()
                };
                for (key, is_up) in members::initial_states(service, &weight) {
                    self.up.entry(key).or_insert(is_up);
                }
            }
        }
        let up = &self.up;
        let targets = members::targets(&self.services, &|member| {
            up.get(member).copied().unwrap_or_default()
        });
        self.up = targets
            .iter()
            .map(|target| {
                let is_up = self.up.get(&target.key).copied();
                (target.key.clone(), is_up.unwrap_or_default())
            })
            .collect();
        self.engine.set_targets(targets);
        Ok(())
    }

    /// The weights that the kernel has given to the members of a service.
    fn weights_of(
        &mut self,
        service: &ResolvedService,
    ) -> Result<BTreeMap<(ServiceKey, DestinationKey), u32>, lvs_ipvs::Error> {
        let mut weights = BTreeMap::new();
        if !self.has_ipvs {
            return Ok(weights);
        }
        for key in service.keys() {
            for found in self.kernel.ipvs.destinations(&key)? {
                let destination = found.destination;
                weights.insert((key, destination.key), destination.weight);
            }
        }
        Ok(weights)
    }

    /// Takes in new results of checks, and notes which services of the kernel are to be looked at
    /// for them.
    fn take_health(&mut self) {
        if !std::mem::take(&mut self.has_new_health) {
            return;
        }
        let mut changed: Vec<MemberKey> = Vec::new();
        for (member, health) in self.health.borrow().iter() {
            if let Some(up) = self.up.get_mut(member)
                && *up != health.up
            {
                *up = health.up;
                changed.push(member.clone());
            }
        }
        let names = changed.iter().map(|member| &member.service);
        let services = names.filter_map(|name| self.services.resolved.get(name));
        let keys: Vec<ServiceKey> = services.flat_map(|service| service.keys()).collect();
        self.weights.extend(&keys);
        self.todo.add(keys);
    }
}

/// Whether this very plan was the last one.
fn is_taken_in(last: Option<&Arc<PlanBundle>>, bundle: &Arc<PlanBundle>) -> bool {
    last.is_some_and(|last| Arc::ptr_eq(last, bundle))
}
