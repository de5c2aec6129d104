//! Segments with machines on them, in simulated time: what happens is decided by the schedule of
//! faults and a seed alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use lvs_vrrp::ip::IpHeader;
use lvs_vrrp::{CheckedConfig, Input, Monotonic, Output, Role, Router};

use crate::machine::{Fault, Machine, Place, Port};

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
    random: u64,
    loss_percent: u8,
    duplication_percent: u8,
    latency: Duration,
    pub(crate) changes: Vec<Change>,
    /// The gaps of each segment.
    pub(crate) gaps: Vec<Vec<Gap>>,
}

impl Lan {
    /// Machines that are powered on and whose routers have just started, all on `segments`.
    pub(crate) fn new(configs: &[CheckedConfig], segments: usize, seed: u64) -> Self {
        let mut lan = Self {
            machines: configs
                .iter()
                .map(|config| Machine::new(config, segments))
                .collect(),
            under_way: BinaryHeap::new(),
            sent: 0,
            now: Monotonic::ZERO,
            random: seed,
            loss_percent: 0,
            duplication_percent: 0,
            latency: Duration::from_micros(500),
            changes: Vec::new(),
            gaps: vec![vec![(Monotonic::ZERO, None)]; segments],
        };
        for number in 0..lan.machines.len() {
            lan.start(number, &[]);
        }
        lan
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

    /// Ends every fault and starts what does not run, so that the segments are whole.
    pub(crate) fn repair(&mut self) {
        self.loss_percent = 0;
        self.duplication_percent = 0;
        self.latency = Duration::from_micros(500);
        for machine in 0..self.machines.len() {
            self.machines[machine].paused_until = self.now;
            for segment in 0..self.gaps.len() {
                self.mend(Place { machine, segment });
            }
            self.resume();
            for segment in 0..self.gaps.len() {
                let place = Place { machine, segment };
                if self.port(place).stopping {
                    self.handle(place, Input::Stop);
                }
            }
            self.start(machine, &[]);
        }
    }

    pub(crate) fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::PowerOff(number) => {
                for port in &mut self.machines[number].ports {
                    port.router = None;
                    port.holds_vip = false;
                    port.last_sent = None;
                    port.waiting.clear();
                }
            }
            Fault::PowerOn(number) | Fault::Start(number) => self.start(number, &[]),
            Fault::Unplug(place) => {
                self.port(place).unplugged = true;
                self.input(place, Input::InterfaceDown);
            }
            Fault::Cut(place) => {
                self.port(place).deaf = true;
                self.port(place).mute = true;
            }
            Fault::Deafen(place) => self.port(place).deaf = true,
            Fault::Mute(place) => self.port(place).mute = true,
            Fault::Mend(place) => self.mend(place),
            Fault::Pause(number, time) => self.machines[number].paused_until = self.now + time,
            Fault::Restart(number) => self.restart(number),
            Fault::Stop(number) => self.stop(number),
            Fault::Drain(number, drain) => {
                self.machines[number].drained = drain;
                self.input_all(number, &Input::Drain(drain));
            }
            Fault::Loss(percent) => self.loss_percent = percent,
            Fault::Duplication(percent) => self.duplication_percent = percent,
            Fault::Latency(latency) => self.latency = latency,
        }
        self.note_gaps();
    }

    fn port(&mut self, place: Place) -> &mut Port {
        &mut self.machines[place.machine].ports[place.segment]
    }

    fn mend(&mut self, place: Place) {
        let port = self.port(place);
        port.deaf = false;
        port.mute = false;
        if std::mem::take(&mut port.unplugged) {
            self.input(place, Input::InterfaceUp);
        }
    }

    /// Starts a machine's routers that do not run, as Active on the segments named.
    fn start(&mut self, machine: usize, resumed: &[usize]) {
        let ports = 0..self.machines[machine].ports.len();
        let drained = self.machines[machine].drained;
        for segment in ports {
            let place = Place { machine, segment };
            if self.port(place).router.is_some() {
                continue;
            }
            let config = self.port(place).config.clone();
            self.port(place).stopping = false;
            self.port(place).router = Some(Router::new(config));
            self.handle(place, Input::Drain(drained));
            if self.port(place).unplugged {
                self.handle(place, Input::InterfaceDown);
            }
            let how = if resumed.contains(&segment) {
                Input::StartActive
            } else {
                Input::Start
            };
            self.handle(place, how);
        }
        self.settle(machine);
    }

    fn stop(&mut self, machine: usize) {
        for segment in 0..self.gaps.len() {
            let place = Place { machine, segment };
            // A second stop would be an order to end at once.
            if !std::mem::replace(&mut self.port(place).stopping, true) {
                self.handle(place, Input::Stop);
            }
        }
        self.settle(machine);
    }

    fn restart(&mut self, machine: usize) {
        let now = self.now;
        let ports = &mut self.machines[machine].ports;
        let resumed: Vec<_> = (0..ports.len())
            .filter(|segment| ports[*segment].resumes(now))
            .collect();
        let mut ran = false;
        for port in ports {
            ran |= port.router.take().is_some();
        }
        if ran {
            self.start(machine, &resumed);
        }
    }

    fn next_event(&self) -> Option<Monotonic> {
        let deadline = |machine: &Machine| {
            if machine.paused_until > self.now {
                Some(machine.paused_until)
            } else {
                machine.next_deadline()
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
        for place in self.places() {
            if self.machines[place.machine].paused_until <= self.now {
                self.input(place, Input::Tick);
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
        let advertisement = decoded.unwrap().unwrap();
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
        for _ in 0..2 {
            for (segment, input) in self.machines[machine].settle(self.now) {
                self.handle(Place { machine, segment }, input);
            }
        }
        let rest = self.machines[machine].settle(self.now);
        assert_eq!(rest, [], "{machine} is told the same for ever");
    }

    fn handle(&mut self, place: Place, input: Input) {
        let now = self.now;
        let Some(router) = &mut self.port(place).router else {
            return;
        };
        for output in router.handle(input, now) {
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
                self.changes.push(Change { at, place, to });
            }
            Output::Stopped => self.port(place).router = None,
            Output::Rejected(reason) => panic!("{place:?} rejects a packet: {reason}"),
            Output::PeerDiffers { .. } => panic!("all routers are configured alike"),
            Output::SplitBrain { .. } | Output::SplitHealed { .. } | Output::NoSuccessor => {}
        }
    }

    fn send(&mut self, from: Place, destination: IpAddr, payload: &[u8]) {
        let now = self.now;
        let port = self.port(from);
        port.last_sent = Some(now);
        if port.mute || port.unplugged {
            return;
        }
        let source = port.config.own_address;
        for machine in (0..self.machines.len()).filter(|to| *to != from.machine) {
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
                    to: Place {
                        machine,
                        segment: from.segment,
                    },
                    source,
                    destination,
                    payload: payload.to_vec(),
                }));
            }
        }
    }

    fn note_gaps(&mut self) {
        for segment in 0..self.gaps.len() {
            let held = !self.holders(segment).is_empty();
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
