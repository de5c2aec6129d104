//! No client: which firewall mark a virtual service gets.
//!
//! A mark must be unique among the virtual services of a pair and address family, because it is what
//! IPVS finds the service by. A service without a mark of its own keeps the one that it has, or gets
//! the first free one from a place that its name decides.

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::{
    FirewallMark, MarkPlan, MarkRules, VirtualService, condition::reason, frontend::ALLOCATED_MARKS,
};

use crate::{
    digest,
    rejection::Rejection,
    world::{Current, World, key},
};

/// Hands out marks to virtual services.
#[derive(Debug, Default)]
pub struct Allocator {
    /// By pair: marks that are in use or that a specification names, never handed out anew.
    taken: BTreeMap<String, BTreeSet<i32>>,
    /// By `namespace/name`: the mark that a service has.
    recorded: BTreeMap<String, i32>,
}

impl Allocator {
    /// An allocator that knows which marks specifications name, and plans and statuses record.
    #[must_use]
    pub fn new(world: &World, current: &Current<'_>) -> Self {
        let mut allocator = Self::default();
        for service in &world.services {
            let Some(wanted) = &service.spec.frontend.firewall_mark else {
                continue;
            };
            let key = key(&**service);
            let pair = &service.spec.director_pair_ref.name;
            let recorded = recorded(service, &key, current);
            let taken = allocator.taken.entry(pair.clone()).or_default();
            taken.extend(wanted.mark);
            taken.extend(recorded);
            if let Some(mark) = recorded {
                allocator.recorded.insert(key, mark);
            }
        }
        allocator
    }

    /// The mark of a virtual service. It is in use from now on.
    ///
    /// # Errors
    /// `MarkConflict` when none is left.
    pub fn allocate(
        &mut self,
        service: &VirtualService,
        wanted: &FirewallMark,
    ) -> Result<MarkPlan, Rejection> {
        let plan = |mark| MarkPlan {
            mark,
            family: wanted.family,
            managed: wanted.rules == MarkRules::Managed,
        };
        if let Some(mark) = wanted.mark {
            return Ok(plan(mark));
        }
        let key = key(service);
        if let Some(mark) = self.recorded.get(&key) {
            return Ok(plan(*mark));
        }
        let pair = &service.spec.director_pair_ref.name;
        let taken = self.taken.entry(pair.clone()).or_default();
        let (first, last) = (*ALLOCATED_MARKS.start(), *ALLOCATED_MARKS.end());
        let count = u64::try_from(last - first + 1).unwrap_or(1);
        // Less than the number of marks, which an i32 holds.
        let start = i32::try_from(digest::number(&key) % count).unwrap_or_default();
        let free = (first + start..=last)
            .chain(first..first + start)
            .find(|mark| !taken.contains(mark));
        let Some(mark) = free else {
            return Err(Rejection::new(
                reason::MARK_CONFLICT,
                format!(
                    "spec.frontend.firewallMark: all marks from {first} to {last} are in use on \
                     DirectorPair {pair}; set mark to another number"
                ),
            ));
        };
        taken.insert(mark);
        Ok(plan(mark))
    }
}

/// The mark that a service was given before, as its plan or its status says.
fn recorded(service: &VirtualService, key: &str, current: &Current<'_>) -> Option<i32> {
    let planned = current
        .service(key)
        .filter(|(_, plan)| Some(&plan.uid) == service.metadata.uid.as_ref())
        .and_then(|(_, plan)| plan.firewall_mark.as_ref())
        .map(|plan| plan.mark);
    let told = || service.status.as_ref()?.firewall_mark;
    planned
        .or_else(told)
        .filter(|mark| ALLOCATED_MARKS.contains(mark))
}
