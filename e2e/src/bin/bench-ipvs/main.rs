//! `make bench-ipvs`: how long the agent takes to program IPVS, beside keepalived and ipvsadm in the same kernel, and
//! what large tables cost. Writes `docs/benchmarks/ipvs.md`.
//!
//! Each measurement has a kernel of its own (the lab's light lane), in which this program runs again.

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
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lvs_e2e::cluster::repository;
use lvs_lab::light::Light;
use serde::{Deserialize, Serialize};

use crate::table::Size;

/// First argument of this program when it runs inside the light kernel; measurement and size follow.
const INSIDE: &str = "--inside";

/// What is measured in one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measurement {
    /// Empty table to all programmed, one changed weight, full dump: all sides in turn.
    Beside,
    /// The agent alone, with pools that services share.
    Alone,
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Outcome {
    agent: Figures,
    keepalived: Figures,
    ipvsadm: Figures,
    kernel: String,
    keepalived_version: String,
    ipvsadm_version: String,
    date: String,
}

/// Sizes at which all sides are measured.
const BESIDE: [Size; 3] = [
    Size::new(100, 10),
    Size::new(1000, 10),
    Size::new(1000, 100),
];
/// Sizes at which the agent is measured alone.
const ALONE: [Size; 3] = [
    Size::new(1000, 100),
    Size::new(3000, 100),
    Size::new(10_000, 100),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [] => everything(),
        ["--fresh"] => forget().and_then(|()| everything()),
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

fn everything() -> Result<()> {
    let mut beside = Vec::new();
    for size in BESIDE {
        println!("bench-ipvs: {size}, beside keepalived and ipvsadm");
        beside.push((size, outcome(Measurement::Beside, size)?));
    }
    let mut alone = Vec::new();
    for size in ALONE {
        println!("bench-ipvs: {size}, alone");
        alone.push((size, outcome(Measurement::Alone, size)?));
    }
    let text = document::markdown(&beside, &alone)?;
    let path = repository().join("docs/benchmarks/ipvs.md");
    fs::create_dir_all(path.parent().context("the path has a directory")?)?;
    fs::write(&path, &text)?;
    println!("\n{text}");
    Ok(())
}

/// Outcomes so far, a line of JSON each: a run goes on where one before it was interrupted.
fn record() -> PathBuf {
    repository().join("target/lab/bench-ipvs.jsonl")
}

fn forget() -> Result<()> {
    match fs::remove_file(record()) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// What was measured before, or is now.
fn outcome(measurement: Measurement, size: Size) -> Result<Outcome> {
    let name = format!("{} {size}", measurement.name());
    let known = fs::read_to_string(record()).unwrap_or_default();
    for line in known.lines() {
        let (found, outcome): (String, Outcome) = serde_json::from_str(line)?;
        if found == name {
            return Ok(outcome);
        }
    }
    let outcome = in_kernel(measurement, size)?;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(record())?;
    writeln!(file, "{}", serde_json::to_string(&(name, &outcome))?)?;
    Ok(outcome)
}

/// Runs one measurement in a kernel of its own.
fn in_kernel(measurement: Measurement, size: Size) -> Result<Outcome> {
    let command: [OsString; 4] = [
        std::env::current_exe()?.into(),
        INSIDE.into(),
        measurement.name().into(),
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
    let mut outcome = Outcome {
        kernel: rivals::output("uname", &["-r"])?,
        keepalived_version: rivals::version("keepalived", "--version")?,
        ipvsadm_version: rivals::version("ipvsadm", "--version")?,
        date: rivals::output("date", &["+%F"])?,
        ..Outcome::default()
    };
    match Measurement::from_name(measurement)? {
        Measurement::Beside => {
            outcome.ipvsadm = rivals::ipvsadm(size)?;
            outcome.keepalived = rivals::keepalived(size)?;
            outcome.agent = agent::beside(size)?;
        }
        Measurement::Alone => outcome.agent = agent::alone(size)?,
    }
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

impl Measurement {
    const fn name(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Alone => "alone",
        }
    }

    fn from_name(name: &str) -> Result<Self> {
        match name {
            "beside" => Ok(Self::Beside),
            "alone" => Ok(Self::Alone),
            _ => bail!("no measurement is called {name:?}"),
        }
    }
}
