//! The whole table.

use std::collections::BTreeMap;

use super::{DestinationKey, ObservedDestination, Service, ServiceKey, Stats};

/// A virtual service with its destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEntry {
    /// The service.
    pub service: Service,
    /// Its counters.
    pub stats: Stats,
    /// Its destinations, ordered by their keys.
    pub destinations: Vec<ObservedDestination>,
}

impl TableEntry {
    /// The destination of that key.
    #[must_use]
    pub fn destination(&self, key: &DestinationKey) -> Option<&ObservedDestination> {
        self.destinations
            .iter()
            .find(|observed| observed.destination.key == *key)
    }
}

/// All virtual services of a network namespace, whoever made them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The services by their keys.
    pub entries: BTreeMap<ServiceKey, TableEntry>,
}

impl Table {
    /// The service of that key.
    #[must_use]
    pub fn get(&self, key: &ServiceKey) -> Option<&TableEntry> {
        self.entries.get(key)
    }

    /// The services in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &TableEntry> {
        self.entries.values()
    }
}
