//! The kernel's IPVS: whole services are read and changed one by one; nothing of it is kept.

use std::time::{Duration, Instant};

use lvs_ipvs::{
    Client, Command, Error, Info, ObservedDestination, Origin, Service, ServiceKey, SyncDaemon,
    TableEntry, Timeouts,
};

use super::lookout::{TableWatch, Way};
use super::pace::{Pace, cpu_time};

/// Time until it is tried again to be told of changes: a module may have been loaded.
const LISTEN_PAUSE: Duration = Duration::from_secs(30);

/// The kernel's IPVS. Nothing is opened until it is needed, so a node that is no director needs no
/// IPVS at all.
#[derive(Debug)]
pub struct Ipvs {
    watch: TableWatch,
    client: Option<Client>,
    /// When it was last tried to be told of changes, and which messages are ours then.
    listening: Option<(Instant, Origin)>,
    /// What was said of it last.
    announced: Option<Way>,
    /// [`TableWatch::notices`] when all was read last.
    notices: u64,
    /// When that began, and how much CPU time had been spent then.
    began: Option<(Instant, Duration)>,
    /// When all is to be read anew although nobody was seen to change it.
    expires: Option<Instant>,
}

impl Ipvs {
    /// Nothing is opened yet. `watch` tells of changes by others.
    #[must_use]
    pub const fn new(watch: TableWatch) -> Self {
        Self {
            watch,
            client: None,
            listening: None,
            announced: None,
            notices: 0,
            began: None,
            expires: None,
        }
    }

    /// All services, whoever made them: the beginning of reading everything.
    ///
    /// # Errors
    /// When the kernel has no IPVS or does not answer as it should; so do the others.
    pub fn services(&mut self) -> Result<Vec<Service>, Error> {
        let now = Instant::now();
        self.began = Some((now, cpu_time()));
        let origin = self.client()?.origin();
        // First: a change that comes while the table is read is noticed then.
        self.listen(origin, now);
        self.notices = self.watch.notices();
        let services = self.client()?.services();
        let services = self.checked(services)?;
        Ok(services.into_iter().map(|(service, _)| service).collect())
    }

    /// A service with its destinations.
    ///
    /// # Errors
    /// As [`Ipvs::services`].
    pub fn entry(&mut self, key: &ServiceKey) -> Result<Option<TableEntry>, Error> {
        let found = self.client()?.service(key);
        match self.checked(found)? {
            Some((service, _)) => self.with_destinations(service).map(Some),
            None => Ok(None),
        }
    }

    /// A service that was found, with its destinations.
    ///
    /// # Errors
    /// As [`Ipvs::services`].
    pub fn with_destinations(&mut self, service: Service) -> Result<TableEntry, Error> {
        Ok(TableEntry {
            destinations: self.destinations(&service.key)?,
            service,
            stats: lvs_ipvs::Stats::default(),
        })
    }

    /// The destinations of a service; none if there is no such service.
    ///
    /// # Errors
    /// As [`Ipvs::services`].
    pub fn destinations(
        &mut self,
        service: &ServiceKey,
    ) -> Result<Vec<ObservedDestination>, Error> {
        let destinations = self.client()?.destinations(service);
        self.checked(destinations)
    }

    /// The daemons that run.
    ///
    /// # Errors
    /// As [`Ipvs::services`].
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        let daemons = self.client()?.daemons();
        self.checked(daemons)
    }

    /// The timeouts of connections.
    ///
    /// # Errors
    /// As [`Ipvs::services`].
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let timeouts = self.client()?.timeouts();
        self.checked(timeouts)
    }

    /// What IPVS is there.
    ///
    /// # Errors
    /// As [`Ipvs::services`].
    pub fn info(&mut self) -> Result<Info, Error> {
        let info = self.client()?.info();
        self.checked(info)
    }

    /// Applies commands in order; each has its own result.
    ///
    /// # Errors
    /// When the kernel has no IPVS; then nothing was applied.
    pub fn apply(&mut self, commands: &[Command]) -> Result<Vec<Result<(), Error>>, Error> {
        let results = self.client()?.apply(commands);
        let is_broken = |result: &Result<(), Error>| {
            result
                .as_ref()
                .is_err_and(|error| error.refusal().is_none())
        };
        if results.iter().any(is_broken) {
            self.client = None;
        }
        Ok(results)
    }

    /// Everything has been read and dealt with. The more that cost, the later it is done again.
    pub fn note_end_of_reading(&mut self) {
        if let Some((began, before)) = self.began.take() {
            let cost = cpu_time().saturating_sub(before);
            self.expires = Some(began + Pace::WHOLE.pause(cost, 0));
        }
    }

    /// Whether it is time to read everything again.
    #[must_use]
    pub fn is_old(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| expires <= now)
    }

    /// Whether there was a notice since all was read last.
    #[must_use]
    pub fn is_different(&self) -> bool {
        self.watch.notices() != self.notices
    }

    /// [`TableWatch::notices`] when all was read last.
    #[must_use]
    pub const fn notices(&self) -> u64 {
        self.notices
    }

    /// How changes by others are found.
    #[must_use]
    pub fn way(&self) -> Way {
        self.watch.way()
    }

    /// Lets go of everything.
    pub fn close(&mut self) {
        self.client = None;
        self.listening = None;
        self.announced = None;
    }

    /// Sees to it that changes by others are told, unless that was in vain a moment ago.
    fn listen(&mut self, origin: Origin, now: Instant) {
        let is_settled = self.listening.is_some_and(|(tried, ours)| {
            let is_fresh = now.saturating_duration_since(tried) < LISTEN_PAUSE;
            ours == origin && (is_fresh || self.watch.way() == Way::Nlmon)
        });
        if is_settled {
            return;
        }
        self.listening = Some((now, origin));
        let way = match self.watch.listen(origin) {
            Ok(()) => Way::Nlmon,
            Err(error) => {
                if self.announced != Some(Way::Poll) {
                    tracing::warn!(%error, "changes of the IPVS table by others are found by polling");
                }
                Way::Poll
            }
        };
        if self.announced != Some(way) && way == Way::Nlmon {
            tracing::info!("changes of the IPVS table by others are noticed by nlmon");
        }
        self.announced = Some(way);
    }

    fn client(&mut self) -> Result<&mut Client, Error> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect()?,
        };
        Ok(self.client.insert(client))
    }

    /// A socket that failed is replaced.
    fn checked<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.client = None;
        }
        result
    }
}
