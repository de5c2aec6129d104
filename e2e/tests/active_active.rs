//! Two directors that are each other's backup (`examples/07-active-active`), and a pair that comes from keepalived
//! (`examples/08-migrating-from-keepalived`).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

use std::cell::OnceCell;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::example::ACTIVE_ACTIVE;
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{ROOM, TAKEN_OVER};
use lvs_e2e::scenario;
use lvs_lab::Topology;
use lvs_lab::traffic::{RunningTraffic, Traffic};

#[path = "active_active/migration.rs"]
mod migration;

/// A director, and the VIP for which it is preferred.
const FIRST: (&str, &str) = ("lb-1", "192.168.2.100");
const SECOND: (&str, &str) = ("lb-2", "192.168.2.105");

fn main() -> ExitCode {
    scenario::main(
        "e2e-s7",
        Topology::s7(),
        ACTIVE_ACTIVE,
        &[
            ("the_first_dies_and_returns", |cluster| {
                dies_and_returns(cluster, FIRST, SECOND)
            }),
            ("the_second_dies_and_returns", |cluster| {
                dies_and_returns(cluster, SECOND, FIRST)
            }),
            (
                "a_pair_migrates_from_keepalived_one_director_at_a_time",
                migration::one_director_at_a_time,
            ),
        ],
    )
}

fn dies_and_returns(
    cluster: &Cluster,
    (victim, its_vip): (&str, &str),
    (survivor, other_vip): (&str, &str),
) -> Result<()> {
    cluster.wait_holder(victim, its_vip, Duration::from_secs(60))?;
    cluster.wait_holder(survivor, other_vip, Duration::from_secs(60))?;
    let concerned = traffic(cluster, "client-1", its_vip)?;
    let unconcerned = traffic(cluster, "client-2", other_vip)?;
    let node = cluster.node(victim)?;
    node.power_off()?;
    cluster.wait_holder(survivor, its_vip, Duration::from_secs(10))?;
    answered(&concerned)?;
    answered(&unconcerned)?;
    let lost = gap(&concerned.stop()?)?;
    let report = unconcerned.stop()?;
    let noticed = gap(&report)?;
    println!(
        "{victim} without power: its VIP was silent for {} ms, the other one for {} ms",
        lost.as_millis(),
        noticed.as_millis()
    );
    ensure!(lost <= TAKEN_OVER, "a gap of {lost:?}");
    ensure!(noticed <= ROOM, "a gap of {noticed:?}:\n{report}");
    let holders = cluster.holders(other_vip)?;
    ensure!(holders == [survivor], "{other_vip} is on {holders:?}");

    node.power_on()?;
    node.wait_ready()?;
    eventually("each has its own again", Duration::from_secs(60), || {
        for (director, vip) in [(victim, its_vip), (survivor, other_vip)] {
            let holders = cluster.holders(vip)?;
            ensure!(holders == [director], "{vip} is on {holders:?}");
        }
        Ok(())
    })?;
    for vip in [its_vip, other_vip] {
        let report = traffic(cluster, "client-1", vip)?.stop()?;
        let servers = report.per_server();
        ensure!(servers.len() == 3, "{vip} is served by {servers:?}");
    }
    Ok(())
}

/// 100 requests a second, of which some have been answered.
fn traffic(cluster: &Cluster, client: &str, vip: &str) -> Result<RunningTraffic> {
    let target = format!("{vip}:80").parse()?;
    let running = cluster.traffic(client, Traffic::http(target));
    running.with_context(|| format!("for {vip}"))
}

/// Waits for twenty answers more.
fn answered(running: &RunningTraffic) -> Result<()> {
    let before = OnceCell::new();
    running
        .wait_until(Duration::from_secs(10), move |report| {
            let count = report.per_server().values().sum::<usize>();
            count >= *before.get_or_init(|| count) + 20
        })
        .map(drop)
}
