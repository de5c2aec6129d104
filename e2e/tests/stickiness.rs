//! Two directors with authenticated heartbeats, and a VIP that stays where it is (`examples/09-stickiness`).

#![allow(
    clippy::indexing_slicing,
    reason = "JSON and YAML values answer a missing key with null"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lvs_e2e::cluster::{Cluster, NAMESPACE};
use lvs_e2e::eventually::eventually;
use lvs_e2e::example::STICKINESS;
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{HANDED_OVER, OUT, TAKEN_OVER};
use lvs_e2e::{keepalived, scenario};
use lvs_lab::Topology;
use lvs_lab::traffic::{RunningTraffic, Traffic};
use serde_json::json;

#[path = "stickiness/programs.rs"]
mod programs;

const VIP: &str = "192.168.6.100";
const DIRECTORS: [(&str, &str); 2] = [("lb-1", "192.168.6.11"), ("lb-2", "192.168.6.12")];
const REAL_SERVERS: [&str; 2] = ["192.168.6.31", "192.168.6.32"];

/// A key is 32 to 64 bytes.
const SECOND_KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Where hooks are on a node of the lab.
const HOOKS: &str = "/run/hooks";
/// The program that fences; in the lab it writes down what it was told.
const HOOK: &str = "/run/hooks/fence";
const FENCED: &str = "/run/fenced";

/// Somebody on the LAN who wants to be Active.
const STRANGER: (&str, &str) = ("spare-1", "192.168.6.33");

/// IPv4 header, VRRP header and one address: an advertisement without a key ends here.
const UNAUTHENTICATED_BYTES: usize = 20 + 8 + 4;

fn main() -> ExitCode {
    scenario::main(
        "e2e-s6",
        Topology::s6(),
        STICKINESS,
        &[
            (
                "heartbeats_are_authenticated_and_go_to_the_other_director_alone",
                heartbeats,
            ),
            ("a_stranger_with_a_higher_priority_is_not_heard", stranger),
            ("a_key_is_changed_and_nothing_moves", new_key),
            (
                "a_silent_director_is_fenced_and_leaves_the_vip_where_it_is_when_it_returns",
                dies_and_returns,
            ),
            (
                "a_dead_agent_is_started_again_where_it_is_and_replaced_when_that_fails",
                repaired_then_moved,
            ),
            (
                "a_director_that_cannot_reach_the_real_servers_hands_over",
                cut_off,
            ),
            ("a_file_takes_a_director_out", taken_out),
            (
                "a_process_that_ends_and_a_hook_that_fails_take_a_director_out",
                programs::take_it_out,
            ),
        ],
    )
}

/// A director and its address.
type Director = (&'static str, &'static str);

/// Who has the VIP, and who has not.
fn roles(cluster: &Cluster) -> Result<(Director, Director)> {
    let (roles, _) = eventually("one director has the VIP", Duration::from_secs(30), || {
        let holders = cluster.holders(VIP)?;
        let [first, second] = DIRECTORS;
        match holders.as_slice() {
            [holder] if holder == first.0 => Ok((first, second)),
            [holder] if holder == second.0 => Ok((second, first)),
            _ => bail!("holders are {holders:?}"),
        }
    })?;
    Ok(roles)
}

/// 100 requests a second, of which some have been answered.
fn traffic(cluster: &Cluster) -> Result<RunningTraffic> {
    let target = format!("{VIP}:80").parse()?;
    cluster.traffic("client-1", Traffic::http(target))
}

fn heartbeats(cluster: &Cluster) -> Result<()> {
    let ((_, from), (other, to)) = roles(cluster)?;
    let from_holder = format!("ip proto 112 and src host {from}");
    let signed = format!("{from_holder} and dst host {to} and ip[2:2] > {UNAUTHENTICATED_BYTES}");
    let node = cluster.node(other)?;
    let all = node.capture(&from_holder)?;
    let signed = node.capture(&signed)?;
    std::thread::sleep(Duration::from_secs(5));
    let (signed, all) = (signed.stop()?, all.stop()?);
    ensure!(signed.len() >= 3, "in 5 s: {signed:?}");
    ensure!(
        all.len().abs_diff(signed.len()) <= 1,
        "others beside those for {other}: {all:?}"
    );
    Ok(())
}

fn stranger(cluster: &Cluster) -> Result<()> {
    let ((holder, _), _) = roles(cluster)?;
    let pair = cluster.kubectl.json(&["get", "directorpair", "edge"])?;
    let id = pair["status"]["instances"][0]["virtualRouterID"]
        .as_u64()
        .context("the pair's status has no virtual router id")?;
    let (node, address) = STRANGER;
    let peers = DIRECTORS.map(|(_, address)| address).join("\n  ");
    let configuration = format!(
        "vrrp_instance stranger {{\n state BACKUP\n interface eth0\n version 3\n virtual_router_id {id}\n \
         priority 254\n advert_int 1\n unicast_src_ip {address}\n unicast_peer {{\n  {peers}\n }}\n \
         virtual_ipaddress {{\n  192.168.6.99/32\n }}\n}}\n"
    );
    let adverts = cluster
        .node(holder)?
        .capture(&format!("ip proto 112 and src host {address}"))?;
    let running = keepalived::start(cluster, node, &configuration)?;
    eventually("the stranger is Active", Duration::from_secs(20), || {
        ensure!(cluster.has_address(node, "192.168.6.99")?, "it is not");
        Ok(())
    })?;
    let stayed = cluster.stays(holder, &[VIP], Duration::from_secs(5));
    keepalived::stop(cluster, node)?;
    drop(running);
    stayed?;
    let adverts = adverts.stop()?;
    ensure!(!adverts.is_empty(), "the stranger was never heard");
    Ok(())
}

fn new_key(cluster: &Cluster) -> Result<()> {
    let ((holder, _), (other, _)) = roles(cluster)?;
    let traffic = traffic(cluster)?;
    let secret = |keys: serde_json::Value| {
        let patch = json!({"stringData": keys}).to_string();
        cluster.kubectl.ok(&[
            "patch",
            "secret",
            "edge-heartbeat",
            "-n",
            NAMESPACE,
            "--type=merge",
            "--patch",
            &patch,
        ])
    };
    secret(json!({"2": SECOND_KEY}))?;
    let active = json!({"spec": {"vrrp": {"authentication": {"activeKeyID": 2}}}});
    cluster.kubectl.patch("directorpair", "edge", &active)?;
    // Behind the message, the scheme and then the id of the key.
    let watched = cluster.node(other)?;
    eventually(
        "the second key signs, and both directors say that all is well",
        Duration::from_secs(30),
        || {
            let capture = watched.capture("ip proto 112 and ip[33] = 2")?;
            std::thread::sleep(Duration::from_secs(2));
            ensure!(!capture.stop()?.is_empty(), "no advertisement with it");
            cluster.wait_ready(5)
        },
    )?;
    cluster.stays(holder, &[VIP], Duration::from_secs(5))?;
    let report = traffic.stop()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    Ok(())
}

/// Installs the hook on both directors, where nothing has been fenced yet.
fn install_hook(cluster: &Cluster) -> Result<()> {
    for (director, _) in DIRECTORS {
        write_hook(cluster, director)?;
        cluster.on(director, &["rm", "-f", FENCED])?;
    }
    Ok(())
}

fn write_hook(cluster: &Cluster, director: &str) -> Result<()> {
    let script = format!(
        "mkdir -p $(dirname {HOOK}) && cat >{HOOK} <<'END' && chmod 755 {HOOK}\n\
         #!/bin/sh\n\
         echo $1 $LVS_PAIR $LVS_INSTANCE $LVS_PEER_NAME $LVS_PEER_ADDRESS $LVS_DIRECTORS >>{FENCED}\n\
         END"
    );
    cluster.on(director, &["sh", "-c", &script]).map(drop)
}

/// What the hook on a director was told so far.
fn fenced(cluster: &Cluster, director: &str) -> Result<String> {
    cluster.on(
        director,
        &["sh", "-c", &format!("cat {FENCED} 2>/dev/null || true")],
    )
}

fn dies_and_returns(cluster: &Cluster) -> Result<()> {
    install_hook(cluster)?;
    let ((holder, address), (other, _)) = roles(cluster)?;
    let traffic = traffic(cluster)?;
    let node = cluster.node(holder)?;
    node.power_off()?;
    cluster.wait_holder(other, VIP, Duration::from_secs(10))?;
    let lost = gap(&traffic.stop()?)?;
    println!("power loss: longest gap {} ms", lost.as_millis());
    ensure!(lost <= TAKEN_OVER, "a gap of {lost:?}");
    let expected = format!("fence edge default {holder} {address} {holder}");
    eventually("the hook has been run", Duration::from_secs(10), || {
        let told = fenced(cluster, other)?;
        ensure!(told.trim() == expected, "it was told {told:?}");
        Ok(())
    })?;
    node.power_on()?;
    node.wait_ready()?;
    cluster.wait_ready(60)?;
    cluster.stays(other, &[VIP], Duration::from_secs(5))?;
    // What is under /run has gone with the power.
    write_hook(cluster, holder)?;
    eventually("the pair says so", Duration::from_secs(90), || {
        let healthy = cluster
            .kubectl
            .condition(&["directorpair", "edge"], "FencingHealthy")?;
        ensure!(healthy.status == "True", "{healthy:?}");
        Ok(())
    })?;
    let told = fenced(cluster, other)?;
    ensure!(told.trim() == expected, "it was run again: {told:?}");
    Ok(())
}

fn repaired_then_moved(cluster: &Cluster) -> Result<()> {
    let ((holder, _), (other, _)) = roles(cluster)?;
    // The newest is the one that works; the older one starts it again.
    cluster.on(holder, &["pkill", "-9", "-n", "-x", "lvs-node-agent"])?;
    cluster.stays(holder, &[VIP], Duration::from_secs(5))?;
    // Nobody starts the container again.
    cluster.on(holder, &["pkill", "-STOP", "-x", "kubelet"])?;
    let moved = cluster
        .on(holder, &["pkill", "-9", "-x", "lvs-node-agent"])
        .and_then(|_| cluster.wait_holder(other, VIP, Duration::from_secs(10)));
    cluster.on(holder, &["pkill", "-CONT", "-x", "kubelet"])?;
    moved?;
    cluster.wait_ready(90)?;
    cluster.stays(other, &[VIP], Duration::from_secs(5))
}

fn cut_off(cluster: &Cluster) -> Result<()> {
    let ((holder, _), (other, _)) = roles(cluster)?;
    let route = |verb: &str| -> Result<()> {
        for server in REAL_SERVERS {
            cluster.on(holder, &["ip", "route", verb, "unreachable", server])?;
        }
        Ok(())
    };
    route("add")?;
    let moved = cluster.wait_holder(other, VIP, OUT + Duration::from_secs(10));
    let reason = cluster
        .kubectl
        .condition(&["directorpair", "edge"], "Ready");
    route("del")?;
    println!(
        "cut off from the real servers: handed over after {:?}",
        moved?
    );
    let reason = reason?;
    println!("meanwhile Ready was {} ({})", reason.status, reason.reason);
    cluster.wait_ready(60)?;
    cluster.stays(other, &[VIP], Duration::from_secs(3))?;
    let report = traffic(cluster)?.stop()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    Ok(())
}

fn taken_out(cluster: &Cluster) -> Result<()> {
    install_hook(cluster)?;
    let ((holder, _), (other, _)) = roles(cluster)?;
    let traffic = traffic(cluster)?;
    let directory = "/var/lib/lvs-operator/track";
    let make = format!("mkdir -p {directory} && touch {directory}/maintenance");
    cluster.on(holder, &["sh", "-c", &make])?;
    let moved = cluster.wait_holder(other, VIP, Duration::from_secs(20));
    cluster.on(holder, &["rm", &format!("{directory}/maintenance")])?;
    moved?;
    cluster.stays(other, &[VIP], Duration::from_secs(3))?;
    let lost = gap(&traffic.stop()?)?;
    println!("taken out by a file: longest gap {} ms", lost.as_millis());
    // Who hands over is not silent.
    let told = fenced(cluster, other)?;
    ensure!(told.is_empty(), "it was fenced: {told:?}");
    ensure!(lost <= HANDED_OVER, "a gap of {lost:?}");
    Ok(())
}
