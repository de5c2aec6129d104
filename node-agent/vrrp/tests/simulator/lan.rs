//! A segment with routers on it, in simulated time: what happens is decided by the schedule of
//! faults and a seed alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lvs_vrrp::ip::IpHeader;
use lvs_vrrp::{
    Advertisement, Centiseconds, CheckedConfig, ChecksumConvention, Config,
    GratuitousAnnouncements, Input, LowerPriorityAdvertisement, Monotonic, Output, Preemption,
    Role, Router, Version,
};

pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Something that is done to a router or to the segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    PowerOff(usize),
    PowerOn(usize),
    /// The machine neither sends nor receives, but does not notice.
    Cut(usize),
    Mend(usize),
    /// The process does not run for a while; packets wait for it.
    Pause(usize, Duration),
    /// The process is killed and started again; the addresses stay on the interface.
    Restart(usize),
    /// A planned stop.
    Stop(usize),
    Start(usize),
    Drain(usize, bool),
    /// Percentage of deliveries that are lost.
    Loss(u8),
    /// Percentage of deliveries that arrive twice.
    Duplication(u8),
    /// Longest time that a packet is under way; each takes a time of its own, so they overtake.
    Latency(Duration),
}

/// A change of role, as written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Monotonic,
    pub(crate) router: usize,
    pub(crate) to: Role,
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a condition of its own"
)]
struct Machine {
    config: CheckedConfig,
    /// None: powered off, or stopped.
    router: Option<Router>,
    drained: bool,
    stopping: bool,
    cut: bool,
    holds_vip: bool,
    last_sent: Option<Monotonic>,
    paused_until: Monotonic,
    waiting: Vec<(IpAddr, Vec<u8>)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    at: Monotonic,
    number: u64,
    to: usize,
    source: IpAddr,
    payload: Vec<u8>,
}

pub(crate) struct Lan {
    machines: Vec<Machine>,
    under_way: BinaryHeap<Reverse<Delivery>>,
    sent: u64,
    now: Monotonic,
    random: u64,
    loss_percent: u8,
    duplication_percent: u8,
    latency: Duration,
    pub(crate) changes: Vec<Change>,
    /// Times during which nobody held the VIP, by when they began; the last may be open.
    pub(crate) gaps: Vec<(Monotonic, Option<Monotonic>)>,
}

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
        checksum: ChecksumConvention::Rfc9568,
        virtual_addresses: vec![VIP],
        gratuitous: GratuitousAnnouncements::default(),
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    }
    .check()
    .unwrap()
}

impl Lan {
    /// Machines that are powered on and whose routers have just started.
    pub(crate) fn new(configs: Vec<CheckedConfig>, seed: u64) -> Self {
        let machine = |config| Machine {
            config,
            router: None,
            drained: false,
            stopping: false,
            cut: false,
            holds_vip: false,
            last_sent: None,
            paused_until: Monotonic::ZERO,
            waiting: Vec::new(),
        };
        let mut lan = Self {
            machines: configs.into_iter().map(machine).collect(),
            under_way: BinaryHeap::new(),
            sent: 0,
            now: Monotonic::ZERO,
            random: seed,
            loss_percent: 0,
            duplication_percent: 0,
            latency: Duration::from_micros(500),
            changes: Vec::new(),
            gaps: vec![(Monotonic::ZERO, None)],
        };
        for number in 0..lan.machines.len() {
            lan.start(number, Input::Start);
        }
        lan
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.now
    }

    pub(crate) fn active(&self) -> Vec<usize> {
        let is_active = |machine: &Machine| {
            machine
                .router
                .as_ref()
                .is_some_and(|router| router.role() == Role::Active)
        };
        (0..self.machines.len())
            .filter(|number| is_active(&self.machines[*number]))
            .collect()
    }

    pub(crate) fn holders(&self) -> Vec<usize> {
        (0..self.machines.len())
            .filter(|number| self.machines[*number].holds_vip)
            .collect()
    }

    pub(crate) fn is_drained(&self, number: usize) -> bool {
        self.machines[number].drained
    }

    /// Lets `time` pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.deliver();
            self.resume();
            self.tick();
            self.note_gaps();
        }
        self.now = end;
    }

    /// Ends every fault and starts what does not run, so that the segment is whole.
    pub(crate) fn repair(&mut self) {
        self.loss_percent = 0;
        self.duplication_percent = 0;
        self.latency = Duration::from_micros(500);
        for number in 0..self.machines.len() {
            self.machines[number].cut = false;
            self.machines[number].paused_until = self.now;
            self.resume();
            if self.machines[number].stopping {
                self.input(number, Input::Stop);
            }
            self.start(number, Input::Start);
        }
    }

    pub(crate) fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::PowerOff(number) => {
                let machine = &mut self.machines[number];
                machine.router = None;
                machine.holds_vip = false;
                machine.last_sent = None;
                machine.waiting.clear();
            }
            Fault::PowerOn(number) | Fault::Start(number) => self.start(number, Input::Start),
            Fault::Cut(number) => self.machines[number].cut = true,
            Fault::Mend(number) => self.machines[number].cut = false,
            Fault::Pause(number, time) => self.machines[number].paused_until = self.now + time,
            Fault::Restart(number) => self.restart(number),
            // A second stop would be an order to end at once.
            Fault::Stop(number) if self.machines[number].stopping => {}
            Fault::Stop(number) => {
                self.machines[number].stopping = true;
                self.input(number, Input::Stop);
            }
            Fault::Drain(number, drain) => {
                self.machines[number].drained = drain;
                self.input(number, Input::Drain(drain));
            }
            Fault::Loss(percent) => self.loss_percent = percent,
            Fault::Duplication(percent) => self.duplication_percent = percent,
            Fault::Latency(latency) => self.latency = latency,
        }
        self.note_gaps();
    }

    fn start(&mut self, number: usize, how: Input) {
        let machine = &mut self.machines[number];
        if machine.router.is_none() {
            machine.stopping = false;
            machine.router = Some(Router::new(machine.config.clone()));
            let drained = machine.drained;
            self.input(number, Input::Drain(drained));
            self.input(number, how);
        }
    }

    /// As the agent does: it resumes if it was Active and its time has not run out.
    fn restart(&mut self, number: usize) {
        let now = self.now;
        let machine = &mut self.machines[number];
        let Some(router) = machine.router.take() else {
            return;
        };
        let in_time = machine
            .last_sent
            .is_some_and(|at| now.saturating_since(at) < machine.config.resume_within());
        let resume = router.role() == Role::Active && in_time;
        self.start(
            number,
            if resume {
                Input::StartActive
            } else {
                Input::Start
            },
        );
    }

    fn next_event(&self) -> Option<Monotonic> {
        let deadline = |machine: &Machine| {
            if machine.paused_until > self.now {
                return Some(machine.paused_until);
            }
            machine.router.as_ref().and_then(Router::next_deadline)
        };
        let deadlines = self.machines.iter().filter_map(deadline);
        deadlines
            .chain(self.under_way.peek().map(|delivery| delivery.0.at))
            .min()
    }

    fn deliver(&mut self) {
        while self
            .under_way
            .peek()
            .is_some_and(|delivery| delivery.0.at <= self.now)
        {
            let Some(Reverse(delivery)) = self.under_way.pop() else {
                return;
            };
            let machine = &mut self.machines[delivery.to];
            if machine.cut || machine.router.is_none() {
                continue;
            }
            if machine.paused_until > self.now {
                machine.waiting.push((delivery.source, delivery.payload));
            } else {
                self.receive(delivery.to, delivery.source, &delivery.payload);
            }
        }
    }

    /// Hands the packets that waited for a paused process to it, before it ticks.
    fn resume(&mut self) {
        for number in 0..self.machines.len() {
            if self.machines[number].paused_until > self.now {
                continue;
            }
            for (source, payload) in std::mem::take(&mut self.machines[number].waiting) {
                self.receive(number, source, &payload);
            }
        }
    }

    fn tick(&mut self) {
        for number in 0..self.machines.len() {
            if self.machines[number].paused_until <= self.now {
                self.input(number, Input::Tick);
            }
        }
    }

    fn receive(&mut self, number: usize, source: IpAddr, payload: &[u8]) {
        let header = IpHeader {
            source,
            destination: self.machines[number].config.group(),
            time_to_live: 255,
        };
        let advertisement = Advertisement::decode(&header, payload).unwrap();
        self.input(
            number,
            Input::Received {
                source,
                advertisement,
            },
        );
    }

    fn input(&mut self, number: usize, input: Input) {
        let now = self.now;
        let Some(router) = &mut self.machines[number].router else {
            return;
        };
        for output in router.handle(input, now) {
            self.perform(number, output);
        }
    }

    fn perform(&mut self, number: usize, output: Output) {
        match output {
            Output::SendAdvertisement { payload, .. } => self.send(number, &payload),
            Output::AddVips(_) => self.machines[number].holds_vip = true,
            Output::RemoveVips(_) => self.machines[number].holds_vip = false,
            Output::Announce(_) => {
                assert!(
                    self.machines[number].holds_vip,
                    "{number} announces what it has not"
                );
            }
            Output::RoleChanged { to, .. } => {
                self.changes.push(Change {
                    at: self.now,
                    router: number,
                    to,
                });
            }
            Output::Stopped => self.machines[number].router = None,
            Output::Rejected(reason) => panic!("{number} rejects a packet: {reason}"),
            Output::PeerDiffers { .. } => panic!("all routers are configured alike"),
            Output::Contested { .. } | Output::NoSuccessor => {}
        }
    }

    fn send(&mut self, from: usize, payload: &[u8]) {
        self.machines[from].last_sent = Some(self.now);
        if self.machines[from].cut {
            return;
        }
        let source = self.machines[from].config.own_address;
        for to in (0..self.machines.len()).filter(|to| *to != from) {
            if self.chance(self.loss_percent) {
                continue;
            }
            let copies = if self.chance(self.duplication_percent) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let latency = self.latency.mul_f64(self.fraction());
                self.sent += 1;
                self.under_way.push(Reverse(Delivery {
                    at: self.now + latency,
                    number: self.sent,
                    to,
                    source,
                    payload: payload.to_vec(),
                }));
            }
        }
    }

    fn note_gaps(&mut self) {
        let held = !self.holders().is_empty();
        let open = self.gaps.last_mut().filter(|(_, end)| end.is_none());
        match open {
            Some((_, end)) if held => *end = Some(self.now),
            None if !held => self.gaps.push((self.now, None)),
            _ => {}
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.fraction() * 100.0 < f64::from(percent)
    }

    /// A number from 0 to 1 (splitmix64).
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let upper = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap();
        f64::from(upper) / f64::from(u32::MAX)
    }
}

/// How often each router changed its role, for messages.
pub(crate) fn summary(changes: &[Change]) -> BTreeMap<usize, Vec<(Duration, Role)>> {
    let mut summary: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for change in changes {
        summary
            .entry(change.router)
            .or_default()
            .push((change.at.since_epoch(), change.to));
    }
    summary
}
