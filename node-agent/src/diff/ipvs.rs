//! IPVS services and destinations. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_ipvs::{Command, ServiceKey, TableEntry};

use super::Diff;
use crate::observe::Observed;
use crate::op::Op;
use crate::ownership::Ownership;
use crate::plan::Plan;
use crate::plan::ipvs::PlannedService;

/// Adds what is missing, then changes what differs. Weights are raised before others are lowered,
/// so that a pool whose servers swap their roles is never without one.
pub(super) fn add_and_set(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    let mut sets = Vec::new();
    let mut lowered = Vec::new();
    for (key, planned) in &plan.services {
        let entry = observed.table.as_ref().and_then(|table| table.get(key));
        match entry {
            None => push(
                &mut diff.before,
                Command::AddService(planned.service.clone()),
            ),
            Some(entry) if entry.service != planned.service => {
                push(&mut sets, Command::SetService(planned.service.clone()));
            }
            Some(_) => {}
        }
        destinations(*key, planned, entry, diff, &mut sets, &mut lowered);
    }
    diff.before.append(&mut sets);
    diff.before.append(&mut lowered);
}

fn destinations(
    service: ServiceKey,
    planned: &PlannedService,
    entry: Option<&TableEntry>,
    diff: &mut Diff,
    sets: &mut Vec<Op>,
    lowered: &mut Vec<Op>,
) {
    for (key, &destination) in &planned.destinations {
        let found = entry
            .and_then(|entry| entry.destination(key))
            .map(|found| found.destination);
        let set = |ops: &mut Vec<Op>| {
            push(
                ops,
                Command::SetDestination {
                    service,
                    destination,
                },
            );
        };
        match found {
            None => push(
                &mut diff.before,
                Command::AddDestination {
                    service,
                    destination,
                },
            ),
            Some(found) if found == destination => {}
            Some(found) if found.weight > destination.weight => set(lowered),
            Some(_) => set(sets),
        }
    }
}

/// Deletes destinations that our services should not have, then services of ours that are not
/// planned, unless this node still answers for their VIPs.
pub(super) fn delete(
    plan: &Plan,
    observed: &Observed,
    ownership: &Ownership,
    wanted_vips: &BTreeSet<IpAddr>,
    diff: &mut Diff,
) {
    let Some(table) = &observed.table else {
        return;
    };
    for (&service, planned) in &plan.services {
        let destinations = table
            .get(&service)
            .into_iter()
            .flat_map(|entry| &entry.destinations);
        for destination in destinations.map(|found| found.destination.key) {
            if !planned.destinations.contains_key(&destination) {
                push(
                    &mut diff.after,
                    Command::DeleteDestination {
                        service,
                        destination,
                    },
                );
            }
        }
    }
    for key in ownership.services() {
        if plan.services.contains_key(&key)
            || plan.untouched.contains(&key)
            || table.get(&key).is_none()
        {
            continue;
        }
        let ServiceKey::Address { address, .. } = key else {
            continue;
        };
        if !wanted_vips.contains(&address) && observed.facts.held_vips().any(|vip| vip == address) {
            diff.held.insert(address);
        } else {
            push(&mut diff.after, Command::DeleteService(key));
        }
    }
}

fn push(ops: &mut Vec<Op>, command: Command) {
    ops.push(Op::Ipvs(command));
}
