//! A model of the kernel for the properties.

use lvs_ipvs::{Command, DestinationKey, Error, ObservedDestination, Refusal, ServiceKey, Table};

use super::random::Dice;
use super::unknown_scheduler;
use crate::fixture::apply;

/// A kernel that does what it is told, unless it lacks the scheduler.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeKernel {
    pub(super) table: Table,
    pub(super) refused_scheduler: Option<&'static str>,
}

/// The kernel's refusal of a command.
pub(super) fn refusal(command: &Command, reason: Refusal) -> Error {
    Error::Refused {
        request: command.to_string(),
        reason,
        detail: None,
    }
}

impl FakeKernel {
    pub(super) fn apply(&mut self, command: &Command) -> Result<(), Error> {
        if let Command::AddService(service) | Command::SetService(service) = command
            && self.refused_scheduler == Some(service.scheduler.as_str())
        {
            return Err(refusal(
                command,
                unknown_scheduler(service.scheduler.as_str()),
            ));
        }
        let key = command.changed_service().expect("a service");
        if self.refused_scheduler.is_some()
            && self.table.get(&key).is_none()
            && !matches!(command, Command::AddService(_))
        {
            return Err(refusal(command, Refusal::NoSuchService));
        }
        self.assert_accepted(command);
        apply(&mut self.table, command);
        Ok(())
    }

    /// The kernel refuses to add what there is and to change what there is not.
    fn assert_accepted(&self, command: &Command) {
        let has = |key: &ServiceKey| self.table.get(key).is_some();
        let has_destination = |key: &ServiceKey, destination: &DestinationKey| {
            let entry = self.table.get(key);
            entry.is_some_and(|entry| entry.destination(destination).is_some())
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

    /// How many destinations of a service get new connections.
    pub(super) fn usable(&self, key: &ServiceKey) -> usize {
        let destinations = self.table.get(key).map(|entry| entry.destinations.iter());
        let usable = destinations.map(|found| found.filter(|it| it.destination.weight > 0).count());
        usable.unwrap_or_default()
    }

    pub(super) fn only_key(&self) -> ServiceKey {
        *self.table.entries.keys().next().expect("a service")
    }

    pub(super) fn weight(&self, address: &str) -> Option<u32> {
        let all = self.table.iter().flat_map(|entry| &entry.destinations);
        let mut found = all.filter(|it| it.destination.key.address.to_string() == address);
        found.next().map(|it| it.destination.weight)
    }

    pub(super) fn set_connections(&mut self, address: &str, connections: u32) {
        for found in self.destinations() {
            if found.destination.key.address.to_string() == address {
                found.inactive_connections = connections;
            }
        }
    }

    /// Connections come and go.
    pub(super) fn connect(&mut self, dice: &mut Dice) {
        for found in self.destinations() {
            let count = |dice: &mut Dice| u32::try_from(dice.roll(2)).expect("small");
            found.active_connections = count(dice);
            found.inactive_connections = count(dice);
            found.persistent_connections = count(dice);
        }
    }

    fn destinations(&mut self) -> impl Iterator<Item = &mut ObservedDestination> {
        let entries = self.table.entries.values_mut();
        entries.flat_map(|entry| &mut entry.destinations)
    }
}
