//! Two directors that are each other's backup (`examples/07-active-active`), and a pair that comes from keepalived
//! (`examples/08-migrating-from-keepalived`).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

use std::cell::OnceCell;
use std::net::Ipv4Addr;
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
use serde_json::json;

#[path = "active_active/migration.rs"]
mod migration;

/// A director, and the VIP for which it is preferred.
const FIRST: (&str, &str) = ("lb-1", "192.168.2.100");
const SECOND: (&str, &str) = ("lb-2", "192.168.2.105");

/// Of the second's instance, whose virtual router id is 52 (RFC 9568 section 7.3).
const VIRTUAL_MAC: &str = "00:00:5e:00:01:34";

fn main() -> ExitCode {
    scenario::main(
        "e2e-s7",
        Topology::s7(),
        ACTIVE_ACTIVE,
        &[
            ("the_first_dies_and_returns", |cluster| {
                dies_and_returns(cluster, FIRST, SECOND, || Ok(()))
            }),
            (
                "the_second_dies_and_returns_and_its_vip_keeps_its_mac_address",
                keeps_its_mac_address,
            ),
            (
                "a_pair_migrates_from_keepalived_one_director_at_a_time",
                migration::one_director_at_a_time,
            ),
        ],
    )
}

/// With `virtualMAC: Macvlan`, which is off again at the end.
fn keeps_its_mac_address(cluster: &Cluster) -> Result<()> {
    let ((_, vip), mac) = (SECOND, VIRTUAL_MAC);
    virtual_mac(cluster, "Macvlan")?;
    let is_known = || {
        let seen = neighbour(cluster, vip)?;
        ensure!(seen.contains(mac), "{seen:?}");
        Ok(())
    };
    eventually(
        "the client knows the virtual MAC address",
        TAKEN_OVER,
        is_known,
    )?;
    // What else the client hears of the VIP.
    let told = format!(
        "arp and arp[14:4] = {} and not ether src {mac}",
        hexadecimal(vip)?
    );
    let others = cluster.lab.client("client-1")?.capture(&told)?;
    dies_and_returns(cluster, SECOND, FIRST, is_known)?;
    is_known()?;
    let others = others.stop()?;
    ensure!(others.is_empty(), "from other MAC addresses: {others:?}");

    virtual_mac(cluster, "Disabled")?;
    eventually("the VIP has the interface's address", TAKEN_OVER, || {
        let seen = neighbour(cluster, vip)?;
        ensure!(seen.contains("lladdr") && !seen.contains(mac), "{seen:?}");
        for (director, _) in [FIRST, SECOND] {
            let links = cluster.on(director, &["ip", "-o", "link"])?;
            ensure!(!links.contains("vrrp4-"), "{director}: {links}");
        }
        Ok(())
    })
    .map(drop)
}

fn virtual_mac(cluster: &Cluster, mode: &str) -> Result<()> {
    let edit = json!({"spec": {"vrrp": {"virtualMAC": mode}}});
    cluster.kubectl.patch("directorpair", "edge", &edit)
}

/// What the client's kernel knows of an address after a request.
fn neighbour(cluster: &Cluster, address: &str) -> Result<String> {
    let client = cluster.lab.client("client-1")?;
    let url = format!("http://{address}/");
    client.exec(&["curl", "-sf", "--max-time", "2", &url])?;
    client.exec(&["ip", "neighbour", "show", address])?.ok()
}

/// An IPv4 address as pcap-filter(7) compares it.
fn hexadecimal(address: &str) -> Result<String> {
    let address: Ipv4Addr = address.parse()?;
    Ok(format!("{:#x}", u32::from(address)))
}

fn dies_and_returns(
    cluster: &Cluster,
    (victim, its_vip): (&str, &str),
    (survivor, other_vip): (&str, &str),
    meanwhile: impl FnOnce() -> Result<()>,
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
    meanwhile()?;
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
