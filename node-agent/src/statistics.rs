//! The kernel's counters of virtual services and real servers, as metrics.
//!
//! They are read when somebody asks for metrics, over a socket of their own, and cost nothing while nobody does. Whoever
//! asks within `SHARED` of another gets the same figures. How many series there are is bounded before anything is
//! read: beyond the limit the real servers are left out, and then virtual services.

mod encode;
mod select;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use lvs_ipvs::{Client, Error, ObservedDestination, ServiceKey, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::sync::watch;

use crate::plan::services::Services;
use select::select;

/// How long figures are handed out again. The kernel renews its own every two seconds.
const SHARED: Duration = Duration::from_secs(1);

/// Of what there are statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Level {
    /// Of nothing.
    None,
    /// Of virtual services.
    VirtualServices,
    /// Of virtual services and of each real server of theirs.
    RealServers,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of what.
    pub level: Level,
    /// At most so many series: 10 for each address and port of a virtual service, 14 for each of its real servers.
    pub maximum_series: usize,
}

/// The services of ours, as the plan has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<ServiceKey, Named>);

/// A service of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    /// `namespace/name` of the virtual service.
    name: Arc<str>,
    /// How many real servers it has.
    servers: usize,
}

impl Names {
    /// The names of a plan's services.
    #[must_use]
    pub fn of(services: &Services) -> Self {
        Self::new(services.resolved.values().flat_map(|service| {
            service.keys().map(|key| {
                (
                    key,
                    Arc::clone(&service.name),
                    service.pools.iter().map(|pool| pool.members.len()).sum(),
                )
            })
        }))
    }

    /// The names of services: for each its key, `namespace/name` of the virtual service, and how many real servers it
    /// has.
    pub fn new(services: impl IntoIterator<Item = (ServiceKey, Arc<str>, usize)>) -> Self {
        let named = services.into_iter();
        Self(
            named
                .map(|(key, name, servers)| (key, Named { name, servers }))
                .collect(),
        )
    }
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Snapshot {
    services: Vec<ServiceSample>,
    /// Each with its service's position.
    servers: Vec<(usize, ObservedDestination)>,
    /// Series that are left out.
    dropped: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct ServiceSample {
    key: ServiceKey,
    /// `namespace/name` of the virtual service.
    name: Arc<str>,
    stats: Stats,
}

/// The statistics, for a registry of metrics.
pub struct Statistics {
    limits: Limits,
    names: watch::Receiver<Arc<Names>>,
    reader: Mutex<Reader>,
}

#[derive(Default)]
struct Reader {
    client: Option<Client>,
    last: Option<(Instant, Arc<Snapshot>)>,
    failures: u64,
}

impl Statistics {
    /// Nothing is opened yet. `names` are those of the last plan.
    #[must_use]
    pub fn new(limits: Limits, names: watch::Receiver<Arc<Names>>) -> Self {
        Self {
            limits,
            names,
            reader: Mutex::default(),
        }
    }

    /// The figures, and how often they could not be read so far.
    fn figures(&self) -> (Arc<Snapshot>, u64) {
        let names = Arc::clone(&self.names.borrow());
        // Whoever panicked has left a client or none, and both are good.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((read, snapshot)) = &reader.last
            && now.saturating_duration_since(*read) < SHARED
        {
            return (Arc::clone(snapshot), reader.failures);
        }
        let snapshot = match reader.read(&names, self.limits) {
            Ok(snapshot) => Arc::new(snapshot),
            Err(error) => {
                tracing::warn!(%error, "statistics of IPVS could not be read");
                reader.client = None;
                reader.failures += 1;
                Arc::default()
            }
        };
        // The age counts from the end, or a large table would be read for each of those who wait.
        reader.last = Some((Instant::now(), Arc::clone(&snapshot)));
        (snapshot, reader.failures)
    }
}

impl Reader {
    fn read(&mut self, names: &Names, limits: Limits) -> Result<Snapshot, Error> {
        let selection = select(names, limits);
        let mut snapshot = Snapshot {
            dropped: selection.dropped,
            ..Snapshot::default()
        };
        // A node without services needs no IPVS.
        if selection.services.is_empty() {
            self.client = None;
            return Ok(snapshot);
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect()?,
        };
        let client = self.client.insert(client);
        for (service, stats) in client.services()? {
            if let Some(named) = selection.services.get(&service.key) {
                snapshot.services.push(ServiceSample {
                    key: service.key,
                    name: Arc::clone(&named.name),
                    stats,
                });
            }
        }
        let mut room = selection.servers;
        for (position, service) in snapshot.services.iter().enumerate() {
            if room == 0 {
                break;
            }
            let mut servers = client.destinations(&service.key)?;
            // Somebody else's.
            let surplus = servers.len().saturating_sub(room);
            servers.truncate(room);
            room -= servers.len();
            snapshot.dropped += surplus * select::SERIES_OF_SERVER;
            snapshot
                .servers
                .extend(servers.into_iter().map(|server| (position, server)));
        }
        Ok(snapshot)
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Collector for Statistics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.limits.level == Level::None {
            return Ok(());
        }
        let (snapshot, failures) = self.figures();
        encode::snapshot(&mut encoder, &snapshot, self.limits.level)?;
        encode::own(&mut encoder, snapshot.dropped, failures)
    }
}

#[cfg(test)]
mod tests;
