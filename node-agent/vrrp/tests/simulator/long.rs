//! Thousands of hours of random schedules: every episode has machines, a configuration and faults that
//! its seed decides.
//!
//! `LVS_VRRP_SIMULATED_HOURS` says how many hours; `LVS_VRRP_SEED` runs one episode alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lvs_vrrp::hmac::{AntiReplay, HmacKey, HmacKeys, HmacMode};
use lvs_vrrp::{
    Authentication, Centiseconds, CheckedConfig, Config, HmacConfig, LowerPriorityAdvertisement,
    Preemption, SimplePassword, Transport, Version,
};

use crate::lan::{Lan, summary};
use crate::machine::{Fault, Place, config};
use crate::random::Random;

/// Hours that every run of the tests simulates.
const SLICE_HOURS: u64 = 100;
/// Seeds that once found something wrong.
const KEPT: [u64; 0] = [];

/// What episodes have covered.
#[derive(Clone, Copy, Debug, Default)]
struct Covered {
    time: Duration,
    intervals: u64,
    faults: u64,
    changes: u64,
}

struct Episode {
    random: Random,
    configs: Vec<CheckedConfig>,
    segments: usize,
    interval: Duration,
    lan: Lan,
    /// Whether somebody was drained: hand-overs take their time.
    drains: bool,
    holds: Vec<bool>,
    faults: u64,
}

impl Episode {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let segments = if random.chance(25) { 2 } else { 1 };
        let configs = configs(&mut random, segments);
        let mut lan = Lan::without_power(&configs, segments, random.number());
        for number in 0..configs.len() {
            // One in a hundred is far worse than any quartz.
            lan.skew(
                number,
                i32::try_from(random.below(20_001)).unwrap() - 10_000,
            );
        }
        if random.chance(10) {
            lan.record();
        }
        lan.power_on();
        Self {
            interval: configs[0].advertisement_interval.duration(),
            drains: false,
            holds: vec![false; configs.len()],
            random,
            configs,
            segments,
            lan,
            faults: 0,
        }
    }

    fn run(mut self) -> Covered {
        for _ in 0..3 {
            self.disturb();
            self.settle();
            self.stay();
        }
        self.lan.replay();
        let time = self.lan.now().since_epoch();
        Covered {
            time,
            intervals: u64::try_from(time.as_nanos() / self.interval.as_nanos()).unwrap(),
            faults: self.faults,
            changes: u64::try_from(self.lan.changes.len()).unwrap(),
        }
    }

    /// Up to twenty faults, and the time after each.
    fn disturb(&mut self) {
        self.drains = (0..self.configs.len()).any(|number| self.lan.is_drained(number));
        for _ in 0..self.random.below(20) {
            let fault = self.fault();
            self.drains |= matches!(fault, Fault::Drain(..));
            if let Fault::Hold(number, hold) = fault {
                self.holds[number] = hold;
            }
            self.lan.inflict(fault);
            self.faults += 1;
            let pause = self.intervals(5.0);
            self.lan.pass(pause);
        }
    }

    fn fault(&mut self) -> Fault {
        let random = &mut self.random;
        let number = random.below(self.configs.len());
        let place = Place {
            machine: number,
            segment: random.below(self.segments),
        };
        let yes = random.chance(50);
        match random.below(18) {
            0 => Fault::PowerOff(number),
            1 => Fault::PowerOn(number),
            2 => Fault::Unplug(place),
            3 => Fault::Cut(place),
            4 => Fault::Deafen(place),
            5 => Fault::Mute(place),
            6 | 7 => Fault::Mend(place),
            8 => Fault::Pause(number, self.intervals(8.0)),
            9 => Fault::Restart(number),
            10 => Fault::Stop(number),
            11 => Fault::Start(number),
            12 => Fault::Drain(number, yes),
            13 => Fault::Fail(number, yes),
            // The machines of a group must have different priorities.
            14 if self.segments == 1 => {
                Fault::Weigh(number, i32::try_from(random.below(401)).unwrap() - 200)
            }
            14 | 15 => Fault::Hold(number, yes),
            16 => Fault::Loss(u8::try_from(random.below(60)).unwrap()),
            _ => {
                let percent = u8::try_from(random.below(50)).unwrap();
                self.lan.inflict(Fault::Duplication(percent));
                Fault::Latency(self.intervals(0.1))
            }
        }
    }

    /// Up to so many intervals.
    fn intervals(&mut self, most: f64) -> Duration {
        self.interval.mul_f64(most * self.random.fraction())
    }

    /// The segments are whole from now on: after the time that this takes one machine is Active.
    fn settle(&mut self) {
        self.lan.repair();
        let waits = f64::from(self.configs[0].down_advertisements) + 2.0;
        let waits = match (self.segments, self.drains) {
            // The slowest down interval, and a hundredth for the clocks and the way of a packet.
            (1, false) => waits,
            // An offer, and a take-over after it.
            (1, true) => waits * 2.0 + 2.0,
            _ => waits * 6.0 + 6.0,
        };
        let whole = self.interval.mul_f64(waits * 1.02);
        self.lan.pass(whole);
        let told = |lan: &Lan| format!("{:?}", summary(&lan.changes));
        let active = self.lan.active(0);
        assert_eq!(active.len(), 1, "Active: {active:?}; {}", told(&self.lan));
        for segment in 0..self.segments {
            assert_eq!(self.lan.active(segment), active, "{}", told(&self.lan));
            assert_eq!(self.lan.holders(segment), active, "{}", told(&self.lan));
        }
        self.check_choice(active[0]);
    }

    /// It is the machine that the configuration prefers.
    fn check_choice(&self, active: usize) {
        let numbers = 0..self.configs.len();
        let mut undrained = numbers
            .clone()
            .filter(|number| !self.lan.is_drained(*number));
        if undrained.clone().next().is_some() {
            assert!(!self.lan.is_drained(active), "{active} is drained");
        }
        let preempts = self.configs[0].preemption == Preemption::Immediate
            && !self.holds.contains(&true)
            && undrained.clone().count() == self.configs.len();
        if preempts {
            let best = undrained.by_ref().map(|number| self.lan.priority(number));
            assert_eq!(self.lan.priority(active), best.max().unwrap());
        }
    }

    /// Slow segments that deliver twice and lose packets, but fewer in a row than a Backup forgives,
    /// change no role.
    fn stay(&mut self) {
        let forgiven = self.configs[0].down_advertisements - 2;
        self.lan.limit_loss(forgiven);
        self.lan.inflict(Fault::Loss(40));
        self.lan.inflict(Fault::Duplication(30));
        self.lan.inflict(Fault::Latency(self.interval / 10));
        let before = self.lan.changes.len();
        let time = self.interval * 50 + self.intervals(400.0);
        self.lan.pass(time);
        let changes = &self.lan.changes[before..];
        assert!(changes.is_empty(), "flaps: {:?}", summary(changes));
        assert!(!self.lan.is_split(), "a split is not over");
    }
}

/// Two to four machines that are configured alike but for their priorities.
fn configs(random: &mut Random, segments: usize) -> Vec<CheckedConfig> {
    let preemption = random.one_of(&[Preemption::Never, Preemption::Immediate]);
    let version = random.one_of(&[Version::V2, Version::V3, Version::V3, Version::V3]);
    let interval = match version {
        Version::V2 => random.one_of(&[100, 500, 1_000, 3_000]),
        Version::V3 => random.one_of(&[1, 10, 100, 1_000, 4_095]),
    };
    let down_advertisements = random.one_of(&[3, 3, 3, 2, 5]);
    let lower_priority_advertisement = random.one_of(&[
        LowerPriorityAdvertisement::Send,
        LowerPriorityAdvertisement::Skip,
    ]);
    let authentication = authentication(random, version);
    let unicast = random.chance(30);
    let machines = 2 + random.below(3);
    let mut priorities: Vec<u8> = Vec::new();
    while priorities.len() < machines {
        let priority = u8::try_from(random.below(254) + 1).unwrap();
        if segments == 1 || !priorities.contains(&priority) {
            priorities.push(priority);
        }
    }
    let own = |number: usize| config(number, 1, preemption).own_address;
    let numbered = priorities.iter().enumerate();
    numbered
        .map(|(number, &priority)| {
            let peers = (0..machines).filter(|other| *other != number).map(own);
            let config = Config {
                version,
                advertisement_interval: Centiseconds::new(interval),
                down_advertisements,
                lower_priority_advertisement,
                authentication: authentication.clone(),
                transport: if unicast {
                    Transport::Unicast {
                        peers: peers.collect(),
                        minimum_ttl: 255,
                    }
                } else {
                    Transport::Multicast
                },
                ..(*config(number, priority, preemption)).clone()
            };
            config.check().unwrap()
        })
        .collect()
}

fn authentication(random: &mut Random, version: Version) -> Option<Authentication> {
    match random.below(4) {
        0 => {
            let anti_replay = random.one_of(&[
                AntiReplay::Monotonic,
                AntiReplay::Time { window_seconds: 5 },
            ]);
            let key = HmacKey::new(1, &[7; 32]).unwrap();
            Some(Authentication::Hmac(HmacConfig {
                keys: HmacKeys::new(vec![key], 1).unwrap(),
                anti_replay,
                mode: HmacMode::Enforce,
            }))
        }
        1 if version == Version::V2 => SimplePassword::new(b"1111")
            .ok()
            .map(Authentication::Simple),
        _ => None,
    }
}

fn episode(seed: u64) -> Covered {
    let ran = catch_unwind(AssertUnwindSafe(|| Episode::new(seed).run()));
    ran.unwrap_or_else(|_| panic!("LVS_VRRP_SEED={seed} shows it again"))
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn seeds_that_found_something_find_nothing_more() {
    for seed in KEPT {
        episode(seed);
    }
}

#[test]
fn thousands_of_hours_keep_every_promise() {
    if let Some(seed) = number_of("LVS_VRRP_SEED") {
        println!("{:?}", episode(seed));
        return;
    }
    let hours = number_of("LVS_VRRP_SIMULATED_HOURS").unwrap_or(SLICE_HOURS);
    let wanted = Duration::from_hours(hours);
    let next = AtomicU64::new(0);
    let total = Mutex::new(Covered::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while total.lock().unwrap().time < wanted {
                    let covered = episode(next.fetch_add(1, Ordering::Relaxed));
                    let mut total = total.lock().unwrap();
                    total.time += covered.time;
                    total.intervals += covered.intervals;
                    total.faults += covered.faults;
                    total.changes += covered.changes;
                }
            });
        }
    });
    let Covered {
        time,
        intervals,
        faults,
        changes,
    } = *total.lock().unwrap();
    println!(
        "{} hours in {} episodes: {intervals} advertisement intervals, {faults} faults, {changes} \
         changes of role",
        time.as_secs() / 3600,
        next.load(Ordering::Relaxed)
    );
}
