//! The part that runs inside the light kernel: does to the directors what the job says and prints each outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::directors::{Directors, PATIENCE};
use crate::figures::Sample;
use crate::observer::{Observer, Seen, What, now};
use crate::priorities;
use crate::results::{Block, Done, Event, Job, Outcome, down_interval_ms};
use crate::side::{Setup, Side};
use crate::wires::Wires;

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 222);
/// VIPs of the instance that has many.
const MANY_VIPS: u32 = 256;
/// Instances of the director that has many.
const MANY_INSTANCES: u32 = 255;
/// How long the director with many instances is watched.
const AT_REST: Duration = Duration::from_secs(30);

/// Carries out a job given as JSON.
pub(crate) fn run(job: &str) -> Result<()> {
    let job: Job = serde_json::from_str(job)?;
    priorities::serve_lan_first()?;
    let mut wires = Wires::open()?;
    let route = [
        "-netns",
        "client",
        "route",
        "add",
        "10.9.0.0/16",
        "dev",
        "eth0",
    ];
    ensure!(Command::new("ip").args(route).status()?.success(), "route");
    let mut observer = Observer::on("client")?;
    priorities::become_client()?;
    for block in &job.blocks {
        let each = |outcome| {
            let done = Done {
                interval_ms: job.interval_ms,
                pairs: job.pairs,
                side: block.side,
                event: block.event,
                outcome,
            };
            println!("{}", serde_json::to_string(&done)?);
            Ok(())
        };
        observer.ask(None);
        if let Err(reason) = carry_out(job.interval_ms, block, &mut observer, &mut wires, each) {
            show_logs(block.side);
            return Err(reason.context(format!("{}, {}", block.side, block.event)));
        }
    }
    Ok(())
}

/// The last lines of the directors' logs, to standard error.
fn show_logs(side: Side) {
    for host in ["lb-1", "lb-2"] {
        let log = Path::new("/run/bench").join(format!("{side}-{host}/log"));
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(30)) {
            eprintln!("{host}: {line}");
        }
    }
}

fn carry_out(
    interval_ms: u32,
    block: &Block,
    observer: &mut Observer,
    wires: &mut Wires,
    mut each: impl FnMut(Outcome) -> Result<()>,
) -> Result<()> {
    let Block { side, event, .. } = *block;
    let many = |count: u32| (0..count).map(|n| Ipv4Addr::from_bits(0x0a09_0000 + n));
    let instances = match event {
        Event::Vips => vec![many(MANY_VIPS).collect()],
        Event::Instances => many(MANY_INSTANCES).map(|vip| vec![vip]).collect(),
        _ => vec![vec![VIP]],
    };
    let setup = Setup {
        interval_ms,
        first_virtual_router_id: 1,
        instances,
    };
    match event {
        Event::Instances => {
            let directors = Directors::alone(side, setup, observer, wires)?;
            return each(at_rest(directors)?);
        }
        Event::Vips => observer.watch_arp(true)?,
        _ => observer.watch_arp(false)?,
    }
    let mut directors = Directors::start(side, setup, observer, wires)?;
    for run in block.done..block.done + block.runs {
        // Evenly spread between two advertisements, in an order without a pattern.
        let phase = (f64::from(run) * 0.618_033_988_75).fract();
        each(failover(&mut directors, event, phase)?)?;
    }
    Ok(())
}

fn failover(directors: &mut Directors<'_>, event: Event, phase: f64) -> Result<Outcome> {
    let active = directors.settled()?;
    let (own, other) = (
        directors.host(active)?.hardware,
        directors.host(1 - active)?.hardware,
    );
    directors.observer.ask(directors.vip());
    let interval = directors.interval();
    let deadline = now()? + PATIENCE;
    let answered = directors
        .observer
        .until(deadline, |seen| {
            matches!(seen.what, What::Answer { .. }).then_some(seen.at)
        })?
        .context("the VIP does not answer")?;
    let advertised = directors
        .observer
        .until(deadline, |seen| {
            let advertises = matches!(seen.what, What::Advertisement { .. });
            (advertises && seen.from == own && seen.at > answered).then_some(seen.at)
        })?
        .context("the Active director is silent")?;
    let moment = advertised + interval.mul_f64(phase);
    let until_moment = moment.saturating_sub(now()?);
    directors.pass(until_moment)?;

    let struck = now()?;
    directors.strike(active, event)?;
    let bound =
        Duration::from_secs_f64(down_interval_ms(u32::try_from(interval.as_millis())?) / 1000.0);
    let outcome = if event == Event::Vips {
        announcements(directors, other, struck, bound)?
    } else {
        let deadline = struck + bound * 4 + Duration::from_secs(3);
        let mut takeover = None;
        let mut silence = Duration::ZERO;
        directors.observer.until(deadline, |seen| {
            if matches!(seen.what, What::Answer { .. }) {
                let waited = seen
                    .waiting_since
                    .map(|since| seen.at.saturating_sub(since));
                silence = silence.max(waited.unwrap_or_default());
                if seen.from == other {
                    takeover.get_or_insert(seen.at);
                }
            }
            // What is lost after the take-over counts as well.
            takeover.filter(|takeover| seen.at > *takeover + Duration::from_millis(200))
        })?;
        match takeover {
            Some(takeover) => Outcome::Failover {
                takeover_ms: milliseconds(takeover.saturating_sub(struck)),
                silence_ms: milliseconds(silence),
            },
            None => Outcome::Failed {
                reason: format!(
                    "nobody took over within {:?}",
                    deadline.saturating_sub(struck)
                ),
            },
        }
    };
    directors.observer.ask(None);
    directors.heal(active, event)?;
    Ok(outcome)
}

/// When the first and the last VIP were announced by their new owner; that they answer is checked afterwards.
fn announcements(
    directors: &mut Directors<'_>,
    owner: [u8; 6],
    struck: Duration,
    bound: Duration,
) -> Result<Outcome> {
    // Whoever looked on would take the one CPU from the new owner at each of them.
    Observer::rest(struck + bound * 2)?;
    let mut announced: BTreeMap<Ipv4Addr, Duration> = BTreeMap::new();
    let count = usize::try_from(MANY_VIPS)?;
    directors.observer.until(struck + bound * 4, |seen| {
        if let What::GratuitousArp(vip) = seen.what
            && seen.from == owner
        {
            announced.entry(vip).or_insert(seen.at);
        }
        (announced.len() >= count).then_some(())
    })?;
    let (Some(first), Some(last)) = (announced.values().min(), announced.values().max()) else {
        return Ok(Outcome::Failed {
            reason: "no VIP was announced".to_owned(),
        });
    };
    let mut silent: BTreeSet<Ipv4Addr> = announced.keys().copied().collect();
    for vip in silent.clone() {
        directors.observer.question(vip)?;
        let until = now()? + Duration::from_millis(5);
        let answers = |seen: Seen| {
            if let What::Answer { address, .. } = seen.what
                && seen.from == owner
            {
                silent.remove(&address);
            }
            None::<()>
        };
        directors.observer.until(until, answers)?;
    }
    if announced.len() < count || !silent.is_empty() {
        return Ok(Outcome::Failed {
            reason: format!(
                "{} of {count} VIPs were announced, {} of them do not answer",
                announced.len(),
                silent.len()
            ),
        });
    }
    Ok(Outcome::Vips {
        first_ms: milliseconds(first.saturating_sub(struck)),
        last_ms: milliseconds(last.saturating_sub(struck)),
    })
}

/// By how much each time between two advertisements of an instance exceeds the interval, in milliseconds.
#[derive(Default)]
struct Lateness {
    last: BTreeMap<u8, Duration>,
    late: Vec<f64>,
}

impl Lateness {
    fn advertisement(&mut self, virtual_router_id: u8, at: Duration, interval: Duration) {
        if let Some(last) = self.last.insert(virtual_router_id, at) {
            self.late
                .push(milliseconds(at.saturating_sub(last + interval)));
        }
    }
}

fn at_rest(mut directors: Directors<'_>) -> Result<Outcome> {
    let interval = directors.interval();
    let mut instances = BTreeSet::new();
    let all = directors.observer.until(now()? + PATIENCE, |seen| {
        if let What::Advertisement {
            virtual_router_id, ..
        } = seen.what
        {
            instances.insert(virtual_router_id);
        }
        (instances.len() >= MANY_INSTANCES as usize).then_some(())
    })?;
    ensure!(all.is_some(), "{} instances advertise", instances.len());
    // The repetition of the gratuitous ARP, 5 s later by both sides' defaults, is part of the take-over.
    let mut last = now()?;
    directors
        .observer
        .until(last + Duration::from_secs(10), |seen| {
            if matches!(seen.what, What::Advertisement { .. }) {
                last = seen.at;
            }
            None::<()>
        })?;
    let (start, cpu) = (now()?, directors.host(0)?.cpu()?);
    let mut lateness = Lateness::default();
    // They advertise one after the other at the same moment of every interval. Whoever looked on would take the one
    // CPU from them at each packet, so what came is read half an interval later.
    while last < start + AT_REST {
        Observer::rest(last + interval.mul_f64(1.5))?;
        let before = last;
        directors.observer.until(Duration::ZERO, |seen| {
            if let What::Advertisement {
                virtual_router_id, ..
            } = seen.what
            {
                lateness.advertisement(virtual_router_id, seen.at, interval);
                last = seen.at;
            }
            None::<()>
        })?;
        ensure!(last > before, "the director is silent");
    }
    let used = directors.host(0)?.cpu()?.saturating_sub(cpu);
    let took = now()?.saturating_sub(start);
    let late: Sample = lateness.late.into_iter().collect();
    Ok(Outcome::Instances {
        cpu_percent: 100.0 * used.as_secs_f64() / took.as_secs_f64(),
        late_p999_ms: late.quantile(0.999).context("no advertisements")?,
        late_max_ms: late.max().context("no advertisements")?,
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
