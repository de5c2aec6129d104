//! A real server leaves: after its last connection, or when the time is over.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::eventually::{eventually, throughout};
use lvs_e2e::ipvs::Table;
use serde_json::json;

use super::clients::ask;
use super::{ECHO, ECHO_TARGET, PLAIN_VIP, PREFERRED};

/// The server that leaves, and how `ipvsadm` shows it in the echo service.
const LEAVING: (&str, &str) = ("web-1", "192.168.159.120:7");

/// Open connections, half of which the leaving server has.
const OPEN: usize = 40;

pub(crate) fn until_the_last(cluster: &Cluster) -> Result<()> {
    prepare(cluster)?;
    let open = connections::open(cluster, "client-2", ECHO_TARGET, OPEN)?;
    drain(cluster, &json!({"adminState": "Drain"}))?;
    wait_weight_0(cluster)?;
    let (node, server) = LEAVING;
    let counts = ask(cluster, "client-1", &format!("{PLAIN_VIP}:80"), 40)?;
    ensure!(
        !counts.contains_key(node),
        "new connections reached the leaving server: {counts:?}"
    );
    let condition = cluster
        .kubectl
        .condition(&["realserver", node], "Drained")?;
    ensure!(
        condition.status == "False" && condition.reason == "ConnectionsRemain",
        "{condition:?}"
    );
    throughout(
        "it stays while it has connections",
        Duration::from_secs(3),
        || {
            let weight = entry(&cluster.table(PREFERRED)?, server)?.weight;
            ensure!(weight == 0, "its weight is {weight}");
            Ok(())
        },
    )?;
    let wait = connections::close_whole(open)?;
    println!("{OPEN} connections stayed open, longest wait {wait:?}");
    gone(cluster, Duration::from_secs(30))?;
    let drained = Instant::now();
    cluster
        .kubectl
        .wait("condition=Drained", &["realserver", node], 15)?;
    println!("Drained after {:?}", drained.elapsed());
    drain(cluster, &json!({"adminState": "Enabled"}))?;
    eventually("it is back", Duration::from_secs(10), || {
        let weight = entry(&cluster.table(PREFERRED)?, server)?.weight;
        ensure!(weight == 1, "its weight is {weight}");
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn until_the_deadline(cluster: &Cluster) -> Result<()> {
    const SECONDS: u64 = 5;
    prepare(cluster)?;
    let open = connections::open(cluster, "client-2", ECHO_TARGET, OPEN)?;
    let asked = Instant::now();
    let limited = json!({"adminState": "Drain", "drain": {"timeoutSeconds": SECONDS}});
    drain(cluster, &limited)?;
    wait_weight_0(cluster)?;
    gone(cluster, Duration::from_secs(SECONDS + 5))?;
    let took = asked.elapsed();
    println!("removed {took:?} after the request, with {SECONDS} s to go");
    ensure!(
        took >= Duration::from_secs(SECONDS),
        "it was removed after {took:?}"
    );
    cluster
        .kubectl
        .wait("condition=Drained", &["realserver", LEAVING.0], 15)?;
    let connections = open.close()?;
    let stayed = connections
        .iter()
        .filter(|one| one.server.as_deref() != Some(LEAVING.0));
    ensure!(
        stayed.clone().count() >= OPEN / 2 - 1 && stayed.clone().all(|one| one.broken.is_none()),
        "connections of the other server broke"
    );
    Ok(())
}

/// The first director is Active, and connections that have ended are forgotten soon.
fn prepare(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let timeouts = json!({"tcpSeconds": 900, "tcpFinSeconds": 2, "udpSeconds": 300});
    let patch = json!({"spec": {"timeouts": timeouts}});
    cluster.kubectl.patch("directorpair", "edge", &patch)?;
    eventually("the timeouts", Duration::from_secs(5), || {
        let shown = cluster.on(PREFERRED, &["ipvsadm", "-L", "--timeout"])?;
        ensure!(shown.contains("900 2 300"), "{shown}");
        Ok(())
    })?;
    Ok(())
}

fn drain(cluster: &Cluster, spec: &serde_json::Value) -> Result<()> {
    cluster
        .kubectl
        .patch("realserver", LEAVING.0, &json!({"spec": spec}))
}

fn wait_weight_0(cluster: &Cluster) -> Result<()> {
    cluster.wait_tables("weight 0", Duration::from_secs(3), |table| {
        let entry = entry(table, LEAVING.1)?;
        ensure!(entry.weight == 0, "{entry:?}");
        Ok(())
    })
}

fn gone(cluster: &Cluster, within: Duration) -> Result<()> {
    cluster.wait_tables("the server is gone", within, |table| {
        let entry = entry(table, LEAVING.1);
        ensure!(entry.is_err(), "{entry:?}");
        Ok(())
    })
}

fn entry<'a>(table: &'a Table, server: &str) -> Result<&'a lvs_e2e::ipvs::Server> {
    let service = table.get(ECHO).context("the service is gone")?;
    let entry = service.servers.get(server);
    entry.with_context(|| format!("{server} is not in {service:?}"))
}
