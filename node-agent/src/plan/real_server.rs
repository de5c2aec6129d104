//! VIPs on a real server's loopback, the sysctls that keep it silent about them, and the ends of its
//! tunnels. Pure.

pub mod tunnels;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_crds::v1alpha1::RealServerRole;

use super::Problem;
use crate::facts::NodeFacts;
use crate::kernel::sysctls::Sysctl;
use crate::op::LoopbackVip;
use tunnels::Tunnels;

/// What a real server has of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RealServerPlan {
    /// VIPs.
    pub addresses: BTreeSet<LoopbackVip>,
    /// Sysctls and their values.
    pub sysctls: BTreeMap<Sysctl, String>,
    /// Ends of tunnels.
    pub tunnels: Tunnels,
}

/// The plan of a real server; an empty one for a node that is none.
///
/// # Errors
/// When an interface is not known. A VIP without ARP suppression would take the director's traffic
/// away, so nothing is done until it is.
pub fn plan(role: Option<&RealServerRole>, facts: &NodeFacts) -> Result<RealServerPlan, Problem> {
    let mut plan = RealServerPlan::default();
    let Some(role) = role else {
        return Ok(plan);
    };
    plan.tunnels = tunnels::plan(&role.tunnels, facts);
    for vip in &role.addresses {
        let problem = |error: &dyn std::fmt::Display| {
            Problem::of_node(format!("VIP {} of this real server: {error}", vip.address))
        };
        let address: IpAddr = vip
            .address
            .parse()
            .map_err(|error: std::net::AddrParseError| problem(&error))?;
        let interface = match facts.named(&vip.interface) {
            Ok(interface) => interface,
            // It is there once its module is loaded.
            Err(_) if plan.tunnels.devices.contains_key(&vip.interface) => continue,
            Err(error) => return Err(problem(&error)),
        };
        plan.addresses.insert(LoopbackVip {
            address,
            prefix_length: if address.is_ipv4() { 32 } else { 128 },
            interface_index: interface.index,
            interface_name: interface.name.clone(),
        });
        // Neighbour discovery does not answer for addresses of other interfaces; ARP does.
        if vip.suppress_arp && address.is_ipv4() {
            plan.sysctls.extend(arp_suppression(role, facts)?);
        }
    }
    for (name, device) in &plan.tunnels.devices {
        if device.accepts_any_source && facts.named(name).is_ok() {
            let sysctl = Sysctl::of_interface_ipv4(name, "rp_filter");
            plan.sysctls.insert(sysctl, LOOSE.to_owned());
            let address = plan.tunnels.address_of(name, facts, &plan.addresses);
            plan.addresses.extend(address);
        }
    }
    Ok(plan)
}

/// Value of `rp_filter`: packets from any address that the node has a route to.
const LOOSE: &str = "2";

/// The interface that ARP requests arrive on answers for its own addresses alone, and asks with its
/// own address (`Documentation/networking/ip-sysctl.rst`, `arp_ignore` and `arp_announce`). The
/// kernel uses the larger of this value and that of `conf/all`, which stays as it is.
fn arp_suppression(
    role: &RealServerRole,
    facts: &NodeFacts,
) -> Result<[(Sysctl, String); 2], Problem> {
    let problem = |error: &dyn std::fmt::Display| {
        Problem::of_node(format!(
            "ARP suppression for address {}: {error}",
            role.node_address
        ))
    };
    let address: IpAddr = role
        .node_address
        .parse()
        .map_err(|error: std::net::AddrParseError| problem(&error))?;
    let interface = facts
        .with_address(address)
        .map_err(|error| problem(&error))?;
    let setting = |name, value: &str| {
        (
            Sysctl::of_interface_ipv4(&interface.name, name),
            value.to_owned(),
        )
    };
    Ok([setting("arp_ignore", "1"), setting("arp_announce", "2")])
}

#[cfg(test)]
mod tests;
