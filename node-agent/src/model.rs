//! What a command does to the IPVS table, as the kernel does it. Pure.

use lvs_ipvs::{Command, Destination, ObservedDestination, Stats, Table, TableEntry};

/// Applies a command that the kernel has accepted, or would accept. Daemons, timeouts and counters
/// are no part of the table.
pub fn apply(table: &mut Table, command: &Command) {
    match command {
        Command::AddService(service) => {
            table
                .entries
                .entry(service.key)
                .or_insert_with(|| TableEntry {
                    service: service.clone(),
                    stats: Stats::default(),
                    destinations: Vec::new(),
                });
        }
        Command::SetService(service) => {
            if let Some(entry) = table.entries.get_mut(&service.key) {
                entry.service = service.clone();
            }
        }
        Command::DeleteService(key) => {
            table.entries.remove(key);
        }
        Command::AddDestination {
            service,
            destination,
        }
        | Command::SetDestination {
            service,
            destination,
        } => {
            if let Some(entry) = table.entries.get_mut(service) {
                put(&mut entry.destinations, *destination);
            }
        }
        Command::DeleteDestination {
            service,
            destination,
        } => {
            if let Some(entry) = table.entries.get_mut(service) {
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
