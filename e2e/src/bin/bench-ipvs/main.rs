//! `make bench-ipvs`: how long the agent takes to program IPVS, beside keepalived and ipvsadm in the same kernel, and
//! what large tables cost. Writes `docs/benchmarks/ipvs.md`.
//!
//! Each measurement has a kernel of its own (the lab's light lane), in which this program runs again: what one side has
//! deleted lies in the kernel's trash for a minute or two, through which it looks for every destination that is added.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program is for people at a terminal"
)]

mod agent;
mod document;
mod rivals;
mod table;

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::repository;
use lvs_e2e::record::Record;
use lvs_lab::light::Light;
use serde::{Deserialize, Serialize};

use crate::table::Size;

/// First argument of this program when it runs inside the light kernel; measurement and size follow.
const INSIDE: &str = "--inside";

/// What is measured in one kernel: empty table to all programmed, one changed weight, full dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Measurement {
    /// The agent, with a pool for each service.
    Agent,
    /// keepalived.
    Keepalived,
    /// ipvsadm.
    Ipvsadm,
    /// The agent, with pools that services share.
    SharedPools,
}

/// One side's figures.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Figures {
    /// Seconds from the start of the program until the table is complete.
    from_empty_s: Option<f64>,
    /// Seconds from the change of the file until the kernel has the weight.
    weight_s: Option<f64>,
    /// Of it, seconds from the receipt of the plan to the end of the pass that carried it out.
    weight_own_s: Option<f64>,
    /// Seconds of a pass that finds nothing to do.
    pass_s: Option<f64>,
    /// Seconds to read the whole table, and for the agent to compare it with the plan.
    dump_s: Option<f64>,
    /// Resident memory of all its processes.
    resident_mib: Option<f64>,
    /// System calls from the start until the table is complete.
    system_calls: Option<u64>,
}

/// What one kernel showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Outcome {
    figures: Figures,
    kernel: String,
    keepalived_version: String,
    ipvsadm_version: String,
    date: String,
}

/// A table, and what each side did with it.
struct Beside {
    size: Size,
    agent: Figures,
    keepalived: Figures,
    ipvsadm: Figures,
}

/// What has been measured before, by measurement and size.
type Known = Record<(Measurement, String, Outcome)>;

/// Sizes at which all sides are measured.
const BESIDE: [Size; 3] = [
    Size::new(100, 10),
    Size::new(1000, 10),
    Size::new(1000, 100),
];
/// Sizes at which the agent is measured alone, with services that share pools.
const SHARED_POOLS: [Size; 3] = [
    Size::new(1000, 100),
    Size::new(3000, 100),
    Size::new(10_000, 100),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [] => everything(false),
        ["--fresh"] => everything(true),
        [INSIDE, measurement, size] => inside(measurement, size),
        _ => Err(anyhow::anyhow!("--fresh is the only option, not {words:?}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench-ipvs: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

fn everything(fresh: bool) -> Result<()> {
    let mut known = Record::open("bench-ipvs.jsonl", fresh)?;
    let mut beside = Vec::new();
    for size in BESIDE {
        let mut figures = |measurement| -> Result<Figures> {
            Ok(outcome(&mut known, measurement, size)?.figures)
        };
        beside.push(Beside {
            size,
            agent: figures(Measurement::Agent)?,
            keepalived: figures(Measurement::Keepalived)?,
            ipvsadm: figures(Measurement::Ipvsadm)?,
        });
    }
    let mut shared_pools = Vec::new();
    for size in SHARED_POOLS {
        shared_pools.push((size, outcome(&mut known, Measurement::SharedPools, size)?));
    }
    let text = document::markdown(&beside, &shared_pools)?;
    let path = repository().join("docs/benchmarks/ipvs.md");
    fs::create_dir_all(path.parent().context("the path has a directory")?)?;
    fs::write(&path, &text)?;
    println!("\n{text}");
    Ok(())
}

/// What was measured before, or is now.
fn outcome(known: &mut Known, measurement: Measurement, size: Size) -> Result<Outcome> {
    let shown = size.to_string();
    let found = known
        .entries()
        .iter()
        .find(|(of, at, _)| (*of, at) == (measurement, &shown));
    if let Some((_, _, outcome)) = found {
        return Ok(outcome.clone());
    }
    println!("bench-ipvs: {shown}, {measurement:?}");
    let outcome = in_kernel(measurement, size)?;
    known.add((measurement, shown, outcome.clone()))?;
    Ok(outcome)
}

/// Runs one measurement in a kernel of its own.
fn in_kernel(measurement: Measurement, size: Size) -> Result<Outcome> {
    let command: [OsString; 4] = [
        std::env::current_exe()?.into(),
        INSIDE.into(),
        serde_json::to_string(&measurement)?.into(),
        size.to_string().into(),
    ];
    // A destination takes about a KiB of the kernel's memory.
    let output = Light::default()
        .memory_mib(1024 + size.destinations() / 256)
        .timeout(Duration::from_secs(1200))
        .run(&command)?;
    ensure!(output.success(), "{output}");
    eprint!("{}", output.stderr);
    serde_json::from_str(output.stdout.trim())
        .with_context(|| format!("what the kernel's side printed: {output}"))
}

fn inside(measurement: &str, size: &str) -> Result<()> {
    let size: Size = size.parse()?;
    let figures = match serde_json::from_str(measurement)? {
        Measurement::Agent => agent::own_pools(size)?,
        Measurement::Keepalived => rivals::keepalived(size)?,
        Measurement::Ipvsadm => rivals::ipvsadm(size)?,
        Measurement::SharedPools => agent::shared_pools(size)?,
    };
    let outcome = Outcome {
        figures,
        kernel: rivals::output("uname", &["-r"])?,
        keepalived_version: rivals::version("keepalived", "--version")?,
        ipvsadm_version: rivals::version("ipvsadm", "--version")?,
        date: rivals::output("date", &["+%F"])?,
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
