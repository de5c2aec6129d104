//! The state machine under a clock that the test moves.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::authentication::{Authentication, SimplePassword};
use crate::checksum::ChecksumConvention;
use crate::config::{Config, GratuitousAnnouncements, LowerPriorityAdvertisement, Transport};
use crate::packet::{Addresses, PRIORITY_OWNER, Version};
use crate::reject::RejectReason;

mod announcing;
mod backup;
mod configuring;
mod contest;
mod grouped;
mod leaving;
mod lost;
mod owner;
mod sending;
mod split;
mod stalled;
mod tracked;

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const OTHER_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11));
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const LOWER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const HIGHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
/// Down interval at priority 100 and an interval of one second.
const DOWN: Duration = Duration::from_nanos(3_609_375_000);
const SKEW: Duration = Duration::from_nanos(609_375_000);
const NANOSECOND: Duration = Duration::from_nanos(1);

fn config() -> Config {
    Config {
        own_address: OWN,
        virtual_addresses: vec![VIP],
        gratuitous: GratuitousAnnouncements {
            count: 1,
            interval: Duration::ZERO,
            repeat_delay: Duration::ZERO,
            refresh: Duration::ZERO,
        },
        ..crate::config::tests::config()
    }
}

/// A router and the present time of its test.
struct Bench {
    router: Router,
    now: Monotonic,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self {
            router: Router::new(config.check().unwrap()),
            now: Monotonic::from_epoch(Duration::from_secs(1000)),
        }
    }

    /// A router that was just started as Backup.
    fn backup(config: Config) -> Self {
        let mut bench = Self::new(config);
        bench.does(Input::Start);
        assert_eq!(bench.router.role(), Role::Backup);
        bench
    }

    /// A router that has just become Active because nobody else was there.
    fn active(config: Config) -> Self {
        let mut bench = Self::backup(config);
        bench.until_deadline();
        assert_eq!(bench.router.role(), Role::Active);
        bench
    }

    fn does(&mut self, input: Input) -> Vec<Output> {
        self.router.handle(input, self.now)
    }

    /// Lets `time` pass without calling the router, then ticks once.
    fn after(&mut self, time: Duration) -> Vec<Output> {
        self.now = self.now + time;
        self.does(Input::Tick)
    }

    fn until_deadline(&mut self) -> Vec<Output> {
        self.now = self.router.next_deadline().unwrap();
        self.does(Input::Tick)
    }

    /// Ticks at every deadline up to `time` from now, and answers with everything that came out
    /// and when, counted from the beginning.
    fn during(&mut self, time: Duration) -> Vec<(Duration, Output)> {
        let (begin, end) = (self.now, self.now + time);
        let mut log = Vec::new();
        while let Some(deadline) = self.router.next_deadline().filter(|at| *at <= end) {
            self.now = deadline;
            let elapsed = deadline.saturating_since(begin);
            log.extend(
                self.does(Input::Tick)
                    .into_iter()
                    .map(|output| (elapsed, output)),
            );
        }
        self.now = end;
        log
    }

    fn hears(&mut self, source: IpAddr, priority: u8) -> Vec<Output> {
        let advertisement = self.advertisement(priority);
        self.hears_this(source, advertisement)
    }

    fn hears_this(&mut self, source: IpAddr, advertisement: Advertisement) -> Vec<Output> {
        self.does(Input::Received {
            source,
            advertisement,
        })
    }

    /// What another router of the same configuration would send.
    fn advertisement(&self, priority: u8) -> Advertisement {
        let config = self.router.config();
        Advertisement {
            version: config.version,
            virtual_router_id: config.virtual_router_id,
            priority,
            interval: config.advertisement_interval,
            addresses: config.advertised(),
            authentication: match &config.authentication {
                Some(Authentication::Simple(password)) => Some(*password),
                _ => None,
            },
            checksum: config.checksum,
        }
    }

    fn deadline_in(&self) -> Duration {
        self.router
            .next_deadline()
            .unwrap()
            .saturating_since(self.now)
    }

    fn reconfigures(&mut self, change: impl FnOnce(&mut Config)) -> Vec<Output> {
        let mut config: Config = (**self.router.config()).clone();
        change(&mut config);
        self.does(Input::Reconfigure(Box::new(config.check().unwrap())))
    }
}

/// The advertisements among `outputs`.
fn sent(outputs: &[Output]) -> Vec<Advertisement> {
    let advertisement = |output: &Output| match output {
        Output::SendAdvertisement { advertisement, .. } => Some(advertisement.clone()),
        _ => None,
    };
    outputs.iter().filter_map(advertisement).collect()
}

fn priorities_sent(outputs: &[Output]) -> Vec<u8> {
    sent(outputs)
        .iter()
        .map(|advertisement| advertisement.priority)
        .collect()
}

/// The kinds of `outputs`, in order.
fn kinds(outputs: &[Output]) -> Vec<&'static str> {
    let kind = |output: &Output| match output {
        Output::SendAdvertisement { .. } => "send",
        Output::AddVips(_) => "add",
        Output::RemoveVips(_) => "remove",
        Output::Announce(_) => "announce",
        Output::RoleChanged { .. } => "role",
        Output::PeerLost { .. } => "lost",
        Output::Rejected(_) => "rejected",
        Output::SplitBrain { .. } => "split",
        Output::SplitHealed { .. } => "healed",
        Output::PeerDiffers { .. } => "differs",
        Output::NoSuccessor => "no successor",
        Output::Stopped => "stopped",
    };
    outputs.iter().map(kind).collect()
}

fn reason(outputs: &[Output]) -> Option<RoleReason> {
    outputs.iter().find_map(|output| match output {
        Output::RoleChanged { reason, .. } => Some(*reason),
        _ => None,
    })
}
