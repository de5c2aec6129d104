//! Two pairs of directors, the agent's and keepalived's, side by side on a CPU that is busy all the time: a director
//! that takes over does so for no good reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lvs_e2e::record::Record;
use serde::{Deserialize, Serialize};

use crate::directors::{Host, PATIENCE};
use crate::figures::Sample;
use crate::light;
use crate::observer::{Hardware, Observer, Seen, What, now};
use crate::priorities;
use crate::side::{Setup, Side};

mod document;

/// Milliseconds between advertisements.
const INTERVAL_MS: u32 = 10;
/// Without a change for so long, the next one is another failover.
const CALM: Duration = Duration::from_secs(1);
/// A silence that is told: almost the down interval.
const LONG: Duration = Duration::from_millis(30);
/// Processes that compute, one for each director.
const BUSY: usize = 2;
/// The pairs: who, and its VRID. The last number of its VIP is 200 more.
const PAIRS: [(Side, u8); 2] = [(Side::Agent, 1), (Side::Keepalived, 2)];

/// What came of a soak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Soak {
    minutes: u32,
    pairs: BTreeMap<Side, Figures>,
}

/// What was seen of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    /// How often another director than before began to advertise. What happens until nothing has changed for a
    /// second, such as both at once, or there and back, is one.
    false_failovers: u32,
    advertisements: usize,
    /// Time between two advertisements, whoever sent them.
    gap_p999_ms: f64,
    gap_max_ms: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            false_failovers,
            advertisements,
            gap_p999_ms,
            gap_max_ms,
        } = self;
        write!(
            formatter,
            "{false_failovers} false failovers, {advertisements} advertisements, gap p99.9 {gap_p999_ms:.1} ms, \
             at most {gap_max_ms:.1} ms"
        )
    }
}

/// A pair as it is seen on the LAN.
#[derive(Default)]
struct Watched {
    /// Who advertised last, and when.
    last: Option<(Hardware, Duration)>,
    changed_at: Option<Duration>,
    false_failovers: u32,
    gaps_ms: Vec<f64>,
}

impl Watched {
    /// Takes in an advertisement, and returns the time since the last one.
    fn advertisement(&mut self, from: Hardware, at: Duration) -> Option<Duration> {
        let (last_from, last_at) = self.last.replace((from, at))?;
        if last_from != from {
            let before = self.changed_at.replace(at);
            let is_new = before.is_none_or(|before| at.saturating_sub(before) >= CALM);
            self.false_failovers += u32::from(is_new);
        }
        let gap = at.saturating_sub(last_at);
        self.gaps_ms.push(gap.as_secs_f64() * 1000.0);
        Some(gap)
    }

    fn figures(&self) -> Result<Figures> {
        let gaps: Sample = self.gaps_ms.iter().copied().collect();
        Ok(Figures {
            false_failovers: self.false_failovers,
            advertisements: self.gaps_ms.len(),
            gap_p999_ms: gaps.quantile(0.999).context("no advertisements")?,
            gap_max_ms: gaps.max().context("no advertisements")?,
        })
    }
}

/// Soaks in a kernel of its own, and writes the document.
pub(crate) fn outside(minutes: u32) -> Result<()> {
    let mut record = Record::<Soak>::open("soak.jsonl", false)?;
    println!("soak: {minutes} min");
    let command = [
        std::env::current_exe()?.into(),
        "--inside-soak".into(),
        minutes.to_string().into(),
    ];
    let code = light()?
        .timeout(Duration::from_secs(60) * (minutes * 2 + 5))
        .run_reading(&command, |line| {
            record.add(
                serde_json::from_str(line).with_context(|| format!("not a result: {line:?}"))?,
            )
        })?;
    ensure!(code == 0, "the kernel's side ended with status {code}");
    let soak = record.entries().last().context("there is no result")?;
    document::write(soak)?;
    match soak.pairs.get(&Side::Agent) {
        Some(Figures {
            false_failovers: 0, ..
        }) => Ok(()),
        Some(figures) => bail!("the agent's pair: {figures}"),
        None => bail!("nothing is known of the agent's pair"),
    }
}

/// Soaks in this kernel, and prints what came of it.
pub(crate) fn inside(minutes: u32) -> Result<()> {
    priorities::serve_lan_first()?;
    let mut observer = Observer::on("client")?;
    let mut hosts = BTreeMap::new();
    for (side, _) in PAIRS {
        hosts.insert(side, Host::both(&side.to_string())?);
    }
    // One after the other, so that there is one who listens when the other begins to speak.
    for place in 0..2 {
        for (side, virtual_router_id) in PAIRS {
            let setup = Setup {
                interval_ms: INTERVAL_MS,
                first_virtual_router_id: virtual_router_id,
                instances: vec![vec![Ipv4Addr::new(192, 168, 1, 200 + virtual_router_id)]],
            };
            let host = hosts.get_mut(&side).and_then(|both| both.get_mut(place));
            host.context("there are two directors")?
                .start(side, &setup)?;
        }
        advertised_by_all(&mut observer)?;
    }

    let _busy = Busy::start()?;
    let mut watched: BTreeMap<u8, Watched> = BTreeMap::new();
    let began_at = now()?;
    for minute in 1..=minutes {
        observer.until(now()? + Duration::from_secs(60), |seen| {
            if let What::Advertisement {
                virtual_router_id, ..
            } = seen.what
            {
                let pair = watched.entry(virtual_router_id).or_default();
                let gap = pair.advertisement(seen.from, seen.at);
                if let Some(gap) = gap.filter(|gap| *gap >= LONG) {
                    let after = seen.at.saturating_sub(began_at);
                    eprintln!(
                        "after {after:.3?}: VRID {virtual_router_id} was silent for {gap:.1?}"
                    );
                }
            }
            None::<()>
        })?;
        for (side, virtual_router_id) in PAIRS {
            let pair = watched.get(&virtual_router_id);
            let pair = pair.with_context(|| format!("{side} is silent"))?;
            // Quantiles have to wait until the end: to compute them would stall both pairs.
            let (failovers, count) = (pair.false_failovers, pair.gaps_ms.len());
            eprintln!(
                "minute {minute}: {side:<10} {failovers} false failovers, {count} advertisements"
            );
        }
    }
    let mut soak = Soak {
        minutes,
        pairs: BTreeMap::new(),
    };
    for (side, virtual_router_id) in PAIRS {
        let pair = watched.get(&virtual_router_id).context("it is silent")?;
        let (active, _) = pair.last.context("it is silent")?;
        let both = hosts.get(&side).context("there are two directors")?;
        let host = both.iter().find(|host| host.hardware == active);
        host.context("a stranger advertises")?.kill()?;
        // There was somebody who could have taken over.
        succeeded(active, virtual_router_id, &mut observer)
            .with_context(|| format!("{side}, after the soak"))?;
        soak.pairs.insert(side, pair.figures()?);
    }
    println!("{}", serde_json::to_string(&soak)?);
    Ok(())
}

/// Waits until each pair has advertised.
fn advertised_by_all(observer: &mut Observer) -> Result<()> {
    let since = now()?;
    let mut heard = BTreeSet::new();
    let all = observer.until(since + PATIENCE, |seen| {
        if let What::Advertisement {
            virtual_router_id, ..
        } = seen.what
            && seen.at >= since
        {
            heard.insert(virtual_router_id);
        }
        (heard.len() == PAIRS.len()).then_some(())
    })?;
    all.with_context(|| format!("only VRIDs {heard:?} advertise"))
}

/// Waits until another than `gone` advertises.
fn succeeded(gone: Hardware, virtual_router_id: u8, observer: &mut Observer) -> Result<()> {
    let is_successor = |seen: Seen| match seen.what {
        What::Advertisement {
            virtual_router_id: id,
            ..
        } => (id == virtual_router_id && seen.from != gone).then_some(()),
        _ => None,
    };
    observer
        .until(now()? + PATIENCE, is_successor)?
        .context("nobody takes over from a director that was killed")
}

/// Processes that compute; ended when dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start() -> Result<Self> {
        let mut busy = Self(Vec::new());
        for _ in 0..BUSY {
            let child = Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()?;
            busy.0.push(child);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_one_failover_and_the_longest_gap_is_kept() {
        let mut watched = Watched::default();
        let seen = [
            (1, 0),
            (1, 10),
            (2, 50),
            (2, 60),
            (1, 61),
            (1, 1070),
            (2, 1080),
        ];
        for (from, at_ms) in seen {
            watched.advertisement([from; 6], Duration::from_millis(at_ms));
        }
        let figures = watched.figures().unwrap();
        assert_eq!((figures.false_failovers, figures.advertisements), (2, 6));
        assert!((figures.gap_max_ms - 1009.0).abs() < 1e-9);
    }

    #[test]
    fn a_soak_is_one_line_and_comes_back() {
        let figures = Figures {
            false_failovers: 0,
            advertisements: 6000,
            gap_p999_ms: 14.5,
            gap_max_ms: 22.5,
        };
        let soak = Soak {
            minutes: 1,
            pairs: PAIRS.iter().map(|(side, _)| (*side, figures)).collect(),
        };
        let line = serde_json::to_string(&soak).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Soak>(&line).unwrap(), soak);
    }
}
