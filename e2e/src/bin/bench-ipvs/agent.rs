//! The agent, with a plan file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::repository;
use lvs_e2e::eventually::eventually;
use serde_json::json;

use crate::Figures;
use crate::rivals::{count_system_calls, median, output};
use crate::table::{First, PORT, Size, resident_mib, wait_complete};

/// Longest time that the agent gets for anything.
const PATIENCE: Duration = Duration::from_secs(900);
/// Where its metrics are.
const ADMIN: &str = "127.0.0.1:9809";
/// Pools that the services of a large table share.
const SHARED_POOLS: u32 = 100;
const PLAN: &str = "/run/bench/plan.yaml";

/// Entries of a slice, as the operator would make them, roughly.
const SERVICES_OF_A_SLICE: u32 = 64;
const MEMBERS_OF_A_SLICE: u32 = 256;

/// All that is measured beside the others; each service has a pool of its own.
pub(crate) fn own_pools(size: Size) -> Result<Figures> {
    fs::create_dir_all("/run/bench/state")?;
    write_plan(size, size.services, None)?;
    let start = Instant::now();
    let mut running = Running::start()?;
    let from_empty_s = wait_complete(size, start, PATIENCE)?;

    let first = First::find(size, size.services)?;
    let (mut weights, mut own) = (Vec::new(), Vec::new());
    for weight in [2, 3, 4, 5, 6] {
        let before = quiet()?;
        write_plan(
            size,
            size.services,
            Some((first.service, first.server, weight)),
        )?;
        let start = Instant::now();
        fs::rename(format!("{PLAN}.new"), PLAN)?;
        weights.push(first.wait_weight(weight, start, PATIENCE)?);
        own.push(quiet()?.since(&before).plan_seconds);
    }
    let dump_s = full_look()?;
    let resident = resident_mib("lvs-node-agent")?;
    running.stop()?;
    output("ipvsadm", &["-C"])?;

    fs::remove_dir_all("/run/bench/state")?;
    fs::create_dir_all("/run/bench/state")?;
    let system_calls = count_system_calls(size, &Running::command())?;
    Ok(Figures {
        from_empty_s: Some(from_empty_s),
        weight_s: Some(median(weights)),
        weight_own_s: Some(median(own)),
        dump_s: Some(dump_s),
        resident_mib: Some(resident),
        system_calls,
        pass_s: None,
    })
}

/// A large table whose services share pools.
pub(crate) fn shared_pools(size: Size) -> Result<Figures> {
    fs::create_dir_all("/run/bench/state")?;
    write_plan(size, SHARED_POOLS, None)?;
    let start = Instant::now();
    let mut running = Running::start()?;
    // A look at the table would take seconds; the agent says itself when it has added everything.
    let wanted = f64::from(size.destinations());
    eventually("a complete table", PATIENCE, || {
        let added = Metrics::read()?.added_destinations;
        ensure!(added >= wanted, "{added} destinations of {wanted}");
        Ok(())
    })?;
    let from_empty_s = start.elapsed().as_secs_f64();
    quiet()?;
    let pass_s = pass_without_change()?;
    let dump_s = full_look()?;
    let resident = resident_mib("lvs-node-agent")?;
    let (mut weights, mut own) = (Vec::new(), Vec::new());
    let first = First::find(size, SHARED_POOLS)?;
    for weight in [2, 3, 4] {
        let before = quiet()?;
        write_plan(
            size,
            SHARED_POOLS,
            Some((first.service % SHARED_POOLS, first.server, weight)),
        )?;
        let start = Instant::now();
        fs::rename(format!("{PLAN}.new"), PLAN)?;
        weights.push(first.wait_weight(weight, start, PATIENCE)?);
        own.push(quiet()?.since(&before).plan_seconds);
    }
    running.stop()?;
    Ok(Figures {
        from_empty_s: Some(from_empty_s),
        weight_s: Some(median(weights)),
        weight_own_s: Some(median(own)),
        pass_s: Some(pass_s),
        dump_s: Some(dump_s),
        resident_mib: Some(resident),
        ..Figures::default()
    })
}

/// Duration of a pass that finds nothing to do: the agent is told of an interface that has changed, and looks.
fn pass_without_change() -> Result<f64> {
    let before = quiet()?;
    output("ip", &["link", "set", "dev", "lo", "mtu", "60000"])?;
    let (pass, _) = eventually("a pass", PATIENCE, || {
        let since = Metrics::read()?.since(&before);
        ensure!(since.passes >= 1.0, "no pass");
        Ok(since.pass_seconds / since.passes)
    })?;
    Ok(pass)
}

/// Duration of a pass in which everything is read and compared and nothing is to be done. What makes the agent look is
/// a service of somebody else.
fn full_look() -> Result<f64> {
    let before = quiet()?;
    output("ipvsadm", &["-A", "-f", "4242", "-s", "rr"])?;
    let (pass, _) = eventually("a look at everything", PATIENCE, || {
        let since = Metrics::read()?.since(&before);
        ensure!(since.passes >= 1.0, "no pass");
        Ok(since.pass_seconds / since.passes)
    })?;
    quiet()?;
    output("ipvsadm", &["-D", "-f", "4242"])?;
    quiet()?;
    Ok(pass)
}

/// Waits until no pass has ended for a while, and returns the metrics of then.
fn quiet() -> Result<Metrics> {
    let mut before = Metrics::read()?;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = Metrics::read()?;
        if now.passes > 0.0 && now.passes <= before.passes {
            return Ok(now);
        }
        before = now;
    }
}

/// What the agent says of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Metrics {
    passes: f64,
    pass_seconds: f64,
    plan_seconds: f64,
    added_destinations: f64,
}

impl Metrics {
    fn read() -> Result<Self> {
        let mut stream = TcpStream::connect(ADMIN)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: agent\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let values: BTreeMap<&str, f64> = text
            .lines()
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name, value.parse().ok()?))
            })
            .collect();
        let value = |name: &str| values.get(name).copied().unwrap_or_default();
        Ok(Self {
            passes: value("lvs_agent_pass_duration_seconds_count"),
            pass_seconds: value("lvs_agent_pass_duration_seconds_sum"),
            plan_seconds: value("lvs_agent_plan_duration_seconds_sum"),
            added_destinations: value("lvs_agent_ops_total{kind=\"add_destination\"}"),
        })
    }

    fn since(self, before: &Self) -> Self {
        Self {
            passes: self.passes - before.passes,
            pass_seconds: self.pass_seconds - before.pass_seconds,
            plan_seconds: self.plan_seconds - before.plan_seconds,
            added_destinations: self.added_destinations - before.added_destinations,
        }
    }
}

struct Running(Child);

impl Running {
    fn binary() -> PathBuf {
        repository().join("target/x86_64-unknown-linux-musl/release/lvs-node-agent")
    }

    fn command() -> Vec<String> {
        let binary = Self::binary();
        [
            &binary.to_string_lossy(),
            "--node-name",
            "bench",
            "--plan",
            PLAN,
            "--state-dir",
            "/run/bench/state",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn start() -> Result<Self> {
        let command = Self::command();
        let (program, arguments) = command.split_first().context("a program")?;
        let log = fs::File::create("/run/bench/log")?;
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self(child))
    }

    fn stop(&mut self) -> Result<()> {
        output("kill", &[&self.0.id().to_string()])?;
        self.0.wait()?;
        Ok(())
    }
}

/// Writes the plan file; with a change, which is a pool, a server and its weight, beside it under a name of its own.
fn write_plan(size: Size, pools: u32, change: Option<(u32, u32, u32)>) -> Result<()> {
    let mut text = String::new();
    let role = json!({
        "kind": "NodePlan",
        "metadata": {"name": "bench"},
        "spec": {"formatVersion": 1, "director": {
            "pair": "bench", "interface": {"name": "lo"}, "vrrp": {}, "instances": [],
            "connectionSync": {"mode": "Disabled"},
        }},
    });
    writeln!(text, "---\n{role}")?;
    let mut slice = |name: String, spec: serde_json::Value| {
        let metadata = json!({"name": name, "labels": {"lvs-operator.dev/pair": "bench"}});
        let document = json!({"kind": "PlanSlice", "metadata": metadata, "spec": spec});
        writeln!(text, "---\n{document}")
    };
    let members = |pool: u32| -> Vec<serde_json::Value> {
        (0..size.servers)
            .map(|server| {
                let weight = match change {
                    Some((changed, of, weight)) if (changed, of) == (pool, server) => weight,
                    _ => 1,
                };
                json!({"address": size.server(pool, server).to_string(), "weight": weight})
            })
            .collect()
    };
    let per_slice = (MEMBERS_OF_A_SLICE / size.servers).max(1);
    for first in (0..pools).step_by(usize::try_from(per_slice)?) {
        let list: Vec<_> = (first..pools.min(first + per_slice))
            .map(|pool| json!({"name": format!("p{pool}"), "members": members(pool)}))
            .collect();
        slice(format!("bench-p{first}"), json!({"pools": list}))?;
    }
    for first in (0..size.services).step_by(usize::try_from(SERVICES_OF_A_SLICE)?) {
        let list: Vec<_> = (first..size.services.min(first + SERVICES_OF_A_SLICE))
            .map(|service| {
                json!({
                    "name": format!("bench/s{service}"), "uid": "", "instance": "default",
                    "addresses": [Size::vip(service).to_string()], "bindAddresses": "External",
                    "ports": [{"name": "http", "port": PORT}],
                    "forwarding": {"method": "DR"}, "scheduler": {"name": "wlc"},
                    "pools": [format!("p{}", service % pools)],
                })
            })
            .collect();
        slice(format!("bench-s{first}"), json!({"services": list}))?;
    }
    let path = match change {
        Some(_) => format!("{PLAN}.new"),
        None => PLAN.to_owned(),
    };
    fs::write(path, text)?;
    Ok(())
}
