//! Connections that must stay open.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_lab::traffic::{Connection, Connections, OpenConnections};

use crate::cluster::Cluster;
use crate::eventually::eventually;

/// Answers after which the kernel has told the other director of a connection: it does so from the third packet
/// on.
const SYNCHRONISED: u64 = 5;

/// Messages per second over all connections: what they carry is not to be the machine's main load.
const MESSAGES_PER_SECOND: usize = 500;

/// Opens connections to an echo service, and returns when each has had answers.
///
/// # Errors
/// When one does not come to stand.
pub fn open(
    cluster: &Cluster,
    client: &str,
    target: &str,
    count: usize,
) -> Result<OpenConnections> {
    let mut connections = Connections::new(target.parse()?, count);
    let milliseconds = count * 1000 / MESSAGES_PER_SECOND;
    connections.interval = Duration::from_millis(u64::try_from(milliseconds)?);
    let open = cluster.lab.client(client)?.connections(connections)?;
    let broken = broken(&open.so_far());
    ensure!(
        broken.is_empty(),
        "{} of {count} connections were never open: {:?}",
        broken.len(),
        broken.first()
    );
    eventually(
        "every connection has answers",
        Duration::from_secs(20),
        || {
            let fewest = open.so_far().iter().map(|one| one.answers).min();
            let fewest = fewest.context("no connections")?;
            ensure!(fewest >= SYNCHRONISED, "one has {fewest}");
            Ok(())
        },
    )?;
    Ok(open)
}

/// Closes the connections, none of which may have broken; returns the longest time that an answer was out.
///
/// # Errors
/// When one has broken.
pub fn close_whole(open: OpenConnections) -> Result<Duration> {
    let connections = open.close()?;
    let broken = broken(&connections);
    ensure!(
        broken.is_empty(),
        "{} of {} connections broke: {:?}",
        broken.len(),
        connections.len(),
        broken.first()
    );
    let waits = connections.iter().map(|one| one.longest_wait);
    waits.max().context("no connections")
}

/// Why connections are broken, one reason for each.
#[must_use]
pub fn broken(connections: &[Connection]) -> Vec<String> {
    let ended = connections.iter().filter_map(|one| one.broken.as_ref());
    ended.map(|(_, reason)| reason.to_string()).collect()
}
