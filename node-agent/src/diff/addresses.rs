//! VIPs of a real server. Pure.

use super::Diff;
use crate::facts::{Interface, InterfaceAddress};
use crate::observe::Observed;
use crate::op::{LoopbackVip, Op};
use crate::ownership::Ownership;
use crate::plan::Plan;

/// Adds the VIPs that are missing. One that somebody else has put there does as well, and stays
/// theirs.
pub(super) fn add(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    let Some(real_server) = &plan.real_server else {
        return;
    };
    for vip in &real_server.addresses {
        let interface = observed.facts.interfaces.get(&vip.interface_index);
        let is_there = interface
            .into_iter()
            .flat_map(|interface| &interface.addresses)
            .any(|address| address.address == vip.address && address.is_permanent);
        if !is_there {
            diff.before.push(Op::AddAddress(vip.clone()));
        }
    }
}

/// Deletes those of ours that are not planned.
pub(super) fn delete(plan: &Plan, observed: &Observed, ownership: &Ownership, diff: &mut Diff) {
    let Some(real_server) = &plan.real_server else {
        return;
    };
    for interface in observed.facts.interfaces.values() {
        for address in &interface.addresses {
            if !is_ours(interface, address, ownership) {
                continue;
            }
            let is_planned = real_server.addresses.iter().any(|vip| {
                vip.interface_index == interface.index && vip.address == address.address
            });
            if !is_planned {
                diff.after.push(Op::DeleteAddress(LoopbackVip {
                    address: address.address,
                    prefix_length: address.prefix_length,
                    interface_index: interface.index,
                    interface_name: interface.name.clone(),
                }));
            }
        }
    }
}

/// A real server's VIPs are permanent, unlike a director's. A kernel that does not say who added an
/// address leaves that to our record.
fn is_ours(interface: &Interface, address: &InterfaceAddress, ownership: &Ownership) -> bool {
    let recorded = || ownership.has_address(address.address, &interface.name);
    address.is_permanent && (address.is_ours() || (address.protocol.is_none() && recorded()))
}
