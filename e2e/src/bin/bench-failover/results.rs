//! What is to be measured and what has been, one JSON object per line of a file.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::BLOCK;
use crate::figures::Sample;
use crate::side::{PRIORITY, Side};

/// What is done to the directors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// SIGKILL to every process of the Active director's program; its kernel goes on.
    Kill,
    /// No process of the Active director's program runs any more, and none ends; its kernel goes on.
    Hang,
    /// SIGTERM to the Active director's program.
    Stop,
    /// Every process of the Active director stops and its cable is gone at once.
    Power,
    /// The Active director's cable is gone.
    Cut,
    /// A kill with 256 VIPs on one instance.
    Vips,
    /// Nothing: 255 instances at rest.
    Instances,
}

impl Event {
    /// The events that end in a failover of one VIP.
    pub(crate) const FAILOVERS: [Self; 5] =
        [Self::Kill, Self::Hang, Self::Power, Self::Cut, Self::Stop];

    /// How often it is measured at an interval, when kills are measured so often.
    pub(crate) fn runs(self, interval_ms: u32, kills: u32) -> u32 {
        match self {
            Self::Kill | Self::Hang | Self::Stop => kills,
            Self::Power | Self::Cut => (kills / 5).max(1),
            Self::Vips if interval_ms == 100 => (kills / 10).max(1),
            Self::Instances if interval_ms == 1000 => 1,
            Self::Vips | Self::Instances => 0,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Kill => "killed",
            Self::Hang => "hung",
            Self::Stop => "planned stop",
            Self::Power => "power loss",
            Self::Cut => "cable cut",
            Self::Vips => "killed, 256 VIPs",
            Self::Instances => "255 instances",
        })
    }
}

/// Runs of one event by one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) side: Side,
    pub(crate) event: Event,
    /// How many.
    pub(crate) runs: u32,
    /// Runs of this kind that there are already.
    pub(crate) done: u32,
}

impl Block {
    /// Whether it may be measured beside others: what counts is a time and not the use of the CPU.
    fn bears_company(&self) -> bool {
        Event::FAILOVERS.contains(&self.event)
    }
}

/// The jobs of an interval: those within a list side by side, the lists one after the other. What follows in a list of
/// blocks for both sides stays in one kernel.
pub(crate) fn jobs(interval_ms: u32, blocks: Vec<Block>, pairs: u32) -> Vec<Vec<Job>> {
    let (shared, alone): (Vec<_>, Vec<_>) = blocks.into_iter().partition(Block::bears_company);
    let mut kernels = vec![Vec::new(); usize::try_from(pairs).unwrap_or(1)];
    let turns = shared.chunk_by(|one, next| one.event == next.event && one.side < next.side);
    let count = kernels.len();
    for (turn, blocks) in turns.enumerate() {
        if let Some(kernel) = kernels.get_mut(turn % count) {
            kernel.extend_from_slice(blocks);
        }
    }
    kernels.retain(|blocks| !blocks.is_empty());
    let pairs = u32::try_from(kernels.len()).unwrap_or(u32::MAX);
    let job = |blocks, pairs| Job {
        interval_ms,
        pairs,
        blocks,
    };
    let side_by_side = kernels.into_iter().map(|blocks| job(blocks, pairs));
    [
        side_by_side.collect(),
        (!alone.is_empty())
            .then(|| job(alone, 1))
            .into_iter()
            .collect(),
    ]
    .into_iter()
    .filter(|jobs: &Vec<Job>| !jobs.is_empty())
    .collect()
}

/// What one kernel does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) interval_ms: u32,
    /// Kernels that do the like at the same time, this one included.
    pub(crate) pairs: u32,
    pub(crate) blocks: Vec<Block>,
}

/// RFC 9568 section 6.1: `Active_Down_Interval` of the directors, in milliseconds.
pub(crate) fn down_interval_ms(interval_ms: u32) -> f64 {
    f64::from(interval_ms) * (3.0 + f64::from(256 - PRIORITY) / 256.0)
}

impl Job {
    /// How many there are in all.
    pub(crate) fn runs(&self) -> u32 {
        self.blocks.iter().map(|block| block.runs).sum()
    }

    /// How long it takes, roughly.
    pub(crate) fn expected_duration(&self) -> Duration {
        let down_ms = down_interval_ms(self.interval_ms);
        let seconds = |block: &Block| match block.event {
            Event::Instances => 60.0,
            _ => 4.0 + f64::from(block.runs) * (0.6 + 2.2 * down_ms / 1000.0),
        };
        Duration::from_secs_f64(self.blocks.iter().map(seconds).sum())
    }
}

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Outcome {
    /// The other director took the VIP.
    Failover {
        /// From the event until the first answer of the other director.
        takeover_ms: f64,
        /// Longest time from a question without an answer until the next answer.
        silence_ms: f64,
    },
    /// The other director took all VIPs.
    Vips {
        /// From the event until the first VIP's gratuitous ARP.
        first_ms: f64,
        /// The same of the last one.
        last_ms: f64,
    },
    /// Instances at rest.
    Instances {
        /// CPU time of all processes, in percent of the time.
        cpu_percent: f64,
        /// What time between advertisements of an instance exceeds the interval by.
        late_p999_ms: f64,
        late_max_ms: f64,
    },
    /// It did not end as it should.
    Failed { reason: String },
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Done {
    pub(crate) interval_ms: u32,
    /// Pairs that were measured at the same time, each in a kernel of its own.
    pub(crate) pairs: u32,
    pub(crate) side: Side,
    pub(crate) event: Event,
    pub(crate) outcome: Outcome,
}

impl fmt::Display for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interval_ms,
            pairs: _,
            side,
            event,
            outcome,
        } = self;
        write!(formatter, "{interval_ms:>4} ms {side:<10} {event:<16} ")?;
        match outcome {
            Outcome::Failover {
                takeover_ms,
                silence_ms,
            } => write!(
                formatter,
                "take-over {takeover_ms:>7.1} ms, silence {silence_ms:>7.1} ms"
            ),
            Outcome::Vips { first_ms, last_ms } => {
                write!(formatter, "first {first_ms:.1} ms, last {last_ms:.1} ms")
            }
            Outcome::Instances {
                cpu_percent,
                late_p999_ms,
                late_max_ms,
            } => write!(
                formatter,
                "CPU {cpu_percent:.2} %, late p99.9 {late_p999_ms:.1} ms, at most {late_max_ms:.1} ms"
            ),
            Outcome::Failed { reason } => write!(formatter, "FAILED: {reason}"),
        }
    }
}

/// All that has been measured.
#[derive(Clone, Copy)]
pub(crate) struct Results<'a>(pub(crate) &'a [Done]);

impl<'a> Results<'a> {
    /// The runs of one kind.
    pub(crate) fn of(
        self,
        interval_ms: u32,
        side: Side,
        event: Event,
    ) -> impl Iterator<Item = &'a Outcome> {
        self.0
            .iter()
            .filter(move |done| {
                (done.interval_ms, done.side, done.event) == (interval_ms, side, event)
            })
            .map(|done| &done.outcome)
    }

    /// How many pairs were measured at the same time, at most.
    pub(crate) fn pairs(self, interval_ms: u32) -> u32 {
        let runs = self.0.iter().filter(|done| done.interval_ms == interval_ms);
        runs.map(|done| done.pairs).max().unwrap_or(1)
    }

    /// The figure by which an event is judged, of all its runs: after a kill the take-over, since the dead program's
    /// address may go on answering; else the longest wait for an answer.
    pub(crate) fn sample(self, interval_ms: u32, side: Side, event: Event) -> Sample {
        self.of(interval_ms, side, event)
            .filter_map(|outcome| match outcome {
                Outcome::Failover {
                    takeover_ms,
                    silence_ms,
                } => Some(match event {
                    Event::Kill | Event::Hang => *takeover_ms,
                    _ => *silence_ms,
                }),
                _ => None,
            })
            .collect()
    }

    /// The blocks that are still to be measured, the sides in turn.
    pub(crate) fn missing(
        self,
        interval_ms: u32,
        events: &[Event],
        sides: &[Side],
        wanted: impl Fn(Event) -> u32,
    ) -> Vec<Block> {
        let mut blocks = Vec::new();
        for &event in events {
            let mut done: BTreeMap<Side, u32> = sides
                .iter()
                .map(|&side| {
                    let count = self.of(interval_ms, side, event).count();
                    (side, u32::try_from(count).unwrap_or(u32::MAX))
                })
                .collect();
            while done.values().any(|done| *done < wanted(event)) {
                for (&side, done) in &mut done {
                    let runs = wanted(event).saturating_sub(*done).min(BLOCK);
                    if runs > 0 {
                        blocks.push(Block {
                            side,
                            event,
                            runs,
                            done: *done,
                        });
                    }
                    *done += runs;
                }
            }
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed(side: Side) -> Done {
        Done {
            interval_ms: 100,
            pairs: 1,
            side,
            event: Event::Kill,
            outcome: Outcome::Failover {
                takeover_ms: 300.5,
                silence_ms: 2.0,
            },
        }
    }

    #[test]
    fn a_run_is_one_line_and_comes_back() {
        let done = killed(Side::Agent);
        let line = serde_json::to_string(&done).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Done>(&line).unwrap(), done);
    }

    #[test]
    fn the_sides_take_turns_and_what_is_done_is_not_done_again() {
        let done = vec![killed(Side::Agent); 3];
        let sides = [Side::Agent, Side::Keepalived];
        let blocks: Vec<_> = Results(&done)
            .missing(100, &[Event::Kill], &sides, |_| 12)
            .into_iter()
            .map(|block| (block.side, block.runs, block.done))
            .collect();
        assert_eq!(
            blocks,
            [
                (Side::Agent, 9, 3),
                (Side::Keepalived, 10, 0),
                (Side::Keepalived, 2, 10)
            ]
        );
    }

    #[test]
    fn both_sides_take_turns_in_each_of_the_kernels_and_what_needs_a_cpu_is_alone() {
        let sides = [Side::Agent, Side::Keepalived];
        let events = [Event::Kill, Event::Instances];
        let wanted = |event| if event == Event::Kill { 30 } else { 1 };
        let blocks = Results(&[]).missing(1000, &events, &sides, wanted);
        let jobs = jobs(1000, blocks, 2);
        let runs: Vec<Vec<Vec<_>>> = jobs
            .iter()
            .map(|side_by_side| {
                let blocks = side_by_side.iter().map(|job| &job.blocks);
                blocks
                    .map(|blocks| {
                        blocks
                            .iter()
                            .map(|block| (block.side, block.done))
                            .collect()
                    })
                    .collect()
            })
            .collect();
        let turn = |done| [(Side::Agent, done), (Side::Keepalived, done)];
        let first = [turn(0), turn(20)].concat();
        assert_eq!(
            runs,
            [vec![first, turn(10).to_vec()], vec![turn(0).to_vec()]]
        );
        let pairs: Vec<_> = jobs.iter().flatten().map(|job| job.pairs).collect();
        assert_eq!(pairs, [2, 2, 1]);
    }

    #[test]
    fn the_bound_is_that_of_the_rfc() {
        assert!((down_interval_ms(1000) - 3609.375).abs() < 1e-9);
    }
}
