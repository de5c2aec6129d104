//! The agent dies: the kernel goes on forwarding, open connections stay open.

use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::eventually::eventually;
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{HANDED_OVER, TAKEN_OVER};
use lvs_lab::traffic::{OpenConnections, RunningTraffic};

use super::failover::stays;
use super::real_servers::traffic;
use super::{OTHER, PREFERRED, VIP};

const COUNT: usize = 200;

/// A service for connections that stay open, beside the one of the example.
const ECHO: &str = "\
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: echo, namespace: default}
spec:
  directorPairRef: {name: edge}
  frontend: {addresses: [192.168.1.222], ports: [{name: echo, port: 7}]}
  backends: [{name: web, realServerSelector: {matchLabels: {app: web}}}]
";

pub(crate) fn agent_killed(cluster: &Cluster) -> Result<()> {
    let connections = open(cluster)?;
    let traffic = traffic(cluster)?;
    let adverts = cluster
        .node(OTHER)?
        .capture("ip proto 112 and src host 192.168.1.128")?;
    let before = cluster.agent(PREFERRED)?;
    let pids = pids(cluster)?;
    // The newest is the one that works; the older one starts it again.
    cluster.on(PREFERRED, &["pkill", "-9", "-n", "-x", "lvs-node-agent"])?;
    cluster.stays(PREFERRED, &[VIP], Duration::from_secs(5))?;
    ensure!(
        self::pids(cluster)? != pids,
        "the agent was not killed: {pids}"
    );
    let adverts = adverts.stop()?;
    ensure!(adverts.is_empty(), "{OTHER} took over: {adverts:?}");
    ensure!(
        cluster.agent(PREFERRED)? == before,
        "the container was restarted"
    );
    let report = traffic.stop()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    let longest = gap(&report)?;
    println!("agent killed: longest gap {} ms", longest.as_millis());
    ensure!(longest < HANDED_OVER, "forwarding stopped for {longest:?}");
    close(cluster, connections)
}

pub(crate) fn pod_killed(cluster: &Cluster) -> Result<()> {
    let connections = open(cluster)?;
    let traffic = traffic(cluster)?;
    let before = cluster.agent(PREFERRED)?;
    cluster.on(PREFERRED, &["pkill", "-9", "-x", "lvs-node-agent"])?;
    eventually(
        "the container is started again",
        Duration::from_secs(60),
        || {
            let agent = cluster.agent(PREFERRED)?;
            ensure!(agent.restarts > before.restarts, "{agent:?}");
            Ok(())
        },
    )?;
    home_again(cluster, "pod killed", traffic, connections)
}

pub(crate) fn pod_stays_dead(cluster: &Cluster) -> Result<()> {
    let connections = open(cluster)?;
    let traffic = traffic(cluster)?;
    // Nobody starts the container again.
    cluster.on(PREFERRED, &["pkill", "-STOP", "-x", "kubelet"])?;
    let taken_over = cluster
        .on(PREFERRED, &["pkill", "-9", "-x", "lvs-node-agent"])
        .and_then(|_| cluster.wait_holder(OTHER, VIP, Duration::from_secs(10)))
        .and_then(|_| stays(cluster, OTHER));
    cluster.on(PREFERRED, &["pkill", "-CONT", "-x", "kubelet"])?;
    taken_over?;
    home_again(
        cluster,
        "pod killed for good, and back",
        traffic,
        connections,
    )
}

/// The preferred director has the VIP again, the move kept to its bound, and no connection broke.
fn home_again(
    cluster: &Cluster,
    what: &str,
    traffic: RunningTraffic,
    connections: OpenConnections,
) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(60))?;
    stays(cluster, PREFERRED)?;
    let report = traffic.stop()?;
    let longest = gap(&report)?;
    println!(
        "{what}: longest gap {} ms, {} requests failed",
        longest.as_millis(),
        report.failed()
    );
    ensure!(longest <= TAKEN_OVER, "a gap of {longest:?}:\n{report}");
    close(cluster, connections)
}

fn pids(cluster: &Cluster) -> Result<String> {
    cluster.on(PREFERRED, &["pgrep", "-x", "lvs-node-agent"])
}

fn open(cluster: &Cluster) -> Result<OpenConnections> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    cluster.kubectl.apply(ECHO)?.ok()?;
    cluster.wait_ready(30)?;
    connections::open(cluster, "client-2", &format!("{VIP}:7"), COUNT)
}

fn close(cluster: &Cluster, connections: OpenConnections) -> Result<()> {
    let longest = connections::close_whole(connections)?;
    println!("{COUNT} connections stayed open, longest wait {longest:?}");
    cluster.kubectl.ok(&["delete", "virtualservice", "echo"])?;
    Ok(())
}
