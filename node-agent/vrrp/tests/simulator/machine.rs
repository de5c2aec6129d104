//! Machines with one router on each segment, and what can happen to them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lvs_vrrp::group::{self, Standing};
use lvs_vrrp::ip::IpHeader;
use lvs_vrrp::{
    Adjustment, Centiseconds, CheckedConfig, ChecksumConvention, Config, GratuitousAnnouncements,
    Input, LowerPriorityAdvertisement, Monotonic, Output, Preemption, Role, Router, Transport,
    Version, Wire,
};

pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// A machine's port on a segment, both by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) machine: usize,
    pub(crate) segment: usize,
}

/// Something that is done to a machine or to all segments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    PowerOff(usize),
    PowerOn(usize),
    /// The link is lost, and the machine is told.
    Unplug(Place),
    /// The port neither sends nor receives, but the machine does not notice.
    Cut(Place),
    /// Nothing arrives at the port.
    Deafen(Place),
    /// Nothing leaves the port.
    Mute(Place),
    Mend(Place),
    /// The process does not run for a while; packets wait for it.
    Pause(usize, Duration),
    /// The process is killed and started again; the addresses stay on the interface.
    Restart(usize),
    /// A planned stop.
    Stop(usize),
    Start(usize),
    Drain(usize, bool),
    /// Something that is tracked fails, or works again.
    Fail(usize, bool),
    /// The weights of what is tracked change their sum.
    Weigh(usize, i32),
    /// Preemption is held, or no longer.
    Hold(usize, bool),
    /// Percentage of deliveries that are lost.
    Loss(u8),
    /// Percentage of deliveries that arrive twice.
    Duplication(u8),
    /// Longest time that a packet is under way; each takes a time of its own, so they overtake.
    Latency(Duration),
}

/// Several machines whose routers are configured alike have different numbers.
pub(crate) fn config(number: usize, priority: u8, preemption: Preemption) -> CheckedConfig {
    let own = u8::try_from(number + 1).unwrap();
    Config {
        virtual_router_id: 51,
        version: Version::V3,
        priority,
        own_address: [192, 0, 2, own].into(),
        advertisement_interval: Centiseconds::new(100),
        down_advertisements: 3,
        preemption,
        preempt_delay: Duration::ZERO,
        authentication: None,
        transport: Transport::Multicast,
        checksum: ChecksumConvention::Rfc9568,
        virtual_addresses: vec![VIP],
        gratuitous: GratuitousAnnouncements::default(),
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    }
    .check()
    .unwrap()
}

/// A port with its router.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a condition of its own"
)]
pub(crate) struct Port {
    pub(crate) config: CheckedConfig,
    pub(crate) wire: Wire,
    /// None: powered off, or stopped.
    pub(crate) router: Option<Router>,
    pub(crate) stopping: bool,
    pub(crate) unplugged: bool,
    pub(crate) deaf: bool,
    pub(crate) mute: bool,
    pub(crate) holds_vip: bool,
    pub(crate) last_sent: Option<Monotonic>,
    pub(crate) waiting: Vec<(IpHeader, Vec<u8>)>,
    /// The other of a split that it told of last.
    pub(crate) split: Option<IpAddr>,
    /// Whether `log` is kept.
    pub(crate) records: bool,
    /// What the present router was told and has said.
    pub(crate) log: Vec<(Input, Monotonic, Vec<Output>)>,
}

impl Port {
    fn new(config: CheckedConfig) -> Self {
        Self {
            wire: Wire::new(config.clone()),
            config,
            router: None,
            stopping: false,
            unplugged: false,
            deaf: false,
            mute: false,
            holds_vip: false,
            last_sent: None,
            waiting: Vec::new(),
            split: None,
            records: false,
            log: Vec::new(),
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.router
            .as_ref()
            .is_some_and(|router| router.role() == Role::Active)
    }

    /// As the agent does: a router resumes if it was Active and its time has not run out.
    pub(crate) fn resumes(&self, now: Monotonic) -> bool {
        let in_time = self
            .last_sent
            .is_some_and(|at| now.saturating_since(at) < self.config.resume_within());
        self.is_active() && in_time
    }
}

/// A machine whose routers, one for each segment, are a sync group.
pub(crate) struct Machine {
    pub(crate) ports: Vec<Port>,
    pub(crate) drained: bool,
    pub(crate) adjustment: Adjustment,
    pub(crate) holds: bool,
    /// By how many millionths its clock is too fast.
    pub(crate) skew: i32,
    pub(crate) paused_until: Monotonic,
}

impl Machine {
    pub(crate) fn new(config: &CheckedConfig, segments: usize) -> Self {
        Self {
            ports: (0..segments).map(|_| Port::new(config.clone())).collect(),
            drained: false,
            adjustment: Adjustment::default(),
            holds: false,
            skew: 0,
            paused_until: Monotonic::ZERO,
        }
    }

    /// What its clock shows.
    pub(crate) fn clock(&self, now: Monotonic) -> Monotonic {
        let nanoseconds = i128::try_from(now.since_epoch().as_nanos()).unwrap();
        let wrong = nanoseconds * i128::from(self.skew) / 1_000_000;
        from_nanoseconds(nanoseconds + wrong)
    }

    /// When its clock shows this.
    pub(crate) fn reaches(&self, shown: Monotonic) -> Monotonic {
        let nanoseconds = i128::try_from(shown.since_epoch().as_nanos()).unwrap();
        let mut now = nanoseconds * 1_000_000 / i128::from(1_000_000 + self.skew);
        while self.clock(from_nanoseconds(now)) < shown {
            now += 1;
        }
        from_nanoseconds(now)
    }

    /// When one of its routers or the group has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        let routers = self.ports.iter().filter_map(|port| port.router.as_ref());
        routers
            .filter_map(Router::next_deadline)
            .chain(group::next_deadline(&self.group().1))
            .min()
    }

    /// What the group has to say, by segment.
    pub(crate) fn settle(&self, now: Monotonic) -> Vec<(usize, Input)> {
        let (segments, standings) = self.group();
        let inputs = group::settle(&standings, now).into_iter();
        inputs
            .map(|(place, input)| (segments[place], input))
            .collect()
    }

    /// The segments and standings of its routers; as in the agent, one that is about to end is in no
    /// group.
    fn group(&self) -> (Vec<usize>, Vec<Standing>) {
        let numbered = self.ports.iter().enumerate();
        numbered
            .filter(|(_, port)| !port.stopping)
            .filter_map(|(segment, port)| Some((segment, port.router.as_ref()?.standing())))
            .unzip()
    }
}

fn from_nanoseconds(nanoseconds: i128) -> Monotonic {
    Monotonic::from_epoch(Duration::from_nanos(u64::try_from(nanoseconds).unwrap()))
}
