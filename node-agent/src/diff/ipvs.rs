//! One service of the kernel and its destinations. Pure.

use std::collections::BTreeMap;

use lvs_ipvs::{Command, DestinationKey, Name, ObservedDestination, Service, TableEntry};

use crate::plan::ipvs::{PlannedDestination, PlannedService};

/// Schedulers that build a table of all destinations, and build it anew whenever one changes.
const TABLE_BUILDERS: [&str; 3] = ["dh", "mh", "sh"];
/// What the kernel calls the absence of a scheduler (`ip_vs_add_service`, Linux 4.2).
const NO_SCHEDULER: &str = "none";

/// What leads from a service as it was found to the planned one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDiff {
    /// The changes, in their order: what is added and raised comes before what is lowered and
    /// deleted, so that a service that has usable servers before and after is never without one.
    pub commands: Vec<Command>,
    /// Destinations that leave and are still there, with their connections.
    pub leaving: BTreeMap<DestinationKey, u64>,
}

/// Compares one service.
#[must_use]
pub fn service(planned: &PlannedService, observed: Option<&TableEntry>) -> ServiceDiff {
    let key = planned.service.key;
    let mut diff = ServiceDiff::default();
    let set_service = match observed {
        None => {
            let bare = bare(planned);
            let is_bare = bare.is_some();
            let first = bare.unwrap_or_else(|| planned.service.clone());
            diff.commands.push(Command::AddService(first));
            is_bare
        }
        Some(entry) => entry.service != planned.service,
    };
    let (mut raised, mut lowered, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    let found = observed.map_or(&[] as &[_], |entry| &entry.destinations);
    for pair in joined(&planned.destinations, found) {
        let set = |planned: &PlannedDestination| Command::SetDestination {
            service: key,
            destination: planned.destination,
        };
        match pair {
            (Some(planned), None) if planned.leaves => {}
            (Some(planned), None) => diff.commands.push(Command::AddDestination {
                service: key,
                destination: planned.destination,
            }),
            (Some(planned), Some(found)) => {
                let connections = connections(found);
                let differs = found.destination != planned.destination;
                let is_done = planned.leaves && connections == 0 && !differs;
                if is_done {
                    deleted.push(found.destination.key);
                } else if planned.leaves {
                    diff.leaving.insert(found.destination.key, connections);
                }
                if found.destination.weight > planned.destination.weight {
                    lowered.push(set(planned));
                } else if differs {
                    raised.push(set(planned));
                }
            }
            (None, Some(found)) => deleted.push(found.destination.key),
            (None, None) => {}
        }
    }
    diff.commands.append(&mut raised);
    if set_service {
        diff.commands
            .push(Command::SetService(planned.service.clone()));
    }
    diff.commands.append(&mut lowered);
    let delete = |destination| Command::DeleteDestination {
        service: key,
        destination,
    };
    diff.commands.extend(deleted.into_iter().map(delete));
    diff
}

/// A new service without its scheduler, where one that builds a table would build it for each of
/// several destinations. Nothing comes to a new service until its VIP is taken.
fn bare(planned: &PlannedService) -> Option<Service> {
    let builds = TABLE_BUILDERS.contains(&planned.service.scheduler.as_str());
    let is_worth_it = builds && planned.destinations.len() > 1;
    is_worth_it.then_some(())?;
    Some(Service {
        scheduler: Name::new(NO_SCHEDULER).ok()?,
        ..planned.service.clone()
    })
}

/// Whether a service has not got its scheduler yet.
#[must_use]
pub fn is_bare(entry: &TableEntry) -> bool {
    entry.service.scheduler == *NO_SCHEDULER
}

/// Connections and persistence templates of a destination.
fn connections(found: &ObservedDestination) -> u64 {
    u64::from(found.active_connections)
        + u64::from(found.inactive_connections)
        + u64::from(found.persistent_connections)
}

/// Both sides by their keys, which both are ordered by.
fn joined<'a>(
    planned: &'a [PlannedDestination],
    found: &'a [ObservedDestination],
) -> impl Iterator<
    Item = (
        Option<&'a PlannedDestination>,
        Option<&'a ObservedDestination>,
    ),
> {
    let mut planned = planned.iter().peekable();
    let mut found = found.iter().peekable();
    std::iter::from_fn(move || {
        let next_planned = planned.peek().map(|it| it.destination.key);
        let next_found = found.peek().map(|it| it.destination.key);
        match (next_planned, next_found) {
            (None, None) => None,
            (Some(a), Some(b)) if a == b => Some((planned.next(), found.next())),
            (Some(a), Some(b)) if a > b => Some((None, found.next())),
            (None, Some(_)) => Some((None, found.next())),
            (Some(_), _) => Some((planned.next(), None)),
        }
    })
}
