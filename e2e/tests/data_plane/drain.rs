//! A real server leaves: after its last connection, or when the time is over.
//!
//! It serves one virtual service alone, and nobody has asked that before: what has ended lingers in the kernel's
//! tables for minutes, and a server stays as long as that does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::eventually::{eventually, throughout};
use lvs_e2e::ipvs::Table;
use lvs_lab::serve::Protocol;
use serde_json::json;

use super::PREFERRED;

/// The virtual service, and the real server that leaves it.
const MANIFEST: &str = "\
apiVersion: lvs-operator.dev/v1alpha1
kind: RealServer
metadata: {name: leaving, namespace: default, labels: {app: leaving}}
spec: {nodeName: spare-1}
---
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: leaving, namespace: default}
spec:
  directorPairRef: {name: edge}
  frontend: {addresses: [192.168.159.113], ports: [{name: echo, port: 7}]}
  scheduler: {name: rr}
  backends:
  - {name: web, realServerSelector: {matchLabels: {app: web}}}
  - {name: leaving, realServerSelector: {matchLabels: {app: leaving}}}
";
const VIP: &str = "192.168.159.113";
const TARGET: &str = "192.168.159.113:7";
/// As `ipvsadm` shows them.
const SERVICE: &str = "TCP 192.168.159.113:7";
const SERVER: &str = "192.168.159.122:7";
/// The leaving server's node.
const NODE: &str = "spare-1";

/// Open connections, a third of which the leaving server has.
const OPEN: usize = 30;

pub(crate) fn until_the_last(cluster: &Cluster) -> Result<()> {
    with_service(cluster, |cluster| {
        let open = connections::open(cluster, "client-2", TARGET, OPEN)?;
        drain(cluster, &json!({"adminState": "Drain"}))?;
        wait_weight(cluster, 0)?;
        let new = connections::open(cluster, "client-1", TARGET, OPEN)?.close()?;
        ensure!(
            new.iter().all(|one| one.server.as_deref() != Some(NODE)),
            "a new connection reached the leaving server"
        );
        let realserver = ["realserver", "leaving"];
        let condition = cluster.kubectl.condition(&realserver, "Drained")?;
        ensure!(
            condition.status == "False" && condition.reason == "ConnectionsRemain",
            "{condition:?}"
        );
        throughout(
            "it stays while it has connections",
            Duration::from_secs(3),
            || {
                let weight = entry(&cluster.table(PREFERRED)?)?.weight;
                ensure!(weight == 0, "its weight is {weight}");
                Ok(())
            },
        )?;
        let wait = connections::close_whole(open)?;
        println!("{OPEN} connections stayed open, longest wait {wait:?}");
        let closed = Instant::now();
        eventually(
            "the Active director removes it",
            Duration::from_secs(30),
            || {
                let table = cluster.table(PREFERRED)?;
                let entry = entry(&table);
                ensure!(entry.is_err(), "{entry:?}");
                Ok(())
            },
        )?;
        println!("removed {:?} after the last connection", closed.elapsed());
        // The other director knows of the end by synchronisation, or by its own time for silent connections.
        gone(cluster, Duration::from_secs(240))?;
        cluster.kubectl.wait("condition=Drained", &realserver, 15)?;
        println!("drained {:?} after the last connection", closed.elapsed());
        drain(cluster, &json!({"adminState": "Enabled"}))?;
        wait_weight(cluster, 1)
    })
}

pub(crate) fn until_the_deadline(cluster: &Cluster) -> Result<()> {
    const SECONDS: u64 = 5;
    with_service(cluster, |cluster| {
        let open = connections::open(cluster, "client-2", TARGET, OPEN)?;
        let asked = Instant::now();
        let limited = json!({"adminState": "Drain", "drain": {"timeoutSeconds": SECONDS}});
        drain(cluster, &limited)?;
        wait_weight(cluster, 0)?;
        gone(cluster, Duration::from_secs(SECONDS + 5))?;
        let took = asked.elapsed();
        println!("removed {took:?} after the request, with {SECONDS} s to go");
        ensure!(
            took >= Duration::from_secs(SECONDS),
            "it was removed after {took:?}"
        );
        cluster
            .kubectl
            .wait("condition=Drained", &["realserver", "leaving"], 15)?;
        let connections = open.close()?;
        let stayed = connections
            .iter()
            .filter(|one| one.server.as_deref() != Some(NODE));
        ensure!(
            stayed.clone().count() >= OPEN / 2 && stayed.clone().all(|one| one.broken.is_none()),
            "connections of the other servers broke"
        );
        Ok(())
    })
}

/// Runs a step with the service, which is deleted in any case. The first director is Active, and connections that
/// have ended are forgotten soon.
fn with_service(cluster: &Cluster, step: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let timeouts = json!({"tcpSeconds": 900, "tcpFinSeconds": 2, "udpSeconds": 300});
    let patch = json!({"spec": {"timeouts": timeouts}});
    cluster.kubectl.patch("directorpair", "edge", &patch)?;
    eventually("the timeouts", Duration::from_secs(20), || {
        let shown = cluster.on(PREFERRED, &["ipvsadm", "-L", "--timeout"])?;
        ensure!(shown.contains("900 2 300"), "{shown}");
        Ok(())
    })?;
    let _server = cluster.node(NODE)?.serve(Protocol::Echo, 7)?;
    cluster.kubectl.apply(MANIFEST)?.ok()?;
    let result = cluster
        .wait_ready(30)
        .and_then(|()| cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30)))
        .and_then(|_| step(cluster));
    for kind in ["virtualservice", "realserver"] {
        cluster.kubectl.ok(&["delete", kind, "leaving"])?;
    }
    result
}

fn drain(cluster: &Cluster, spec: &serde_json::Value) -> Result<()> {
    cluster
        .kubectl
        .patch("realserver", "leaving", &json!({"spec": spec}))
}

fn wait_weight(cluster: &Cluster, wanted: u32) -> Result<()> {
    let what = format!("weight {wanted}");
    cluster.wait_tables(&what, Duration::from_secs(10), |table| {
        let entry = entry(table)?;
        ensure!(entry.weight == wanted, "{entry:?}");
        Ok(())
    })
}

fn gone(cluster: &Cluster, within: Duration) -> Result<()> {
    cluster.wait_tables("the server is gone", within, |table| {
        let entry = entry(table);
        ensure!(entry.is_err(), "{entry:?}");
        Ok(())
    })
}

fn entry(table: &Table) -> Result<&lvs_e2e::ipvs::Server> {
    let service = table.get(SERVICE).context("the service is gone")?;
    let entry = service.servers.get(SERVER);
    entry.with_context(|| format!("{SERVER} is not in {service:?}"))
}
