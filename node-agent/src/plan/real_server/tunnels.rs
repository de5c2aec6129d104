//! What takes the packets of directors out of their tunnels. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::{AddressFamily, TunnelPlan, TunnelType};

use crate::facts::NodeFacts;
use crate::kernel::fou::FouPort;
use crate::kernel::modules::Module;
use crate::op::LoopbackVip;
use crate::plan::Problem;

/// The receiving ends of tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnels {
    /// Devices that packets come out of, by name; each is to be up.
    pub devices: BTreeMap<String, Device>,
    /// UDP ports that GUE comes to.
    pub fou_ports: BTreeSet<FouPort>,
    /// What cannot be as planned.
    pub problems: Vec<Problem>,
}

/// A device that packets come out of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The module that makes it; none of one that the user has named.
    pub module: Option<Module>,
    /// Whether it lets packets in that come from anywhere: the agent sees to its `rp_filter`, and
    /// IPv4 comes out of it.
    pub accepts_any_source: bool,
}

/// The receiving ends of `plans`.
pub(super) fn plan(plans: &[TunnelPlan], facts: &NodeFacts) -> Tunnels {
    let mut tunnels = Tunnels::default();
    for plan in plans {
        if let Some(port) = fou_port(plan) {
            match port {
                Ok(port) => {
                    tunnels.fou_ports.insert(port);
                }
                Err(problem) => {
                    tunnels.problems.push(problem);
                    continue;
                }
            }
        }
        let (name, module) = match &plan.device {
            Some(name) => (name.as_str(), None),
            None => match module(plan) {
                Ok(module) => (module.device(), Some(module)),
                Err(problem) => {
                    tunnels.problems.push(problem);
                    continue;
                }
            },
        };
        if module.is_none()
            && let Err(error) = facts.named(name)
        {
            tunnels.problems.push(Problem::of_node(format!(
                "tunnel device of this real server: {error}; make it, or set spec.tunnel.device to Auto"
            )));
            continue;
        }
        let device = tunnels.devices.entry(name.to_owned()).or_default();
        device.module = device.module.or(module);
        device.accepts_any_source |= plan.manage_rp_filter && plan.inner == AddressFamily::IPv4;
    }
    tunnels.problems.dedup();
    tunnels
}

/// The module whose device the kernel gives the packets to. GUE's are those of IP in IP, once their
/// UDP header is off.
fn module(plan: &TunnelPlan) -> Result<Module, Problem> {
    use AddressFamily::{IPv4, IPv6};
    Ok(match (plan.type_, plan.inner, plan.outer) {
        (TunnelType::GRE, _, IPv4) => Module::IpGre,
        (TunnelType::GRE, _, IPv6) => Module::Ip6Gre,
        (_, IPv4, IPv4) => Module::Ipip,
        (_, IPv6, IPv4) => Module::Sit,
        (_, IPv6, IPv6) => Module::Ip6Tunnel,
        // `ip6tnl0` is of mode ip6ip6 and cannot be given another.
        (_, IPv4, IPv6) => {
            return Err(Problem::unsupported(format!(
                "tunnel {:?} of IPv4 in IPv6: the kernel has no device of its own for it; make one on this node (ip link \
                 add NAME type ip6tnl mode any local ADDRESS) and name it in spec.tunnel.device, or use GRE",
                plan.type_
            )));
        }
    })
}

fn fou_port(plan: &TunnelPlan) -> Option<Result<FouPort, Problem>> {
    if plan.type_ != TunnelType::GUE {
        return None;
    }
    let port = u16::try_from(plan.port).ok().filter(|port| *port != 0);
    Some(
        port.map(|port| FouPort {
            outer: plan.outer,
            port,
        })
        .ok_or_else(|| {
            Problem::invalid(format!(
                "tunnel GUE: port {} is none; 1 to 65535 is",
                plan.port
            ))
        }),
    )
}

impl Tunnels {
    /// The VIP that a device needs for itself, if none of `vips` is there already.
    ///
    /// A packet out of a tunnel has the client's address, and the way back to the client leads
    /// elsewhere. `rp_filter` 2 (loose) lets it in, and holds whatever `conf/all` is, since the
    /// larger of both counts; 0 would hold only while that is 0 too. But on a device without an
    /// IPv4 address 2 drops what is not routed through it (`__fib_validate_source` in
    /// `net/ipv4/fib_frontend.c`).
    pub(super) fn address_of(
        &self,
        name: &str,
        facts: &NodeFacts,
        vips: &BTreeSet<LoopbackVip>,
    ) -> Option<LoopbackVip> {
        let interface = facts.named(name).ok()?;
        let is_needed = self.devices.get(name)?.accepts_any_source
            && !vips
                .iter()
                .any(|vip| vip.interface_index == interface.index && vip.address.is_ipv4());
        let vip = vips.iter().find(|vip| vip.address.is_ipv4())?;
        is_needed.then(|| LoopbackVip {
            interface_index: interface.index,
            interface_name: interface.name.clone(),
            ..vip.clone()
        })
    }
}

#[cfg(test)]
mod tests;
