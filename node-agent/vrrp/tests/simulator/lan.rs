//! Segments with machines on them, in simulated time: what happens is decided by the schedule of
//! faults and a seed alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use lvs_vrrp::hmac::HmacRejection;
use lvs_vrrp::ip::IpHeader;
use lvs_vrrp::{CheckedConfig, Input, Monotonic, Output, RejectReason, Role, Router};

use crate::machine::{Machine, Place, Port};
use crate::random::Random;

mod faults;

/// A change of role, as written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Monotonic,
    pub(crate) place: Place,
    pub(crate) to: Role,
}

impl Delivery {
    fn header(&self) -> IpHeader {
        IpHeader {
            source: self.source,
            destination: self.destination,
            time_to_live: 255,
        }
    }
}

/// A time during which nobody held the VIP, by when it began; an open one has no end.
pub(crate) type Gap = (Monotonic, Option<Monotonic>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    at: Monotonic,
    number: u64,
    to: Place,
    source: IpAddr,
    destination: IpAddr,
    payload: Vec<u8>,
}

pub(crate) struct Lan {
    machines: Vec<Machine>,
    under_way: BinaryHeap<Reverse<Delivery>>,
    sent: u64,
    now: Monotonic,
    random: Random,
    loss_percent: u8,
    /// Most packets lost in a row between two ports; no limit if none is given.
    loss_limit: Option<u8>,
    /// Packets lost in a row, by sender and receiver.
    lost: BTreeMap<(Place, Place), u8>,
    duplication_percent: u8,
    latency: Duration,
    pub(crate) changes: Vec<Change>,
    /// The gaps of each segment.
    pub(crate) gaps: Vec<Vec<Gap>>,
}

impl Lan {
    /// Machines that are powered on and whose routers have just started, all on `segments`.
    pub(crate) fn new(configs: &[CheckedConfig], segments: usize, seed: u64) -> Self {
        let mut lan = Self::without_power(configs, segments, seed);
        lan.power_on();
        lan
    }

    /// Machines that are still to be powered on.
    pub(crate) fn without_power(configs: &[CheckedConfig], segments: usize, seed: u64) -> Self {
        Self {
            machines: configs
                .iter()
                .map(|config| Machine::new(config, segments))
                .collect(),
            under_way: BinaryHeap::new(),
            sent: 0,
            now: Monotonic::ZERO,
            random: Random::new(seed),
            loss_percent: 0,
            loss_limit: None,
            lost: BTreeMap::new(),
            duplication_percent: 0,
            latency: Duration::from_micros(500),
            changes: Vec::new(),
            gaps: vec![vec![(Monotonic::ZERO, None)]; segments],
        }
    }

    pub(crate) fn power_on(&mut self) {
        for number in 0..self.machines.len() {
            self.start(number, &[]);
        }
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.now
    }

    /// The machines that are Active on a segment.
    pub(crate) fn active(&self, segment: usize) -> Vec<usize> {
        self.machines_with(segment, Port::is_active)
    }

    /// The machines that have the VIP on a segment.
    pub(crate) fn holders(&self, segment: usize) -> Vec<usize> {
        self.machines_with(segment, |port| port.holds_vip)
    }

    fn machines_with(&self, segment: usize, has: impl Fn(&Port) -> bool) -> Vec<usize> {
        (0..self.machines.len())
            .filter(|number| has(&self.machines[*number].ports[segment]))
            .collect()
    }

    /// Limits how many packets are lost in a row.
    pub(crate) fn limit_loss(&mut self, limit: u8) {
        self.loss_limit = Some(limit);
    }

    /// Lets the clock of a machine go wrong by millionths.
    pub(crate) fn skew(&mut self, number: usize, millionths: i32) {
        self.machines[number].skew = millionths;
    }

    /// The priority in force of a machine that runs.
    pub(crate) fn priority(&self, number: usize) -> Option<u8> {
        let router = self.machines[number].ports[0].router.as_ref();
        router.map(Router::priority)
    }

    /// Hands each router's inputs to a new router: its outputs must be the same.
    pub(crate) fn replay(&self) {
        for port in self.machines.iter().flat_map(|machine| &machine.ports) {
            let mut router = Router::new(port.config.clone());
            for (input, now, outputs) in &port.log {
                assert_eq!(&router.handle(input.clone(), *now), outputs);
            }
        }
    }

    /// Remembers what every router is told and what it says, for [`Lan::replay`].
    pub(crate) fn record(&mut self) {
        for machine in 0..self.machines.len() {
            for port in &mut self.machines[machine].ports {
                assert!(port.router.is_none(), "from the beginning");
                port.records = true;
            }
        }
    }

    /// Whether a router tells of another that is Active, too.
    pub(crate) fn is_split(&self) -> bool {
        let mut ports = self.machines.iter().flat_map(|machine| &machine.ports);
        ports.any(|port| port.split.is_some())
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

    fn port(&mut self, place: Place) -> &mut Port {
        &mut self.machines[place.machine].ports[place.segment]
    }

    fn next_event(&self) -> Option<Monotonic> {
        let deadline = |machine: &Machine| {
            if machine.paused_until > self.now {
                Some(machine.paused_until)
            } else {
                machine.next_deadline().map(|at| machine.reaches(at))
            }
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
            let is_paused = self.machines[delivery.to.machine].paused_until > self.now;
            let port = self.port(delivery.to);
            if port.deaf || port.unplugged || port.router.is_none() {
                continue;
            }
            if is_paused {
                port.waiting.push((delivery.header(), delivery.payload));
            } else {
                self.receive(delivery.to, &delivery.header(), &delivery.payload);
            }
        }
    }

    /// Hands the packets that waited for a paused process to it, before it ticks.
    fn resume(&mut self) {
        for place in self.places() {
            if self.machines[place.machine].paused_until > self.now {
                continue;
            }
            for (header, payload) in std::mem::take(&mut self.port(place).waiting) {
                self.receive(place, &header, &payload);
            }
        }
    }

    fn tick(&mut self) {
        for number in 0..self.machines.len() {
            let machine = &self.machines[number];
            let now = machine.clock(self.now);
            let is_due = machine.next_deadline().is_some_and(|at| at <= now);
            if is_due && machine.paused_until <= self.now {
                self.input_all(number, &Input::Tick);
            }
        }
    }

    fn places(&self) -> Vec<Place> {
        let segments = self.gaps.len();
        (0..self.machines.len())
            .flat_map(|machine| (0..segments).map(move |segment| Place { machine, segment }))
            .collect()
    }

    fn receive(&mut self, place: Place, header: &IpHeader, payload: &[u8]) {
        let time_of_day = self.now.since_epoch();
        let decoded = self.port(place).wire.decode(header, payload, time_of_day);
        let advertisement = match decoded {
            // Sent twice, overtaken, or waited for: the network's doing, and as good as lost.
            Err(RejectReason::Hmac(HmacRejection::Replay | HmacRejection::Stale)) => return,
            other => other.unwrap().unwrap(),
        };
        self.input(
            place,
            Input::Received {
                source: header.source,
                advertisement,
            },
        );
    }

    fn input_all(&mut self, machine: usize, input: &Input) {
        for segment in 0..self.machines[machine].ports.len() {
            self.handle(Place { machine, segment }, input.clone());
        }
        self.settle(machine);
    }

    fn input(&mut self, place: Place, input: Input) {
        self.handle(place, input);
        self.settle(place.machine);
    }

    fn settle(&mut self, machine: usize) {
        if self.machines[machine].paused_until > self.now {
            return;
        }
        // What a router that was paused is told makes it step back, which is news for its group.
        let now = self.machines[machine].clock(self.now);
        for _ in 0..2 {
            for (segment, input) in self.machines[machine].settle(now) {
                self.handle(Place { machine, segment }, input);
            }
        }
        let rest = self.machines[machine].settle(now);
        assert_eq!(rest, [], "{machine} is told the same for ever");
    }

    fn handle(&mut self, place: Place, input: Input) {
        let now = self.machines[place.machine].clock(self.now);
        let port = self.port(place);
        let Some(router) = &mut port.router else {
            return;
        };
        let outputs = if port.records {
            let outputs = router.handle(input.clone(), now);
            port.log.push((input, now, outputs.clone()));
            outputs
        } else {
            router.handle(input, now)
        };
        for output in outputs {
            self.perform(place, output);
        }
    }

    fn perform(&mut self, place: Place, output: Output) {
        match output {
            Output::SendAdvertisement {
                destination,
                advertisement,
            } => {
                let time_of_day = self.now.since_epoch();
                let wire = &mut self.port(place).wire;
                let payload = wire.encode(&advertisement, destination, time_of_day);
                self.send(place, destination, &payload);
            }
            Output::AddVips(_) => self.port(place).holds_vip = true,
            Output::RemoveVips(_) => self.port(place).holds_vip = false,
            Output::Announce(_) => {
                assert!(
                    self.port(place).holds_vip,
                    "{place:?} announces what it has not"
                );
            }
            Output::RoleChanged { to, .. } => {
                let at = self.now;
                if to != Role::Active {
                    self.port(place).last_sent = None;
                }
                self.changes.push(Change { at, place, to });
            }
            Output::PeerLost { peer, heard_at } => {
                let now = self.machines[place.machine].clock(self.now);
                let silence = now.saturating_since(heard_at);
                let router = self.port(place).router.as_ref().unwrap();
                let interval = router.config().advertisement_interval.duration();
                let least = interval * u32::from(router.config().down_advertisements);
                assert!(
                    silence >= least,
                    "{place:?} gives {peer} up after {silence:?}, not {least:?}"
                );
            }
            Output::Stopped => self.port(place).router = None,
            Output::Rejected(reason) => panic!("{place:?} rejects a packet: {reason}"),
            Output::PeerDiffers { .. } => panic!("all routers are configured alike"),
            Output::SplitBrain { peer, .. } => {
                let other = self.port(place).split.replace(peer);
                assert_eq!(other, None, "{place:?} tells of two splits at a time");
            }
            Output::SplitHealed { peer, .. } => {
                let other = self.port(place).split.take();
                assert_eq!(other, Some(peer), "{place:?} tells of the end of no split");
            }
            Output::NoSuccessor => {}
        }
    }

    fn send(&mut self, from: Place, destination: IpAddr, payload: &[u8]) {
        let now = self.machines[from.machine].clock(self.now);
        let port = self.port(from);
        if let Some(last) = port.last_sent.replace(now) {
            let silence = now.saturating_since(last);
            let is_bound = port.is_active() && !port.stopping;
            assert!(
                !is_bound || silence < port.config.stalled_after(),
                "{from:?} speaks as Active after {silence:?}, when its equals are and were to be heard"
            );
        }
        if port.mute || port.unplugged {
            return;
        }
        let source = port.config.own_address;
        for machine in (0..self.machines.len()).filter(|to| *to != from.machine) {
            let to = Place {
                machine,
                segment: from.segment,
            };
            let is_addressed =
                destination.is_multicast() || self.port(to).config.own_address == destination;
            if !is_addressed || self.loses(from, to) {
                continue;
            }
            let copies = if self.random.chance(self.duplication_percent) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let latency = self.latency.mul_f64(self.random.fraction());
                self.sent += 1;
                self.under_way.push(Reverse(Delivery {
                    at: self.now + latency,
                    number: self.sent,
                    to,
                    source,
                    destination,
                    payload: payload.to_vec(),
                }));
            }
        }
    }

    fn note_gaps(&mut self) {
        for segment in 0..self.gaps.len() {
            let held = (self.machines.iter()).any(|machine| machine.ports[segment].holds_vip);
            let now = self.now;
            let gaps = &mut self.gaps[segment];
            let open = gaps.last_mut().filter(|(_, end)| end.is_none());
            match open {
                Some((_, end)) if held => *end = Some(now),
                None if !held => gaps.push((now, None)),
                _ => {}
            }
        }
    }

    /// Whether a packet is lost.
    fn loses(&mut self, from: Place, to: Place) -> bool {
        let is_unlucky = self.random.chance(self.loss_percent);
        let Some(limit) = self.loss_limit else {
            return is_unlucky;
        };
        let lost = self.lost.entry((from, to)).or_default();
        let is_lost = is_unlucky && *lost < limit;
        *lost = if is_lost { *lost + 1 } else { 0 };
        is_lost
    }
}

/// How each router changed its role, for messages.
pub(crate) fn summary(changes: &[Change]) -> BTreeMap<Place, Vec<(Duration, Role)>> {
    let mut summary: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for change in changes {
        summary
            .entry(change.place)
            .or_default()
            .push((change.at.since_epoch(), change.to));
    }
    summary
}
