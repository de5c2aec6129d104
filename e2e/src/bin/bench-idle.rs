//! `make bench-idle`: resident memory and CPU time of the Active director's agent at rest, with
//! `examples/06-three-services` loaded, beside keepalived with the same configuration on the same node. Writes
//! `docs/benchmarks/idle.md`.

#![allow(
    clippy::print_stdout,
    reason = "this program is for people at a terminal"
)]

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::{Cluster, repository};
use lvs_e2e::eventually::eventually;
use lvs_e2e::example::THREE_SERVICES;
use lvs_e2e::keepalived;
use lvs_lab::{Running, Topology};

const DIRECTOR: &str = "lb-1";
const VIPS: [&str; 3] = ["172.28.14.227", "172.28.14.228", "172.28.14.229"];

/// How long each side is watched.
const PERIOD: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let cluster = Cluster::up("bench-idle", Topology::s2(), THREE_SERVICES)?;
    cluster.put_back()?;
    let result = measure(&cluster);
    cluster.down()?;
    let text = result?;
    let path = repository().join("docs/benchmarks/idle.md");
    fs::create_dir_all(path.parent().context("the path has a directory")?)?;
    fs::write(&path, &text)?;
    println!("\n{text}");
    Ok(())
}

fn measure(cluster: &Cluster) -> Result<String> {
    for vip in VIPS {
        cluster.wait_holder(DIRECTOR, vip, Duration::from_secs(30))?;
    }
    println!("bench-idle: the agent, {} s", PERIOD.as_secs());
    let ours = Usage::over(cluster, "lvs-node-agent", PERIOD)?;
    println!("bench-idle: {ours:?}");

    cluster
        .kubectl
        .ok(&["delete", "virtualservices,realservers", "-A", "--all"])?;
    cluster.kubectl.ok(&["delete", "directorpairs", "--all"])?;
    cluster
        .kubectl
        .wait("delete", &["nodeplans", "--all"], 60)?;
    let running = rivals(cluster)?;
    for vip in VIPS {
        cluster.wait_holder(DIRECTOR, vip, Duration::from_secs(30))?;
    }
    println!("bench-idle: keepalived, {} s", PERIOD.as_secs());
    let theirs = Usage::over(cluster, "keepalived", PERIOD)?;
    drop(running);

    let kernel = cluster.on(DIRECTOR, &["uname", "-r"])?;
    let version = cluster.on(
        DIRECTOR,
        &["sh", "-c", "keepalived --version 2>&1 | head -1"],
    )?;
    let date = cluster.on(DIRECTOR, &["date", "+%F"])?;
    let share = |usage: &Usage| usage.cpu.as_secs_f64() / PERIOD.as_secs_f64() * 100.0;
    let row = |name: &str, usage: &Usage| {
        format!(
            "| {name} | {} | {:.1} | {:.1} | {:.2} % |\n",
            usage.processes,
            usage.resident_kib / 1024.0,
            usage.cpu.as_secs_f64() * 1000.0,
            share(usage)
        )
    };
    Ok(format!(
        "# At rest\n\n\
         Three virtual services with three real servers each (`examples/06-three-services`), on the Active\n\
         director, {} s without traffic. `make bench-idle` makes this file: first the agent, then keepalived\n\
         with the same configuration on the same node of the same lab.\n\n\
         | | processes | resident memory, MiB | CPU time, ms | share of a CPU |\n\
         | --- | --- | --- | --- | --- |\n\
         {}{}\
         | ratio | | {:.2} | {:.2} | |\n\n\
         Resident memory is the sum over the processes, so that shared pages count for each of them. A node of\n\
         the lab is a user-mode Linux kernel, where a system call costs about fifty microseconds: CPU times\n\
         compare with each other, not with those of a physical machine.\n\n\
         {}, Linux {} (user-mode), {}.\n",
        PERIOD.as_secs(),
        row("lvs-node-agent", &ours),
        row("keepalived", &theirs),
        ours.resident_kib / theirs.resident_kib,
        ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64(),
        date.trim(),
        kernel.trim(),
        version.trim(),
    ))
}

/// What the processes of one program used.
#[derive(Clone, Copy, Debug)]
struct Usage {
    processes: usize,
    resident_kib: f64,
    cpu: Duration,
}

impl Usage {
    fn over(cluster: &Cluster, program: &str, period: Duration) -> Result<Self> {
        let before = Self::now(cluster, program)?;
        // The period that is measured.
        std::thread::sleep(period);
        let after = Self::now(cluster, program)?;
        ensure!(
            before.processes == after.processes,
            "{program} was restarted meanwhile"
        );
        Ok(Self {
            cpu: after.cpu.saturating_sub(before.cpu),
            ..after
        })
    }

    /// Time on the CPU since the start, from `/proc/PID/task/*/schedstat` in nanoseconds.
    fn now(cluster: &Cluster, program: &str) -> Result<Self> {
        let script = format!(
            "for pid in $(pgrep -x {program}); do \
             echo resident $(grep VmRSS /proc/$pid/status | tr -dc 0-9); \
             cat /proc/$pid/task/*/schedstat | sed 's/^/cpu /'; done"
        );
        let text = cluster.on(DIRECTOR, &["sh", "-c", &script])?;
        let mut usage = Self {
            processes: 0,
            resident_kib: 0.0,
            cpu: Duration::ZERO,
        };
        for line in text.lines() {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["resident", kib] => {
                    usage.processes += 1;
                    usage.resident_kib += kib.parse::<f64>()?;
                }
                ["cpu", nanoseconds, ..] => usage.cpu += Duration::from_nanos(nanoseconds.parse()?),
                _ => anyhow::bail!("what is {line:?}?"),
            }
        }
        ensure!(usage.processes > 0, "{program} does not run on {DIRECTOR}");
        Ok(usage)
    }
}

/// keepalived on both directors.
fn rivals(cluster: &Cluster) -> Result<Vec<Running>> {
    let mut running = Vec::new();
    for (director, priority) in [("lb-1", 100), ("lb-2", 99)] {
        let interface = eventually("the interface", Duration::from_secs(5), || {
            let listing =
                cluster.on(director, &["ip", "-o", "-4", "route", "get", "172.28.14.1"])?;
            let mut words = listing
                .split_whitespace()
                .skip_while(|word| *word != "dev")
                .skip(1);
            words.next().map(str::to_owned).context("no route")
        })?
        .0;
        let configuration = configuration(&interface, priority);
        running.push(keepalived::start(cluster, director, &configuration)?);
    }
    Ok(running)
}

/// What the left column of the example's README shows.
fn configuration(interface: &str, priority: u8) -> String {
    let servers = |port: u16| -> String {
        (13..=15)
            .flat_map(|server| {
                [
                    format!("  real_server 172.28.14.{server} {port} {{\n    weight 1\n"),
                    "    TCP_CHECK {\n      connect_timeout 3\n      retry 3\n".to_owned(),
                    "      delay_before_retry 3\n    }\n  }\n".to_owned(),
                ]
            })
            .collect()
    };
    let services: String = VIPS
        .into_iter()
        .zip([8080, 25, 21])
        .flat_map(|(vip, port)| {
            [
                format!(
                    "virtual_server {vip} {port} {{\n  delay_loop 6\n  lb_algo wlc\n  lb_kind DR\n"
                ),
                "  persistence_timeout 50\n  protocol TCP\n".to_owned(),
                servers(port),
                "}\n".to_owned(),
            ]
        })
        .collect();
    format!(
        "global_defs {{ router_id edge }}\n\
         vrrp_instance default {{\n  state BACKUP\n  interface {interface}\n  virtual_router_id 51\n  \
         priority {priority}\n  advert_int 1\n  authentication {{\n    auth_type PASS\n    auth_pass 1111\n  }}\n  \
         virtual_ipaddress {{\n    {}\n  }}\n}}\n{services}",
        VIPS.join("\n    ")
    )
}
