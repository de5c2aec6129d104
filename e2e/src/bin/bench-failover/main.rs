//! `make bench-failover`: how long clients wait when the Active director dies, loses its cable or is stopped, the agent
//! and keepalived in turn in the same kernel. Writes `docs/benchmarks/failover.md` and its plots.
//!
//! The runs happen in kernels of their own (the lab's light lane), in which this program runs again: one kernel for
//! each interval between advertisements, or several side by side where the runs consist of waiting. Every run is appended to `target/lab/bench-failover.jsonl` as it ends: a benchmark that is started again
//! goes on where it stopped, and `--fresh` begins anew.
//!
//! `make soak`, which is `--soak MINUTES`: whether a busy CPU alone makes a director take over. Writes
//! `docs/benchmarks/soak.md`.

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
mod priorities;
mod results;
mod side;
mod soak;
mod wires;

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
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

/// From that many milliseconds between advertisements on, a run is next to nothing but waiting.
const WAITING_MS: u32 = 1000;

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
    /// Kills, hangs and planned stops of each side at each interval; of power losses and cuts a fifth, of take-overs of
    /// many VIPs a tenth.
    #[arg(long, default_value_t = 100)]
    runs: u32,
    /// Minutes under a busy CPU instead of the events, both sides at once; fails when the agent has a false failover.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    soak: Option<u32>,
    /// Kernels that fail over side by side where advertisements are a second or more apart: next to all that such a
    /// run does is to wait.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Forget what earlier runs measured.
    #[arg(long)]
    fresh: bool,
    /// Measure nothing: write the document from what is there.
    #[arg(long, conflicts_with = "fresh")]
    document: bool,
    /// The job to do inside the light kernel, as JSON.
    #[arg(long, hide = true)]
    inside: Option<String>,
    /// The minutes to soak inside the light kernel.
    #[arg(long, hide = true)]
    inside_soak: Option<u32>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match (&options.inside, options.inside_soak, options.soak) {
        (Some(job), _, _) => inside::run(job),
        (None, Some(minutes), _) => soak::inside(minutes),
        (None, None, Some(minutes)) => soak::outside(minutes),
        (None, None, None) => outside(&options),
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
    for interval_ms in &options.intervals {
        let results = Results(record.entries());
        let missing = results.missing(*interval_ms, &options.events, &options.sides, |event| {
            event.runs(*interval_ms, options.runs)
        });
        if missing.is_empty() {
            println!("bench-failover: {interval_ms} ms: nothing is missing");
            continue;
        }
        let pairs = if *interval_ms < WAITING_MS {
            1
        } else {
            options.pairs
        };
        for jobs in results::jobs(*interval_ms, missing, pairs) {
            in_kernels(&jobs, &mut record)?;
        }
    }
    document::write(Results(record.entries()))
}

/// A kernel with the hosts.
fn light() -> Result<Light> {
    let hosts = HOSTS
        .iter()
        .map(|host| host.parse())
        .collect::<Result<_>>()?;
    Ok(Light::default().hosts(hosts))
}

/// Carries jobs out side by side, each in a kernel of its own.
fn in_kernels(jobs: &[Job], record: &mut Record<Done>) -> Result<()> {
    let expected = jobs.iter().map(Job::expected_duration).max();
    let expected = expected.unwrap_or_default();
    println!(
        "bench-failover: {} runs in {} kernels, about {} min",
        jobs.iter().map(Job::runs).sum::<u32>(),
        jobs.len(),
        expected.as_secs().div_ceil(60),
    );
    let record = Mutex::new(record);
    std::thread::scope(|scope| {
        let running: Vec<_> = jobs
            .iter()
            .map(|job| scope.spawn(|| in_kernel(job, expected, &record)))
            .collect();
        // All of them end before the first failure is told.
        let ended: Vec<Result<()>> = running
            .into_iter()
            .map(|thread| {
                let ended = thread.join();
                ended.unwrap_or_else(|_| bail!("the thread that waits for a kernel panicked"))
            })
            .collect();
        ended.into_iter().collect()
    })
}

fn in_kernel(job: &Job, expected: Duration, record: &Mutex<&mut Record<Done>>) -> Result<()> {
    let command = [
        std::env::current_exe()?.into(),
        "--inside".into(),
        serde_json::to_string(job)?.into(),
    ];
    let code = light()?
        .timeout(expected * 10 + Duration::from_secs(120))
        .run_reading(&command, |line| {
            let done: Done =
                serde_json::from_str(line).with_context(|| format!("not a result: {line:?}"))?;
            println!("{done}");
            record
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(done)
        })?;
    ensure!(code == 0, "the kernel's side ended with status {code}");
    Ok(())
}
