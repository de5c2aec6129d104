//! Changed values in services that are resolved: a weight, a scheduler. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lvs_crds::v1alpha1::{PlanSliceSpec, ServicePlan};

use super::{ResolvedService, Services};
use crate::bundle::PlanBundle;
use crate::plan::pool::Pool;

impl Services {
    /// What a bundle resolves to that differs in values only from the one that this was resolved from,
    /// at a cost of what has changed. None where services, pools or keys come or go, or something is missing
    /// or not valid: then all is to be resolved.
    pub(super) fn patched(&self, bundle: &PlanBundle) -> Option<Self> {
        if !self.is_complete || !bundle.has_its_slices() {
            return None;
        }
        let slices = bundle.balanced();
        if !slices.keys().eq(self.slices.keys()) {
            return None;
        }
        let before_and_now: Vec<(&PlanSliceSpec, &PlanSliceSpec)> = self
            .slices
            .values()
            .zip(slices.values())
            .filter(|(before, now)| !Arc::ptr_eq(before, now))
            .map(|(before, now)| (before.as_ref(), now.as_ref()))
            .collect();
        let mut patched = self.clone();
        let replaced = patched.patch_pools(&before_and_now)?;
        let plans = changed_plans(&before_and_now)?;
        let uses_replaced = |service: &&Arc<ResolvedService>| {
            service
                .pools
                .iter()
                .any(|pool| replaced.contains(&Arc::as_ptr(pool)))
        };
        let affected: BTreeSet<&str> = self
            .resolved
            .values()
            .filter(uses_replaced)
            .map(|service| service.name.as_ref())
            .chain(plans.keys().copied())
            .collect();
        for name in affected {
            let before = self.resolved.get(name)?;
            let plan = plans.get(name).copied().unwrap_or(&before.plan);
            patched.patch_service(before, plan)?;
        }
        patched.slices = slices;
        Some(patched)
    }

    /// Takes in the pools that differ, and answers with those that they replace.
    fn patch_pools(
        &mut self,
        before_and_now: &[(&PlanSliceSpec, &PlanSliceSpec)],
    ) -> Option<BTreeSet<*const Pool>> {
        let mut replaced = BTreeSet::new();
        for (before, now) in before_and_now {
            if before.pools.len() != now.pools.len() {
                return None;
            }
            for (before, now) in before.pools.iter().zip(&now.pools) {
                if before == now {
                    continue;
                }
                let pool = Pool::parse(now);
                if before.name != now.name || !pool.invalid.is_empty() {
                    return None;
                }
                let known = self.pools.get_mut(now.name.as_str())?;
                replaced.insert(Arc::as_ptr(known));
                *known = Arc::new(pool);
            }
        }
        Some(replaced)
    }

    fn patch_service(&mut self, before: &Arc<ResolvedService>, plan: &ServicePlan) -> Option<()> {
        let pools = plan.pools.iter();
        let pools = pools.map(|name| self.pools.get(name.as_str()).cloned());
        let service = Arc::new(ResolvedService::new(plan, pools.collect::<Option<_>>()?));
        if !service.invalid.is_empty() || !service.keys().eq(before.keys()) {
            return None;
        }
        for key in service.keys() {
            // Another service may have it.
            if let Some(owner) = self.owners.get_mut(&key)
                && Arc::ptr_eq(owner, before)
            {
                *owner = Arc::clone(&service);
            }
        }
        self.resolved.insert(Arc::clone(&before.name), service);
        Some(())
    }
}

/// The services whose own settings differ, by name. None where they are not the same services.
fn changed_plans<'a>(
    before_and_now: &[(&'a PlanSliceSpec, &'a PlanSliceSpec)],
) -> Option<BTreeMap<&'a str, &'a ServicePlan>> {
    let mut plans = BTreeMap::new();
    for (before, now) in before_and_now {
        if before.services.len() != now.services.len() {
            return None;
        }
        for (before, now) in before.services.iter().zip(&now.services) {
            if before.name != now.name {
                return None;
            }
            if before != now {
                plans.insert(now.name.as_str(), now);
            }
        }
    }
    Some(plans)
}
