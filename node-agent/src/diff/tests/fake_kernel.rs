//! A model of the kernel for the properties.

use lvs_ipvs::Command;

use crate::facts::{Interface, InterfaceAddress};
use crate::kernel::fou::FouKind;
use crate::observe::Observed;
use crate::op::{LoopbackVip, Op};
use crate::vrrp::addresses::ADDRESS_PROTOCOL;

/// A kernel that does what it is told.
#[derive(Clone, Debug, Default)]
pub(in crate::diff) struct FakeKernel(pub(in crate::diff) Observed);

impl FakeKernel {
    pub(in crate::diff) fn apply(&mut self, op: &Op) {
        match op {
            Op::SetSysctl { sysctl, value } => {
                self.0.sysctls.insert(sysctl.clone(), value.clone());
            }
            Op::AddAddress(vip) => {
                let ours = InterfaceAddress {
                    address: vip.address,
                    prefix_length: vip.prefix_length,
                    protocol: Some(ADDRESS_PROTOCOL),
                    is_permanent: true,
                };
                self.addresses(vip).push(ours);
            }
            Op::DeleteAddress(vip) => {
                self.addresses(vip)
                    .retain(|address| address.address != vip.address);
            }
            Op::LoadModule(module) => {
                let index = 100 + *module as u32;
                let device = Interface {
                    index,
                    name: module.device().to_owned(),
                    is_loopback: false,
                    is_up: false,
                    addresses: Vec::new(),
                };
                self.0.facts.interfaces.insert(index, device);
            }
            Op::SetLink(link) => {
                let interface = self.0.facts.interfaces.get_mut(&link.index);
                interface.expect("an interface").is_up = link.is_up;
            }
            Op::AddFouPort(port) => {
                let ports = self.0.fou_ports.as_mut().expect("FOU");
                assert_eq!(ports.insert(*port, FouKind::Gue), None, "{port}");
            }
            Op::DeleteFouPort(port) => {
                let ports = self.0.fou_ports.as_mut().expect("FOU");
                assert_eq!(ports.remove(port), Some(FouKind::Gue), "{port}");
            }
            Op::Ipvs(Command::StartDaemon(daemon)) => {
                let mut running = self.0.daemons.iter();
                assert!(running.all(|running| running.role != daemon.role));
                self.0.daemons.push(daemon.clone());
            }
            Op::Ipvs(Command::StopDaemon(role)) => {
                self.0.daemons.retain(|running| running.role != *role);
            }
            Op::Ipvs(Command::SetTimeouts(timeouts)) => self.0.timeouts = Some(*timeouts),
            Op::SetMarks(_) => panic!("{op} is not for here"),
            Op::Ipvs(command) => panic!("{command} is not for here"),
        }
    }

    pub(in crate::diff) fn addresses(&mut self, vip: &LoopbackVip) -> &mut Vec<InterfaceAddress> {
        let interface = self.0.facts.interfaces.get_mut(&vip.interface_index);
        &mut interface.expect("an interface").addresses
    }
}
