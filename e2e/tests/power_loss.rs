//! Each node of a cluster loses its power in turn, while requests come in (`examples/01-direct-routing`).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::example::DIRECT_ROUTING;
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{CAUGHT, HANDED_OVER, OUT, TAKEN_OVER};
use lvs_e2e::scenario;
use lvs_lab::Topology;
use lvs_lab::traffic::{Report, Traffic};

const VIP: &str = "192.168.1.222";
/// The director that is Active, and its Backup.
const ACTIVE: &str = "lb-1";

fn main() -> ExitCode {
    scenario::main(
        "e2e-power",
        Topology::s1(),
        DIRECT_ROUTING,
        &[
            ("the_active_director", |cluster| {
                let report = lose(cluster, ACTIVE, TAKEN_OVER)?;
                let lost = gap(&report)?;
                ensure!(lost <= TAKEN_OVER, "a gap of {lost:?}:\n{report}");
                Ok(())
            }),
            ("the_backup_director", |cluster| {
                unnoticed(&lose(cluster, "lb-2", Duration::ZERO)?)
            }),
            ("the_first_real_server", |cluster| {
                lose(cluster, "web-1", OUT).map(drop)
            }),
            ("the_second_real_server", |cluster| {
                lose(cluster, "web-2", OUT).map(drop)
            }),
            ("a_node_without_a_role", |cluster| {
                unnoticed(&lose(cluster, "spare-1", Duration::ZERO)?)
            }),
        ],
    )
}

/// Takes a node's power away for twenty seconds and gives it back. Requests may fail for a time after the loss, and a few
/// while a VIP moves back. Returns what became of those until the power is back.
fn lose(cluster: &Cluster, name: &str, noticed: Duration) -> Result<Report> {
    cluster.wait_holder(ACTIVE, VIP, Duration::from_secs(60))?;
    // 100 requests a second.
    let target = format!("{VIP}:80").parse()?;
    let traffic = cluster.traffic("client-1", Traffic::http(target))?;
    let node = cluster.node(name)?;
    node.power_off()?;
    let off = Instant::now();
    let without = traffic.wait_until(Duration::from_secs(60), |report| {
        let last = report.requests.last();
        last.is_some_and(|last| last.started >= off + Duration::from_secs(20))
    })?;
    let settled = without.since(off + noticed);
    println!(
        "{name} without power: {} requests failed, longest time without an answer {} ms",
        without.failed(),
        gap(&without)?.as_millis()
    );
    if !noticed.is_zero() {
        ensure!(
            settled.failed() == 0,
            "requests failed for too long:\n{settled}"
        );
    }

    node.power_on()?;
    node.wait_ready()?;
    let back = Instant::now();
    cluster.forget_servers(name)?;
    if DIRECT_ROUTING.real_servers.contains(&name) {
        // What answers checks is given requests: the service starts after the agent.
        eventually(
            "the real server has the VIP",
            Duration::from_secs(90),
            || {
                ensure!(cluster.has_address(name, VIP)?, "it has not");
                Ok(())
            },
        )?;
    }
    cluster.start_servers()?;
    cluster.wait_ready(90)?;
    cluster.wait_holder(ACTIVE, VIP, Duration::from_secs(60))?;
    let after = traffic.stop()?.since(back);
    ensure!(
        after.failed() <= CAUGHT,
        "requests failed when {name} came back:\n{after}"
    );
    Ok(without)
}

/// The loss of a node that does not serve costs nothing.
fn unnoticed(report: &Report) -> Result<()> {
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    let lost = gap(report)?;
    ensure!(lost < HANDED_OVER, "a gap of {lost:?}:\n{report}");
    Ok(())
}
