//! The API server is gone: what serves goes on serving, and what dies is replaced.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::promises::{CARRIED_OUT, OUT, TAKEN_OVER};

use super::failover::stays;
use super::real_servers::{traffic, wait_weight};
use super::{OTHER, PREFERRED, SERVICE, VIP};

pub(crate) fn everything_goes_on(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    let traffic = traffic(cluster)?;
    cluster.lab.stop_apiserver()?;

    // Checks.
    cluster.stop_server("web-1", 80)?;
    let died = Instant::now();
    wait_weight(cluster, 0, OUT)?;
    cluster.start_server("web-1", 80)?;

    // A restart from disk, of the director that is Backup.
    let before = cluster.on(OTHER, &["pgrep", "-x", "lvs-node-agent"])?;
    cluster.on(OTHER, &["pkill", "-9", "-x", "lvs-node-agent"])?;
    eventually(
        "the agent is ready again, from disk",
        Duration::from_secs(60),
        || {
            let now = cluster.on(OTHER, &["pgrep", "-x", "lvs-node-agent"])?;
            ensure!(now != before, "it was not killed");
            cluster.on(OTHER, &["curl", "-sf", "http://127.0.0.1:9809/readyz"])
        },
    )?;

    // Drift repair.
    cluster.on(OTHER, &["ipvsadm", "-D", "-t", "192.168.1.222:80"])?;
    eventually("the deleted service is back", CARRIED_OUT, || {
        ensure!(cluster.table(OTHER)?.contains_key(SERVICE), "it is not");
        Ok(())
    })?;

    // Failover.
    cluster.node(PREFERRED)?.power_off()?;
    let lost = Instant::now();
    cluster.wait_holder(OTHER, VIP, Duration::from_secs(10))?;
    stays(cluster, OTHER)?;
    traffic.wait_until(Duration::from_secs(20), |report| {
        report.since(lost + TAKEN_OVER).requests.len() >= 50
    })?;
    let report = traffic.stop()?;
    let late = report.since(lost + TAKEN_OVER);
    ensure!(
        late.failed() == 0,
        "nobody serves after the takeover:\n{late}"
    );
    let meantime = report.since(died + OUT);
    println!("without the API: {meantime}");
    Ok(())
}
