//! Services of ours that the plan does not have any more. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_ipvs::{Command, ServiceKey};

use crate::facts::NodeFacts;
use crate::ownership::Ownership;
use crate::plan::services::Services;

/// What is to be deleted, and what holds that up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Services to delete.
    pub commands: Vec<Command>,
    /// VIPs of services that are to go, which this node still answers for. Their services stay until
    /// VRRP has removed the VIPs, and everything else that is to go stays with them.
    pub held: BTreeSet<IpAddr>,
}

/// Which services of ours go. `is_there` says what the kernel has; `wanted_vips` are the VIPs that
/// VRRP is to have from now on.
#[must_use]
pub fn services(
    services: &Services,
    ownership: &Ownership,
    is_there: &dyn Fn(&ServiceKey) -> bool,
    facts: &NodeFacts,
    wanted_vips: &BTreeSet<IpAddr>,
) -> Release {
    let mut release = Release::default();
    let held: BTreeSet<IpAddr> = facts
        .held_vips()
        .filter(|vip| !wanted_vips.contains(vip))
        .collect();
    for (key, vips) in ownership.services() {
        if services.owners.contains_key(key)
            || services.untouched.contains_key(key)
            || !is_there(key)
        {
            continue;
        }
        let own = match key {
            ServiceKey::Address { address, .. } => Some(address),
            ServiceKey::Mark { .. } => None,
        };
        let mut still_held = own.into_iter().chain(vips).filter(|vip| held.contains(vip));
        match still_held.next() {
            Some(vip) => {
                release.held.insert(*vip);
                release.held.extend(still_held);
            }
            None => release.commands.push(Command::DeleteService(*key)),
        }
    }
    release
}
