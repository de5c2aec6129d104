//! Real servers that answer, get another weight, die, fall silent and return.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::ipvs::weight;
use lvs_e2e::promises::{CARRIED_OUT, OUT};
use lvs_lab::traffic::{Failure, Load, RunningTraffic, Traffic};

use super::{PREFERRED, SERVICE, VIP};

/// The HTTP service of the example.
pub(crate) fn target() -> Result<SocketAddr> {
    Ok(format!("{VIP}:80").parse()?)
}

/// 100 requests a second from a client, answered by now.
pub(crate) fn traffic(cluster: &Cluster) -> Result<RunningTraffic> {
    cluster.traffic("client-1", Traffic::http(target()?))
}

/// Waits until the preferred director's kernel has web-1 at this weight.
pub(crate) fn wait_weight(cluster: &Cluster, wanted: u32, within: Duration) -> Result<Duration> {
    let what = format!("web-1 has weight {wanted} in the kernel");
    let ((), took) = eventually(&what, within, || {
        let table = cluster.table(PREFERRED)?;
        ensure!(
            weight(&table, SERVICE, "192.168.1.130:80") == Some(wanted),
            "{table:?}"
        );
        Ok(())
    })?;
    Ok(took)
}

pub(crate) fn split_evenly(cluster: &Cluster) -> Result<()> {
    let load = Traffic::http(target()?)
        .load(Load::Concurrency(10))
        .requests(1000);
    let report = cluster.lab.client("client-1")?.traffic(load)?.wait()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    let counts = report.per_server();
    for server in ["web-1", "web-2"] {
        let count = counts.get(server).copied().unwrap_or_default();
        ensure!(
            count.abs_diff(500) <= 10,
            "{server} answered {count} of 1000:\n{report}"
        );
    }
    let client = cluster.lab.client("client-1")?;
    let page = client
        .exec(&["curl", "-sf", &format!("http://{VIP}/")])?
        .ok()?;
    ensure!(
        page.contains(&client.address().to_string()),
        "the real server saw another client than {}: {page}",
        client.address()
    );
    Ok(())
}

pub(crate) fn patched_weight(cluster: &Cluster) -> Result<()> {
    let traffic = traffic(cluster)?;
    let before = cluster.operations(PREFERRED)?;
    let patch = |weight: u32| {
        let patch = format!("{{\"spec\":{{\"weight\":{weight}}}}}");
        cluster.kubectl.ok(&[
            "patch",
            "realserver",
            "web-1",
            "--type=merge",
            "--patch",
            &patch,
        ])
    };
    patch(5)?;
    // From the moment that the API has the change.
    let took = wait_weight(cluster, 5, CARRIED_OUT)?;
    println!("weight in the kernel {} ms after kubectl", took.as_millis());
    let after = cluster.operations(PREFERRED)?;
    let new = after
        .get(before.len()..)
        .context("the op log lost entries")?;
    ensure!(
        new == ["ipvsadm -e -t 192.168.1.222:80 -r 192.168.1.130:80 -g -w 5"],
        "one operation was wanted, the agent did {new:?}"
    );
    patch(1)?;
    wait_weight(cluster, 1, Duration::from_secs(5))?;
    let report = traffic.stop()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    Ok(())
}

pub(crate) fn dead_and_back(cluster: &Cluster) -> Result<()> {
    let traffic = traffic(cluster)?;
    cluster.stop_server("web-1", 80)?;
    let died = Instant::now();
    wait_weight(cluster, 0, OUT)?;
    let out = Instant::now();
    traffic.wait_until(Duration::from_secs(20), |report| {
        report.since(died + OUT).requests.len() >= 100
    })?;
    cluster.kubectl.wait(
        "jsonpath={.status.backends.down}=1",
        &["virtualservice", "web"],
        15,
    )?;
    let up = cluster.kubectl.ok(&["get", "virtualservice", "web"])?;
    ensure!(up.contains("1/2"), "kubectl get does not show 1/2:\n{up}");
    cluster.start_server("web-1", 80)?;
    traffic.wait_until(Duration::from_secs(10), |report| {
        report.since(out).first_answer_of("web-1").is_some()
    })?;
    cluster.wait_ready(15)?;
    let report = traffic.stop()?;
    let late = report.since(died + OUT);
    ensure!(
        late.failed() == 0,
        "requests failed after the detection time:\n{late}"
    );
    println!(
        "dead server out after {} ms, {} requests failed",
        (out - died).as_millis(),
        report.failed()
    );
    Ok(())
}

pub(crate) fn silent(cluster: &Cluster) -> Result<()> {
    // They repeat their SYN after 1, 3 and 7 seconds.
    let patient = Traffic {
        connect_timeout: Duration::from_secs(8),
        ..Traffic::http(target()?).load(Load::Rate(20.0))
    };
    let patient = cluster.traffic("client-1", patient)?;
    let traffic = traffic(cluster)?;
    cluster.node("web-2")?.cut_cable()?;
    let cut = Instant::now();
    let report = traffic.wait_until(Duration::from_secs(15), |report| {
        report
            .requests
            .iter()
            .any(|request| request.started >= cut + OUT + Duration::from_secs(2))
    });
    cluster.node("web-2")?.restore_cable()?;
    let late = report?.since(cut + OUT);
    ensure!(
        late.failed() == 0,
        "requests failed after the detection time:\n{late}"
    );
    ensure!(
        late.per_server().contains_key("web-1"),
        "nobody answers:\n{late}"
    );
    let restored = Instant::now();
    traffic.wait_until(Duration::from_secs(20), |report| {
        report.since(restored).first_answer_of("web-2").is_some()
    })?;
    // Seven seconds after these began, it is out at the latest.
    let patient = patient.stop()?.since(cut + Duration::from_secs(1));
    let given_up = patient
        .requests
        .iter()
        .filter(|request| request.fate == Err(Failure::ConnectTimeout));
    ensure!(
        given_up.count() == 0,
        "whoever asked the silent server got no other one when it was out:\n{patient}"
    );
    let last = traffic.stop()?;
    let failed = last
        .requests
        .iter()
        .filter(|request| request.fate.is_err())
        .map(|request| request.started);
    if let Some(last) = failed.max() {
        println!("silent server out after {} ms", (last - cut).as_millis());
    }
    Ok(())
}
