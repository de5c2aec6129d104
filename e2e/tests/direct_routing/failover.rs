//! The VIP moves: handed over on purpose, and taken over from a director that is gone.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lvs_e2e::cluster::{Cluster, NAMESPACE};
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{CAUGHT, HANDED_OVER, TAKEN_OVER};
use lvs_lab::traffic::RunningTraffic;

use super::real_servers::traffic;
use super::{OTHER, PREFERRED, VIP};

pub(crate) fn drain(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    let traffic = traffic(cluster)?;
    set_admin_state(cluster, "Drain")?;
    cluster.wait_holder(OTHER, VIP, Duration::from_secs(10))?;
    stays(cluster, OTHER)?;
    set_admin_state(cluster, "Enabled")?;
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    stays(cluster, PREFERRED)?;
    planned(traffic, "drain and back")
}

fn set_admin_state(cluster: &Cluster, state: &str) -> Result<()> {
    let patch = format!(
        "[{{\"op\":\"add\",\"path\":\"/spec/directors/0/adminState\",\"value\":\"{state}\"}}]"
    );
    cluster.kubectl.ok(&[
        "patch",
        "directorpair",
        "edge",
        "--type=json",
        "--patch",
        &patch,
    ])?;
    Ok(())
}

pub(crate) fn pod_deleted(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    let traffic = traffic(cluster)?;
    let agent = cluster.agent(PREFERRED)?;
    cluster.kubectl.ok(&[
        "delete",
        "pod",
        &agent.name,
        "-n",
        NAMESPACE,
        "--wait=false",
    ])?;
    cluster.wait_holder(OTHER, VIP, Duration::from_secs(10))?;
    // The DaemonSet starts another, which is preferred.
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(60))?;
    stays(cluster, PREFERRED)?;
    planned(traffic, "agent pod deleted and back")
}

fn planned(traffic: RunningTraffic, what: &str) -> Result<()> {
    let report = traffic.stop()?;
    let gap = gap(&report)?;
    println!(
        "{what}: longest gap {} ms, {} requests failed",
        gap.as_millis(),
        report.failed()
    );
    ensure!(
        report.failed() <= CAUGHT,
        "{what}: requests failed:\n{report}"
    );
    ensure!(gap < HANDED_OVER, "{what}: a gap of {gap:?}:\n{report}");
    Ok(())
}

pub(crate) fn power_loss(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    let traffic = traffic(cluster)?;
    let director = cluster.node(PREFERRED)?;
    let cut = Instant::now();
    director.power_off()?;
    cluster.wait_holder(OTHER, VIP, Duration::from_secs(10))?;
    stays(cluster, OTHER)?;
    let report = traffic.wait_until(Duration::from_secs(20), |report| {
        report.since(cut + TAKEN_OVER).requests.len() >= 50
    })?;
    let lost = gap(&report)?;
    println!(
        "power loss: longest gap {} ms, {} requests failed",
        lost.as_millis(),
        report.failed()
    );
    ensure!(lost <= TAKEN_OVER, "a gap of {lost:?}:\n{report}");
    ensure!(
        report.since(cut + TAKEN_OVER).failed() == 0,
        "requests failed after the takeover:\n{report}"
    );
    director.power_on()?;
    director.wait_ready()?;
    let back = Instant::now();
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(60))?;
    stays(cluster, PREFERRED)?;
    let report = traffic.stop()?.since(back);
    ensure!(
        gap(&report)? < HANDED_OVER,
        "the failback left a gap:\n{report}"
    );
    ensure!(
        report.failed() <= CAUGHT,
        "the failback failed requests:\n{report}"
    );
    Ok(())
}

/// At every moment that is looked at, exactly this director has the VIP.
pub(crate) fn stays(cluster: &Cluster, director: &str) -> Result<()> {
    cluster.stays(director, &[VIP], Duration::from_secs(2))
}
