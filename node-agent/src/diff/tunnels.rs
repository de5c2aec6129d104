//! The ends of a real server's tunnels. Pure.

use super::Diff;
use crate::facts::Interface;
use crate::kernel::fou::FouKind;
use crate::observe::Observed;
use crate::op::{LinkState, Op};
use crate::ownership::Ownership;
use crate::plan::{Plan, Problem};

/// Adds the UDP ports that are missing, and sets the devices up, once their modules are loaded. What
/// is so already does as well, and stays whose it is.
pub(super) fn open(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    let Some(real_server) = &plan.real_server else {
        return;
    };
    for port in &real_server.tunnels.fou_ports {
        let Some(ports) = &observed.fou_ports else {
            let module = "fou";
            diff.problems.push(unsupported(module, "tunnel GUE"));
            diff.missing_modules.insert(module);
            break;
        };
        match ports.get(port) {
            Some(FouKind::Gue) => {}
            Some(FouKind::Direct) => diff.problems.push(Problem::of_node(format!(
                "tunnel GUE: another program takes {port} for FOU without GUE; delete it with: ip fou del {port}"
            ))),
            None => diff.before.push(Op::AddFouPort(*port)),
        }
    }
    for (name, device) in &real_server.tunnels.devices {
        match (observed.facts.named(name), device.module) {
            (Ok(interface), _) if interface.is_up => {}
            (Ok(interface), _) => diff.before.push(set(interface, true)),
            (Err(_), Some(module)) if observed.missing_modules.contains(&module) => {
                diff.problems
                    .push(unsupported(module.name(), &format!("tunnel device {name}")));
                diff.missing_modules.insert(module.name());
            }
            (Err(_), Some(module)) => diff.before.push(Op::LoadModule(module)),
            // The plan has a problem of its own about it.
            (Err(_), None) => {}
        }
    }
}

/// Sets down what we set up, and deletes the ports that we added. A device that has got somebody
/// else's IPv4 address is in use and stays up.
pub(super) fn close(plan: &Plan, observed: &Observed, ownership: &Ownership, diff: &mut Diff) {
    let Some(real_server) = &plan.real_server else {
        return;
    };
    let tunnels = &real_server.tunnels;
    for name in ownership.links() {
        if let Ok(interface) = observed.facts.named(name)
            && !tunnels.devices.contains_key(name)
            && interface.is_up
            && !is_used(interface, ownership)
        {
            diff.after.push(set(interface, false));
        }
    }
    for port in ownership.fou_ports() {
        let ports = observed.fou_ports.as_ref();
        let is_there = ports.is_some_and(|ports| ports.get(&port) == Some(&FouKind::Gue));
        if is_there && !tunnels.fou_ports.contains(&port) {
            diff.after.push(Op::DeleteFouPort(port));
        }
    }
}

/// Whether somebody else has given the device an IPv4 address.
pub(crate) fn is_used(interface: &Interface, ownership: &Ownership) -> bool {
    interface
        .own_addresses()
        .any(|own| own.address.is_ipv4() && !ownership.has_address(own.address, &interface.name))
}

fn set(interface: &Interface, is_up: bool) -> Op {
    Op::SetLink(LinkState {
        index: interface.index,
        name: interface.name.clone(),
        is_up,
    })
}

fn unsupported(module: &str, what: &str) -> Problem {
    Problem::unsupported(format!(
        "{what} of this real server needs the kernel module {module}, which is not loaded and cannot be loaded from here; \
         load it on this node: modprobe {module}, and for every boot name it in /etc/modules-load.d"
    ))
}

#[cfg(test)]
mod tests;
