//! The VIP and the inside gateway are on the same director at every time that counts.

use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{CAUGHT, HANDED_OVER, TAKEN_OVER};
use lvs_lab::traffic::{RunningTraffic, Traffic};
use serde_json::json;

use super::split::target;
use super::{GATEWAY, OTHER, PREFERRED, VIP};

/// Connections in a hundred that may break when the director returns.
const LOST_PERCENT: usize = 5;

/// How long a director may take to be Active again: it waits until it has been told of the connections.
pub(super) const RETURN: Duration = Duration::from_secs(90);

pub(crate) fn drain(cluster: &Cluster) -> Result<()> {
    both_on(cluster, PREFERRED, RETURN)?;
    let open = connections::open(cluster, "client-2", &format!("{VIP}:7"), 50)?;
    let traffic = traffic(cluster)?;
    set_admin_state(cluster, "Drain")?;
    both_on(cluster, OTHER, Duration::from_secs(10))?;
    cluster.stays(OTHER, &[VIP, GATEWAY], Duration::from_secs(2))?;
    set_admin_state(cluster, "Enabled")?;
    both_on(cluster, PREFERRED, RETURN)?;
    cluster.stays(PREFERRED, &[VIP, GATEWAY], Duration::from_secs(2))?;
    let report = traffic.stop()?;
    let lost = gap(&report)?;
    println!(
        "drain and back: longest gap {} ms, {} requests failed",
        lost.as_millis(),
        report.failed()
    );
    ensure!(report.failed() <= CAUGHT, "requests failed:\n{report}");
    ensure!(lost < HANDED_OVER, "a gap of {lost:?}:\n{report}");
    let wait = connections::close_whole(open)?;
    println!("50 connections stayed open, longest wait {wait:?}");
    Ok(())
}

pub(crate) fn power_loss(cluster: &Cluster) -> Result<()> {
    both_on(cluster, PREFERRED, RETURN)?;
    let open = connections::open(cluster, "client-2", &format!("{VIP}:7"), 50)?;
    let traffic = traffic(cluster)?;
    let director = cluster.node(PREFERRED)?;
    director.power_off()?;
    both_on(cluster, OTHER, Duration::from_secs(10))?;
    cluster.stays(OTHER, &[VIP, GATEWAY], Duration::from_secs(2))?;
    let report = traffic.stop()?;
    let lost = gap(&report)?;
    println!(
        "power loss: longest gap {} ms, {} requests failed",
        lost.as_millis(),
        report.failed()
    );
    ensure!(lost <= TAKEN_OVER, "a gap of {lost:?}:\n{report}");
    director.power_on()?;
    director.wait_ready()?;
    both_on(cluster, PREFERRED, RETURN)?;
    cluster.stays(PREFERRED, &[VIP, GATEWAY], Duration::from_secs(2))?;
    let connections = open.close()?;
    let broken = connections::broken(&connections);
    println!(
        "{} of {} connections survived the loss and the return",
        connections.len() - broken.len(),
        connections.len()
    );
    ensure!(
        broken.len() * 100 <= LOST_PERCENT * connections.len(),
        "{} broke: {:?}",
        broken.len(),
        broken.first()
    );
    Ok(())
}

/// A director with one of the two networks is of no use, and gives both addresses up.
pub(crate) fn inside_down(cluster: &Cluster) -> Result<()> {
    both_on(cluster, PREFERRED, RETURN)?;
    cluster.on(PREFERRED, &["ip", "link", "set", "eth1", "down"])?;
    let moved = cluster
        .wait_holder(OTHER, VIP, Duration::from_secs(10))
        .and_then(|_| cluster.holders(GATEWAY));
    cluster.on(PREFERRED, &["ip", "link", "set", "eth1", "up"])?;
    let holders = moved?;
    ensure!(
        holders.iter().any(|holder| holder == OTHER),
        "{VIP} moved, but {GATEWAY} is on {holders:?}"
    );
    both_on(cluster, PREFERRED, RETURN)
}

fn set_admin_state(cluster: &Cluster, state: &str) -> Result<()> {
    let directors = json!([{"nodeName": PREFERRED, "adminState": state}, {"nodeName": OTHER}]);
    cluster.kubectl.patch(
        "directorpair",
        "edge",
        &json!({"spec": {"directors": directors}}),
    )
}

/// Waits until this director alone has both addresses.
fn both_on(cluster: &Cluster, director: &str, within: Duration) -> Result<()> {
    for address in [VIP, GATEWAY] {
        cluster.wait_holder(director, address, within)?;
    }
    Ok(())
}

/// 100 requests a second that have been answered.
fn traffic(cluster: &Cluster) -> Result<RunningTraffic> {
    cluster.traffic("client-1", Traffic::http(target()?))
}
