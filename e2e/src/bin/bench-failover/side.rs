//! The two that are compared: how each is configured and started.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use lvs_e2e::cluster::repository;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::priorities;

/// Who balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// The node agent.
    Agent,
    /// keepalived of the distribution.
    Keepalived,
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Agent => "agent",
            Self::Keepalived => "keepalived",
        })
    }
}

/// What both directors are configured to be. They have the same priority and do not preempt, so that every failover
/// has the same bound, whichever of them dies.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Milliseconds between advertisements.
    pub(crate) interval_ms: u32,
    /// VRID of the first instance; the others follow.
    pub(crate) first_virtual_router_id: u8,
    /// The VIPs of each VRRP instance.
    pub(crate) instances: Vec<Vec<Ipv4Addr>>,
}

/// Priority of both directors.
pub(crate) const PRIORITY: u32 = 100;

impl Side {
    /// Writes the configuration of a host, and starts the program there in a control group of its own.
    pub(crate) fn start(self, host: &str, setup: &Setup, cgroup: &Path) -> Result<Child> {
        let directory = PathBuf::from("/run/bench").join(format!("{self}-{host}"));
        fs::create_dir_all(&directory)?;
        let command = match self {
            Self::Agent => agent(host, setup, &directory)?,
            Self::Keepalived => keepalived(setup, &directory)?,
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join("log"))?;
        // The shell enters the control group and becomes the program.
        Command::new("sh")
            .args(["-c", r#"echo $$ >"$0/cgroup.procs" && exec "$@""#])
            .arg(cgroup)
            .args(["ip", "netns", "exec", host])
            .args(command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {self} on {host}"))
    }
}

fn agent(host: &str, setup: &Setup, directory: &Path) -> Result<Vec<String>> {
    let instances: Vec<_> = setup
        .instances
        .iter()
        .enumerate()
        .map(|(index, addresses)| {
            let addresses: Vec<_> = addresses.iter().map(|a| json!({"address": a})).collect();
            json!({
                "name": format!("i{index}"), "priority": PRIORITY,
                "virtualRouterID": usize::from(setup.first_virtual_router_id) + index,
                "interface": {"name": "eth0"}, "addresses": addresses,
            })
        })
        .collect();
    let plan = json!({
        "apiVersion": "lvs-operator.dev/v1alpha1",
        "kind": "NodePlan",
        "metadata": {"name": host},
        "spec": {"formatVersion": 1, "director": {
            "pair": "bench",
            "interface": {"name": "eth0"},
            "instances": instances,
            "vrrp": {
                "advertisementIntervalMilliseconds": setup.interval_ms,
                "preemption": {"mode": "Never"},
            },
            "connectionSync": {"mode": "Disabled"},
        }},
    });
    let file = directory.join("plan.yaml");
    fs::write(&file, plan.to_string())?;
    let state = directory.join("state");
    fs::create_dir_all(&state)?;
    let binary = repository().join("target/x86_64-unknown-linux-musl/release/lvs-node-agent");
    Ok([
        &*binary.to_string_lossy(),
        "--node-name",
        host,
        "--plan",
        &file.to_string_lossy(),
        "--state-dir",
        &state.to_string_lossy(),
        "--vrrp-realtime-priority",
        &priorities::VRRP.to_string(),
    ]
    .map(str::to_owned)
    .to_vec())
}

fn keepalived(setup: &Setup, directory: &Path) -> Result<Vec<String>> {
    // By default the kernel ends it after 10 ms of computing without a pause, which is not much where system calls are
    // slow.
    let mut text = format!(
        "global_defs {{\n router_id bench\n vrrp_rt_priority {}\n vrrp_rlimit_rttime 1000000\n}}\n",
        priorities::VRRP
    );
    let seconds = f64::from(setup.interval_ms) / 1000.0;
    for (index, addresses) in setup.instances.iter().enumerate() {
        writeln!(
            text,
            "vrrp_instance i{index} {{\n state BACKUP\n interface eth0\n version 3\n virtual_router_id {}\n \
             priority {PRIORITY}\n advert_int {seconds}\n nopreempt",
            usize::from(setup.first_virtual_router_id) + index,
        )?;
        // An advertisement counts its addresses in one byte.
        let (in_advert, excluded) = addresses.split_at(addresses.len().min(200));
        for (block, addresses) in [
            ("virtual_ipaddress", in_advert),
            ("virtual_ipaddress_excluded", excluded),
        ] {
            if !addresses.is_empty() {
                writeln!(text, " {block} {{")?;
                for address in addresses {
                    writeln!(text, "  {address}/32 dev eth0")?;
                }
                writeln!(text, " }}")?;
            }
        }
        writeln!(text, "}}")?;
    }
    lvs_e2e::keepalived::vrrp(directory, &text)
}
