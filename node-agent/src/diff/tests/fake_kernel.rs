//! A model of the kernel for the properties.

use std::sync::Arc;

use lvs_ipvs::{Command, DestinationKey, ServiceKey, Table};

use crate::facts::{Interface, InterfaceAddress};
use crate::kernel::fou::FouKind;
use crate::model;
use crate::observe::Observed;
use crate::op::{LoopbackVip, Op};
use crate::vrrp::addresses::ADDRESS_PROTOCOL;

/// A kernel that does what it is told.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeKernel(pub(super) Observed);

impl FakeKernel {
    pub(super) fn apply(&mut self, op: &Op) {
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
                assert!(
                    self.0
                        .daemons
                        .iter()
                        .all(|running| running.role != daemon.role)
                );
                self.0.daemons.push(daemon.clone());
            }
            Op::Ipvs(Command::StopDaemon(role)) => {
                self.0.daemons.retain(|running| running.role != *role);
            }
            Op::Ipvs(command) => {
                let table = Arc::make_mut(self.0.table.get_or_insert_default());
                assert_accepted(table, command);
                model::apply(table, command);
            }
        }
    }

    pub(super) fn addresses(&mut self, vip: &LoopbackVip) -> &mut Vec<InterfaceAddress> {
        let interface = self.0.facts.interfaces.get_mut(&vip.interface_index);
        &mut interface.expect("an interface").addresses
    }

    /// How many destinations of a service get new connections.
    pub(super) fn usable(&self, key: &ServiceKey) -> usize {
        let entry = self.0.table.as_ref().and_then(|table| table.get(key));
        entry.map_or(0, |entry| {
            entry
                .destinations
                .iter()
                .filter(|found| found.destination.weight > 0)
                .count()
        })
    }
}

/// The kernel refuses to add what there is and to change what there is not.
fn assert_accepted(table: &Table, command: &Command) {
    let has = |key: &ServiceKey| table.get(key).is_some();
    let has_destination = |key: &ServiceKey, destination: &DestinationKey| {
        table
            .get(key)
            .is_some_and(|entry| entry.destination(destination).is_some())
    };
    let accepted = match command {
        Command::AddService(service) => !has(&service.key),
        Command::SetService(service) => has(&service.key),
        Command::DeleteService(key) => has(key),
        Command::AddDestination {
            service,
            destination,
        } => has(service) && !has_destination(service, &destination.key),
        Command::SetDestination {
            service,
            destination,
        } => has_destination(service, &destination.key),
        Command::DeleteDestination {
            service,
            destination,
        } => has_destination(service, destination),
        _ => true,
    };
    assert!(accepted, "the kernel would refuse {command}");
}
