//! What has to change: plan × observed → ordered ops. Pure.
//!
//! The order is a contract. Before the VIPs are handed to VRRP: sysctls, then a real server's VIPs,
//! then its tunnels; IPVS services one by one, in each of them additions before the rest; then
//! timeouts and daemons. After it: IPVS services are deleted, daemons stopped, a real server's tunnels
//! closed and its VIPs deleted, and what was there before us is put back. So nothing is announced that
//! is not served, and no pool is empty in between.

pub mod addresses;
pub mod daemons;
pub mod ipvs;
pub mod marks;
pub mod release;
pub mod sysctls;
pub mod timeouts;
pub mod tunnels;

use std::collections::BTreeSet;

use crate::observe::Observed;
use crate::op::Op;
use crate::ownership::Ownership;
use crate::plan::{Plan, Problem};

/// The changes that lead from what was observed to the plan, IPVS services excepted: those are
/// compared one by one ([`ipvs`]) and deleted together ([`release`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What comes before the services.
    pub before: Vec<Op>,
    /// What comes when the services are there, before the VIPs are handed to VRRP.
    pub with_services: Vec<Op>,
    /// What comes when the services that are to go have gone.
    pub after: Vec<Op>,
    /// Modules that are needed and that the kernel has not loaded.
    pub missing_modules: BTreeSet<&'static str>,
    /// What cannot be changed because it belongs to somebody else, or to nobody.
    pub problems: Vec<Problem>,
}

impl Diff {
    /// All ops, in order.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.before
            .iter()
            .chain(&self.with_services)
            .chain(&self.after)
    }

    /// Whether the kernel equals the plan.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops().next().is_none()
    }
}

/// Compares.
#[must_use]
pub fn diff(plan: &Plan, observed: &Observed, ownership: &Ownership) -> Diff {
    let mut diff = Diff::default();
    sysctls::set(plan, observed, &mut diff);
    sysctls::check(plan, observed, &mut diff);
    addresses::add(plan, observed, &mut diff);
    tunnels::open(plan, observed, &mut diff);
    marks::add(plan, observed, &mut diff);

    timeouts::set(plan, observed, &mut diff);
    daemons::start(plan, observed, ownership, &mut diff);

    marks::delete(plan, observed, &mut diff);
    daemons::stop(plan, observed, ownership, &mut diff);
    tunnels::close(plan, observed, ownership, &mut diff);
    addresses::delete(plan, observed, ownership, &mut diff);
    sysctls::put_back(plan, observed, ownership, &mut diff);
    timeouts::put_back(plan, observed, ownership, &mut diff);
    diff
}

#[cfg(test)]
mod tests;
