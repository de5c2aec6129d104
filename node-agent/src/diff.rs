//! What has to change: `Plan × Observed → ordered ops`. Pure.
//!
//! The order is a contract. Before the VIPs are handed to VRRP: sysctls, then a real server's VIPs,
//! then its tunnels; IPVS services and destinations are added, then changed; daemons are started. After it: IPVS
//! destinations and services are deleted, daemons stopped, a real server's tunnels closed and its
//! VIPs deleted, and sysctls put back. So nothing is announced that is not served, and no pool is empty in between.

pub mod addresses;
pub mod daemons;
pub mod ipvs;
pub mod sysctls;
pub mod tunnels;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::observe::Observed;
use crate::op::Op;
use crate::ownership::Ownership;
use crate::plan::{Plan, Problem};

/// The changes that lead from what was observed to the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What is done before the VIPs are handed to VRRP.
    pub before: Vec<Op>,
    /// What is done after it.
    pub after: Vec<Op>,
    /// VIPs of services that are to go, which this node still answers for. Their services stay until
    /// VRRP has removed the VIPs, and everything else that is to go stays with them.
    pub held: BTreeSet<IpAddr>,
    /// What cannot be changed because it belongs to somebody else.
    pub problems: Vec<Problem>,
}

impl Diff {
    /// All ops, in order.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.before.iter().chain(&self.after)
    }

    /// Whether the kernel equals the plan.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && self.held.is_empty()
    }
}

/// Compares. `wanted_vips` are the VIPs that VRRP is to have from now on.
#[must_use]
pub fn diff(
    plan: &Plan,
    observed: &Observed,
    ownership: &Ownership,
    wanted_vips: &BTreeSet<IpAddr>,
) -> Diff {
    let mut diff = Diff::default();
    sysctls::set(plan, observed, &mut diff);
    addresses::add(plan, observed, &mut diff);
    tunnels::open(plan, observed, &mut diff);
    ipvs::add_and_set(plan, observed, &mut diff);
    daemons::start(plan, observed, ownership, &mut diff);

    ipvs::delete(plan, observed, ownership, wanted_vips, &mut diff);
    // While traffic still comes to a VIP that is to go, all that serves it stays.
    if diff.held.is_empty() {
        daemons::stop(plan, observed, ownership, &mut diff);
        tunnels::close(plan, observed, ownership, &mut diff);
        addresses::delete(plan, observed, ownership, &mut diff);
        sysctls::put_back(plan, observed, ownership, &mut diff);
    }
    diff
}

#[cfg(test)]
mod tests;
