//! keepalived and ipvsadm.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::keepalived::checkers;

use crate::Figures;
use crate::table::{First, PORT, Size, resident_mib, wait_complete};

/// Longest time that a program gets for anything.
const PATIENCE: Duration = Duration::from_secs(300);

/// Standard output of a program, without the last newline.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program}: {output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// First line of what a program says of its version, wherever it says it.
pub(crate) fn version(program: &str, option: &str) -> Result<String> {
    let line = output("sh", &["-c", &format!("{program} {option} 2>&1 | head -1")])?;
    Ok(line)
}

/// Largest table for which system calls are counted: counting slows every one of them down.
const COUNTED_DESTINATIONS: u32 = 1000;

/// System calls of a program and its children until the table is complete, counted by `strace`.
pub(crate) fn count_system_calls(size: Size, command: &[String]) -> Result<Option<u64>> {
    if size.destinations() > COUNTED_DESTINATIONS {
        return Ok(None);
    }
    let mut child = Command::new("strace")
        .args(["-f", "-c", "-qq", "-U", "calls,name", "-o", "/run/strace"])
        .args(command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start strace")?;
    let waited = wait_complete(size, Instant::now(), PATIENCE);
    // strace passes the signal on and writes its summary when the last process has ended.
    output("pkill", &["-TERM", "-P", &child.id().to_string()]).ok();
    child.wait()?;
    waited?;
    let text = fs::read_to_string("/run/strace")?;
    text.lines()
        .find_map(|line| line.trim().strip_suffix("total"))
        .and_then(|calls| calls.trim().parse().ok())
        .map(Some)
        .with_context(|| format!("what strace printed: {text}"))
}

pub(crate) fn ipvsadm(size: Size) -> Result<Figures> {
    let mut text = String::new();
    for service in 0..size.services {
        let vip = Size::vip(service);
        writeln!(text, "-A -t {vip}:{PORT} -s wlc")?;
        for server in 0..size.servers {
            let address = size.server(service, server);
            writeln!(text, "-a -t {vip}:{PORT} -r {address}:{PORT} -g -w 1")?;
        }
    }
    fs::write("/run/ipvsadm.rules", text)?;
    let restore = || -> Result<f64> {
        let start = Instant::now();
        let status = Command::new("ipvsadm")
            .arg("-R")
            .stdin(File::open("/run/ipvsadm.rules")?)
            .status()?;
        ensure!(status.success(), "ipvsadm -R: {status}");
        Ok(start.elapsed().as_secs_f64())
    };
    let from_empty_s = restore()?;
    let start = Instant::now();
    let status = Command::new("ipvsadm")
        .arg("-Sn")
        .stdout(File::create("/dev/null")?)
        .status()?;
    ensure!(status.success(), "ipvsadm -Sn: {status}");
    let dump_s = start.elapsed().as_secs_f64();

    let first = First::find(size, size.services)?;
    let start = Instant::now();
    output("ipvsadm", &edit(size, &first, 2))?;
    let weight_s = first.wait_weight(2, start, PATIENCE)?;
    output("ipvsadm", &["-C"])?;
    let command = ["sh", "-c", "ipvsadm -R < /run/ipvsadm.rules"].map(str::to_owned);
    let system_calls = count_system_calls(size, &command)?;
    Ok(Figures {
        from_empty_s: Some(from_empty_s),
        weight_s: Some(weight_s),
        dump_s: Some(dump_s),
        system_calls,
        ..Figures::default()
    })
}

/// Arguments of `ipvsadm` that change the weight of the first destination.
fn edit(size: Size, first: &First, weight: u32) -> [&'static str; 8] {
    let service = format!("{}:{PORT}", Size::vip(first.service));
    let server = format!("{}:{PORT}", size.server(first.service, first.server));
    let weight = weight.to_string();
    // A handful of words in a program that ends soon.
    [
        "-e",
        "-t",
        service.leak(),
        "-r",
        server.leak(),
        "-g",
        "-w",
        weight.leak(),
    ]
}

pub(crate) fn keepalived(size: Size) -> Result<Figures> {
    let command = configure(size, None)?;
    let start = Instant::now();
    let mut running = Keepalived::start(&command)?;
    let from_empty_s = wait_complete(size, start, PATIENCE)?;

    let first = First::find(size, size.services)?;
    let mut weights = Vec::new();
    for weight in [2, 3, 4] {
        configure(size, Some((&first, weight)))?;
        let start = Instant::now();
        output("kill", &["-HUP", &running.child.id().to_string()])?;
        weights.push(first.wait_weight(weight, start, PATIENCE)?);
    }
    let resident = resident_mib("keepalived")?;
    running.stop()?;

    let command = configure(size, None)?;
    let system_calls = count_system_calls(size, &command)?;
    Ok(Figures {
        from_empty_s: Some(from_empty_s),
        weight_s: Some(median(weights)),
        resident_mib: Some(resident),
        system_calls,
        ..Figures::default()
    })
}

/// The middle one of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Keepalived {
    child: Child,
}

impl Keepalived {
    fn start(command: &[String]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("a program")?;
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start keepalived")?;
        Ok(Self { child })
    }

    /// Kills it: its own way of stopping takes the table down one by one, which is not measured.
    fn stop(&mut self) -> Result<()> {
        output("pkill", &["-KILL", "-x", "keepalived"])?;
        self.child.wait()?;
        output("ipvsadm", &["-C"]).map(drop)
    }
}

/// Writes its configuration; returns the command that runs its part that programs IPVS.
fn configure(size: Size, change: Option<(&First, u32)>) -> Result<Vec<String>> {
    let mut text = String::from("global_defs { router_id bench }\n");
    for service in 0..size.services {
        let vip = Size::vip(service);
        writeln!(
            text,
            "virtual_server {vip} {PORT} {{\n  lb_algo wlc\n  lb_kind DR\n  protocol TCP"
        )?;
        for server in 0..size.servers {
            let weight = match change {
                Some((first, weight)) if (first.service, first.server) == (service, server) => {
                    weight
                }
                _ => 1,
            };
            let address = size.server(service, server);
            writeln!(
                text,
                "  real_server {address} {PORT} {{\n    weight {weight}\n  }}"
            )?;
        }
        text.push_str("}\n");
    }
    checkers(Path::new("/run/keepalived"), &text)
}
