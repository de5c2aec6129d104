//! What connection synchronisation is for.
//!
//! Unless told otherwise the kernel speaks of a connection again with every fiftieth packet alone. With preemption
//! `AfterSync` it speaks of each every few seconds, and a director that returns waits until it has heard of all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections::{self, broken};
use lvs_e2e::eventually::eventually;
use serde_json::json;

use super::{ECHO_TARGET, OTHER, PLAIN_VIP, PREFERRED};

const OPEN: usize = 300;

/// The share of connections that must survive, in percent.
const SHARE: usize = 100;

pub(crate) fn death_and_return(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let spec = json!({"vrrp": {"preemption": {"mode": "AfterSync"}}});
    cluster
        .kubectl
        .patch("directorpair", "edge", &json!({"spec": spec}))?;
    eventually("both directors refresh", Duration::from_secs(10), || {
        for director in [PREFERRED, OTHER] {
            let path = "/proc/sys/net/ipv4/vs/sync_refresh_period";
            let shown = cluster.on(director, &["cat", path])?;
            ensure!(shown.trim() == "5", "{director}: {shown}");
        }
        Ok(())
    })?;
    let open = connections::open(cluster, "client-2", ECHO_TARGET, OPEN)?;
    eventually(
        "the other director knows the connections",
        Duration::from_secs(10),
        || {
            let known = known(cluster, OTHER)?;
            ensure!(known >= OPEN, "it knows {known}");
            Ok(())
        },
    )?;
    let director = cluster.node(PREFERRED)?;
    director.power_off()?;
    cluster.wait_holder(OTHER, PLAIN_VIP, Duration::from_secs(10))?;
    answered_anew(&open)?;
    let after_death = broken(&open.so_far()).len();

    director.power_on()?;
    director.wait_ready()?;
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(90))?;
    answered_anew(&open)?;
    let connections = open.close()?;
    let after_return = broken(&connections);
    let waits = connections.iter().map(|one| one.longest_wait).max();
    println!(
        "of {OPEN} connections {} survived the death, {} the return too; longest wait {waits:?}",
        OPEN - after_death,
        OPEN - after_return.len()
    );
    ensure!(
        (OPEN - after_return.len()) * 100 >= SHARE * OPEN,
        "{} broke: {:?}",
        after_return.len(),
        after_return.first()
    );
    Ok(())
}

/// Connections of the echo service that a director knows.
fn known(cluster: &Cluster, director: &str) -> Result<usize> {
    let connections = cluster.on(director, &["ipvsadm", "-Lnc"])?;
    Ok(connections
        .lines()
        .filter(|line| line.contains("ESTABLISHED") && line.contains(ECHO_TARGET))
        .count())
}

/// Waits until every connection has either broken or been answered once more.
fn answered_anew(open: &lvs_lab::traffic::OpenConnections) -> Result<()> {
    let before = open.so_far();
    let start = Instant::now();
    eventually(
        "answers on every connection",
        Duration::from_secs(40),
        || {
            let now = open.so_far();
            let waiting = before
                .iter()
                .zip(&now)
                .filter(|(before, now)| now.broken.is_none() && now.answers <= before.answers + 1)
                .count();
            ensure!(waiting == 0, "{waiting} wait for {:?}", start.elapsed());
            Ok(())
        },
    )?;
    Ok(())
}
