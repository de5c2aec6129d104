//! Who gets how many connections, and what the kernel counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::eventually::eventually;
use lvs_e2e::ipvs::{Figures, figures, weight};
use lvs_lab::traffic::{Load, Report, Traffic};
use serde_json::json;

use super::failover::RETURN;
use super::{PREFERRED, SERVICE, VIP};

/// Node and address of each real server as `ipvsadm` shows it.
const SERVERS: [(&str, &str); 2] = [("web-1", "128.10.10.8:8080"), ("web-2", "128.10.10.9:8080")];

/// Requests of a run, and how many of them are one percent.
const REQUESTS: u64 = 1000;
const PERCENT: usize = 10;

/// The HTTP service of the example.
pub(crate) fn target() -> Result<SocketAddr> {
    Ok(format!("{VIP}:80").parse()?)
}

pub(crate) fn evenly(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, RETURN)?;
    let before = statistics(cluster)?;
    let report = run(cluster)?;
    split(&report, [500, 500])?;
    let answered = report.per_server();
    // The kernel adds its counters up every two seconds.
    let (sum, _) = eventually("the counters agree", Duration::from_secs(20), || {
        counted(&before, &statistics(cluster)?, &answered)
    })?;
    println!("{REQUESTS} requests: {answered:?}, counters {sum:?}");
    Ok(())
}

/// Checks what the kernel has counted for each server against what it has answered; returns the sums.
fn counted(
    before: &Figures,
    after: &Figures,
    answered: &BTreeMap<&str, usize>,
) -> Result<[u64; 5]> {
    let mut sum = [0; 5];
    for (node, server) in SERVERS {
        let grown = grown(before, after, Some(server))?;
        let count = answered.get(node).copied().unwrap_or_default();
        let [connections, packets_in, packets_out, bytes_in, bytes_out] = grown;
        ensure!(
            connections == u64::try_from(count)?,
            "{server}: the kernel counted {connections} connections, {node} answered {count}"
        );
        // SYN, request, FIN at least; SYN, answer, FIN at least.
        for (what, figure, least) in [
            ("packets in", packets_in, 3 * connections),
            ("packets out", packets_out, 3 * connections),
            ("bytes in", bytes_in, 100 * connections),
            ("bytes out", bytes_out, 100 * connections),
        ] {
            ensure!(figure >= least, "{server}: {figure} {what}");
        }
        for (sum, grown) in sum.iter_mut().zip(grown) {
            *sum += grown;
        }
    }
    ensure!(
        sum == grown(before, after, None)?,
        "the servers' counters make {sum:?}, which is not the service's"
    );
    Ok(sum)
}

pub(crate) fn by_weight(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, RETURN)?;
    let open = connections::open(cluster, "client-2", &format!("{VIP}:7"), 200)?;
    let mut load = Traffic::http(target()?);
    // On a busy machine an answer may be late, but it must come.
    load.connect_timeout = Duration::from_secs(5);
    load.answer_timeout = Duration::from_secs(5);
    let traffic = cluster.lab.client("client-2")?.traffic(load)?;
    for service in ["web", "echo"] {
        let scheduler = json!({"spec": {"scheduler": {"name": "wrr"}}});
        cluster
            .kubectl
            .patch("virtualservice", service, &scheduler)?;
    }
    let three = json!({"spec": {"weight": 3}});
    cluster.kubectl.patch("realserver", "web-2", &three)?;
    cluster.wait_tables("wrr with weights 1:3", Duration::from_secs(20), |table| {
        let service = table.get(SERVICE).context("the service is gone")?;
        ensure!(service.options == "wrr", "{service:?}");
        let weights = SERVERS.map(|(_, server)| weight(table, SERVICE, server));
        ensure!(weights == [Some(1), Some(3)], "{weights:?}");
        Ok(())
    })?;
    let changed = std::time::Instant::now();
    traffic.wait_until(Duration::from_secs(10), |report| {
        report.since(changed).requests.len() >= 50
    })?;
    let beside = traffic.stop()?;
    ensure!(
        beside.failed() == 0,
        "requests failed during the change:\n{beside}"
    );
    let latest = beside.requests.iter().map(|request| request.latency).max();
    println!("requests during the change: the latest answer after {latest:?}");
    let report = run(cluster)?;
    split(&report, [250, 750])?;
    println!("weights 1:3: {:?}", report.per_server());
    let wait = connections::close_whole(open)?;
    println!("200 connections stayed open, longest wait {wait:?}");
    Ok(())
}

/// A thousand requests, a hundred at a time; none may fail.
fn run(cluster: &Cluster) -> Result<Report> {
    let load = Traffic::http(target()?)
        .load(Load::Concurrency(100))
        .requests(REQUESTS);
    let report = cluster.lab.client("client-1")?.traffic(load)?.wait()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    Ok(report)
}

fn split(report: &Report, wanted: [usize; 2]) -> Result<()> {
    let counts = report.per_server();
    for ((node, _), wanted) in SERVERS.into_iter().zip(wanted) {
        let count = counts.get(node).copied().unwrap_or_default();
        ensure!(
            count.abs_diff(wanted) <= PERCENT,
            "{node} answered {count}, {wanted} are wanted:\n{report}"
        );
    }
    Ok(())
}

fn statistics(cluster: &Cluster) -> Result<Figures> {
    let text = cluster.on(PREFERRED, &["ipvsadm", "-Ln", "--stats", "--exact"])?;
    Ok(figures(&text))
}

/// By how much the counters of the service, or of one of its servers, have grown.
fn grown(before: &Figures, after: &Figures, server: Option<&str>) -> Result<[u64; 5]> {
    let key = (SERVICE.to_owned(), server.map(str::to_owned));
    let of = |figures: &Figures| -> Result<[u64; 5]> {
        let found = figures
            .get(&key)
            .with_context(|| format!("{key:?} is not counted"))?;
        found
            .as_slice()
            .try_into()
            .with_context(|| format!("{key:?}: {found:?}"))
    };
    let (before, after) = (of(before)?, of(after)?);
    let mut grown = [0; 5];
    for ((grown, before), after) in grown.iter_mut().zip(before).zip(after) {
        *grown = after - before;
    }
    Ok(grown)
}
