//! The document and its plots.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use lvs_e2e::cluster::repository;

use crate::figures::Sample;
use crate::plot::{Panel, svg};
use crate::results::{Event, Outcome, Results, down_interval_ms};
use crate::side::Side;

const SIDES: [(Side, &str); 2] = [(Side::Agent, "#0b62c4"), (Side::Keepalived, "#d1495b")];

/// Writes `docs/benchmarks/failover.md` and a plot for each interval.
pub(crate) fn write(results: Results<'_>) -> Result<()> {
    let directory = repository().join("docs/benchmarks");
    fs::create_dir_all(&directory)?;
    let mut intervals: Vec<u32> = results.0.iter().map(|done| done.interval_ms).collect();
    intervals.sort_unstable();
    intervals.dedup();
    let mut text = String::from(INTRODUCTION);
    for interval_ms in intervals {
        let table = failovers(results, interval_ms)?;
        if table.is_empty() {
            continue;
        }
        let plot = format!("failover-{interval_ms}ms.svg");
        fs::write(directory.join(&plot), svg(&panels(results, interval_ms))?)?;
        let pairs = results.pairs(interval_ms);
        let side_by_side = if pairs > 1 {
            format!(
                "Up to {pairs} pairs were measured side by side, each in a kernel of its own.\n\n"
            )
        } else {
            String::new()
        };
        writeln!(
            text,
            "\n## Advertisements every {interval_ms} ms\n\n{side_by_side}{table}\n\
             ![Share of the runs that were over after so many milliseconds]({plot})"
        )?;
    }
    text.push_str(&many_vips(results)?);
    text.push_str(&many_instances(results)?);
    writeln!(text, "\n{}.", provenance()?)?;
    fs::write(directory.join("failover.md"), &text)?;
    println!("\n{text}");
    Ok(())
}

const INTRODUCTION: &str = "\
# Failover

`make bench-failover` makes this file. Two directors and a client are hosts of one user-mode Linux kernel with one
CPU, where a system call costs more than ten microseconds; the agent and keepalived take turns in it with the same
configuration: VRRP version 3, equal priorities of 100, no preemption, one VIP. Either director is the Active one
in its turn. What happens to it happens at a moment spread evenly between two advertisements.

Real-time priorities keep the three of them apart on that CPU, because the kernel looks for an ordinary process that has
waited longer a hundred times a second only: its thread for soft interrupts, which is the LAN here, has 60, the client
55, and VRRP of both sides 50 (`agent.vrrp.realtimePriority`, `vrrp_rt_priority`).

The client asks the VIP every 2 ms by ICMP echo and takes the kernel's time of each answer. When the program dies the
figure is the time until the first answer of the other director, because the dead program's address may go on answering
from its kernel. After the other events it is the longest time that the client had to wait, from a question that stayed
without an answer until the next answer.

- *Killed*: SIGKILL to all processes of the program. What the kernel does to free what they had, which is more for the
  agent than for keepalived, keeps the one CPU from the other director; in real life that is another machine.
- *Hung*: the same without that: all processes stop (`cgroup.freeze`) and die afterwards.
- *Power loss*: they stop, and the cable is gone at once.
- *Cable cut*: the cable alone.
- *Planned stop*: SIGTERM.

*RFC bound* is `Active_Down_Interval` of RFC 9568, section 6.1, when the last advertisement was sent at the very
moment of the event: three intervals and the skew time. Nobody who keeps to the RFC can promise less.
";

fn failovers(results: Results<'_>, interval_ms: u32) -> Result<String> {
    let mut text = String::new();
    for event in Event::FAILOVERS {
        for (side, _) in SIDES {
            let sample = results.sample(interval_ms, side, event);
            let runs = results.of(interval_ms, side, event).count();
            if runs == 0 {
                continue;
            }
            if text.is_empty() {
                text.push_str(
                    "| event | | runs | p50, ms | p90, ms | p99, ms | max, ms | RFC bound, ms | without take-over |\n\
                     | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
                );
            }
            let bound = bound_ms(event, interval_ms)
                .map_or_else(|| "–".to_owned(), |bound| format!("{bound:.1}"));
            writeln!(
                text,
                "| {event} | {side} | {runs} | {} | {} | {} | {} | {bound} | {} |",
                quantile(&sample, 0.5),
                quantile(&sample, 0.9),
                quantile(&sample, 0.99),
                quantile(&sample, 1.0),
                runs - sample.values().len(),
            )?;
        }
    }
    Ok(text)
}

fn quantile(sample: &Sample, share: f64) -> String {
    sample
        .quantile(share)
        .map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

fn bound_ms(event: Event, interval_ms: u32) -> Option<f64> {
    (event != Event::Stop).then(|| down_interval_ms(interval_ms))
}

fn panels(results: Results<'_>, interval_ms: u32) -> Vec<Panel> {
    Event::FAILOVERS
        .into_iter()
        .map(|event| Panel {
            title: format!("{event}, every {interval_ms} ms"),
            bound_ms: bound_ms(event, interval_ms),
            curves: SIDES
                .into_iter()
                .map(|(side, colour)| {
                    let name = match side {
                        Side::Agent => "agent",
                        Side::Keepalived => "keepalived",
                    };
                    (name, colour, results.sample(interval_ms, side, event))
                })
                .filter(|(_, _, sample)| !sample.values().is_empty())
                .collect(),
        })
        .filter(|panel| !panel.curves.is_empty())
        .collect()
}

fn many_vips(results: Results<'_>) -> Result<String> {
    let mut rows = String::new();
    for (side, _) in SIDES {
        let runs: Vec<(f64, f64)> = results
            .of(100, side, Event::Vips)
            .filter_map(|outcome| match outcome {
                Outcome::Vips { first_ms, last_ms } => Some((*first_ms, *last_ms)),
                _ => None,
            })
            .collect();
        let all = results.of(100, side, Event::Vips).count();
        if all == 0 {
            continue;
        }
        let first: Sample = runs.iter().map(|(first, _)| *first).collect();
        let last: Sample = runs.iter().map(|(_, last)| *last).collect();
        let between: Sample = runs.iter().map(|(first, last)| last - first).collect();
        writeln!(
            rows,
            "| {side} | {all} | {} | {} | {} | {} | {} |",
            quantile(&first, 0.5),
            quantile(&last, 0.5),
            quantile(&between, 0.5),
            quantile(&between, 1.0),
            all - runs.len(),
        )?;
    }
    if rows.is_empty() {
        return Ok(rows);
    }
    Ok(format!(
        "\n## 256 VIPs on one instance\n\n\
         The Active director is killed, advertisements every 100 ms. A VIP counts from its first gratuitous ARP, which\n\
         follows its address; afterwards each of them must answer.\n\n\
         | | runs | first VIP, p50, ms | last VIP, p50, ms | between them, p50, ms | max, ms | failed |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n{rows}"
    ))
}

fn many_instances(results: Results<'_>) -> Result<String> {
    let mut rows = String::new();
    for (side, _) in SIDES {
        for outcome in results.of(1000, side, Event::Instances) {
            if let Outcome::Instances {
                cpu_percent,
                late_p999_ms,
                late_max_ms,
            } = outcome
            {
                writeln!(
                    rows,
                    "| {side} | {cpu_percent:.2} % | {late_p999_ms:.1} | {late_max_ms:.1} |"
                )?;
            }
        }
    }
    if rows.is_empty() {
        return Ok(rows);
    }
    Ok(format!(
        "\n## 255 instances on one interface\n\n\
         One director, Active for all of them, advertisements every second, watched for 30 s from outside. Lateness is\n\
         what the time between two advertisements of an instance exceeds the interval by.\n\n\
         | | CPU | lateness p99.9, ms | max, ms |\n| --- | --- | --- | --- |\n{rows}"
    ))
}

/// When and with what the figures were made.
pub(crate) fn provenance() -> Result<String> {
    let first_line = |command: &str| -> Result<String> {
        let output = Command::new("sh").args(["-c", command]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().next().map(str::to_owned);
        line.with_context(|| format!("{command} printed nothing"))
    };
    Ok(format!(
        "{}, {}, {}",
        first_line("date +%F")?,
        first_line("ls /usr/lib/uml/modules | sed 's/^/Linux /; s/$/ (user-mode)/'")?,
        first_line("keepalived --version 2>&1")?
    ))
}
