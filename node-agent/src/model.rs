//! What a command does to a service of the IPVS table, as the kernel does it. Pure.

use lvs_ipvs::{Command, Destination, ObservedDestination, Service, Stats, TableEntry};

/// Applies a command that the kernel has accepted, or would accept, to the service that it is about;
/// `None` is a service that does not exist. Daemons, timeouts and counters are no part of it.
pub fn apply(entry: &mut Option<TableEntry>, command: &Command) {
    match command {
        Command::AddService(service) => {
            entry.get_or_insert_with(|| new_entry(service));
        }
        Command::SetService(service) => {
            if let Some(entry) = entry {
                entry.service = service.clone();
            }
        }
        Command::DeleteService(_) => *entry = None,
        Command::AddDestination { destination, .. }
        | Command::SetDestination { destination, .. } => {
            if let Some(entry) = entry {
                put(&mut entry.destinations, *destination);
            }
        }
        Command::DeleteDestination { destination, .. } => {
            if let Some(entry) = entry {
                entry
                    .destinations
                    .retain(|observed| observed.destination.key != *destination);
            }
        }
        Command::StartDaemon(_)
        | Command::StopDaemon(_)
        | Command::SetTimeouts(_)
        | Command::Zero(_) => {}
    }
}

fn new_entry(service: &Service) -> TableEntry {
    TableEntry {
        service: service.clone(),
        stats: Stats::default(),
        destinations: Vec::new(),
    }
}

fn put(destinations: &mut Vec<ObservedDestination>, destination: Destination) {
    match destinations.binary_search_by_key(&destination.key, |observed| observed.destination.key) {
        Ok(position) => {
            if let Some(observed) = destinations.get_mut(position) {
                observed.destination = destination;
            }
        }
        Err(position) => destinations.insert(
            position,
            ObservedDestination {
                destination,
                active_connections: 0,
                inactive_connections: 0,
                persistent_connections: 0,
                stats: Stats::default(),
            },
        ),
    }
}
