//! `make bench-failover`: how long clients wait when the Active director dies, loses its cable or is stopped, the agent
//! and keepalived in turn in the same kernel. Writes `docs/benchmarks/failover.md` and its plots.
//!
//! Each interval between advertisements has a kernel of its own (the lab's light lane), in which this program runs
//! again. Every run is appended to `target/lab/bench-failover.jsonl` as it ends: a benchmark that is started again
//! goes on where it stopped, and `--fresh` begins anew.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program is for people at a terminal"
)]

mod directors;
mod document;
mod figures;
mod inside;
mod observer;
mod plot;
mod results;
mod side;
mod wires;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum as _};
use lvs_e2e::record::Record;
use lvs_lab::light::Light;

use crate::results::{Done, Event, Job, Results};
use crate::side::Side;

/// Hosts of the light kernel.
const HOSTS: [&str; 3] = [
    "lb-1=192.168.1.129/24",
    "lb-2=192.168.1.128/24",
    "client=192.168.1.20/24",
];

/// Runs of one block: the sides take turns block by block.
const BLOCK: u32 = 10;

/// Measures failovers.
#[derive(Debug, Parser)]
#[command(name = "bench-failover")]
struct Options {
    /// What happens to the Active director.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Event::value_variants().to_vec())]
    events: Vec<Event>,
    /// Milliseconds between advertisements.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000])]
    intervals: Vec<u32>,
    /// Who is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Side::value_variants().to_vec())]
    sides: Vec<Side>,
    /// Kills and planned stops of each side at each interval; of power losses and cuts a fifth, of take-overs of
    /// many VIPs a tenth.
    #[arg(long, default_value_t = 100)]
    runs: u32,
    /// Minutes at 10 ms under a busy CPU for each side, instead of the events.
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u32>,
    /// Forget what earlier runs measured.
    #[arg(long)]
    fresh: bool,
    /// Measure nothing: write the document from what is there.
    #[arg(long, conflicts_with = "fresh")]
    document: bool,
    /// The job to do inside the light kernel, as JSON.
    #[arg(long, hide = true)]
    inside: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.inside {
        Some(job) => inside::run(job),
        None => outside(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench-failover: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

fn outside(options: &Options) -> Result<()> {
    let mut record = Record::open("bench-failover.jsonl", options.fresh)?;
    if options.document {
        return document::write(Results(record.entries()));
    }
    if let Some(minutes) = options.soak {
        let job = Job::soak(&options.sides, minutes);
        in_kernel(&job, &mut record)?;
    } else {
        for interval_ms in &options.intervals {
            let results = Results(record.entries());
            let blocks = results.missing(*interval_ms, &options.events, &options.sides, |event| {
                event.runs(*interval_ms, options.runs)
            });
            if blocks.is_empty() {
                println!("bench-failover: {interval_ms} ms: nothing is missing");
                continue;
            }
            let job = Job {
                interval_ms: *interval_ms,
                blocks,
            };
            in_kernel(&job, &mut record)?;
        }
    }
    document::write(Results(record.entries()))
}

/// Carries a job out in a kernel of its own.
fn in_kernel(job: &Job, record: &mut Record<Done>) -> Result<()> {
    let expected = job.expected_duration();
    println!(
        "bench-failover: {} ms between advertisements, {} runs, about {} min",
        job.interval_ms,
        job.blocks.iter().map(|block| block.runs).sum::<u32>(),
        expected.as_secs().div_ceil(60),
    );
    let command = [
        std::env::current_exe()?.into(),
        "--inside".into(),
        serde_json::to_string(job)?.into(),
    ];
    let hosts = HOSTS
        .iter()
        .map(|host| host.parse())
        .collect::<Result<_>>()?;
    let code = Light::default()
        .hosts(hosts)
        .timeout(expected * 10 + Duration::from_secs(120))
        .run_reading(&command, |line| {
            let done: Done =
                serde_json::from_str(line).with_context(|| format!("not a result: {line:?}"))?;
            println!("{done}");
            record.add(done)
        })?;
    ensure!(code == 0, "the kernel's side ended with status {code}");
    Ok(())
}
