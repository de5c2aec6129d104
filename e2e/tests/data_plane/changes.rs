//! Changes under load: what is open stays open, what is asked is answered.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::eventually::eventually;
use lvs_e2e::ipvs::{Service, Table};
use lvs_lab::traffic::{Failure, Request, RunningTraffic, Traffic};
use serde_json::{Value, json};

use super::{ECHO, ECHO_TARGET, PLAIN, PLAIN_VIP, PREFERRED};

/// Connections that must stay open.
const OPEN: usize = 500;

/// How long a connection, and then its answer, may take. Many changes are work for a small machine: an answer may be
/// late, but must come.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);

/// Changes in a row.
const CHANGES: u32 = 1000;

/// A third real server that comes and goes.
const THIRD: &str = "\
apiVersion: lvs-operator.dev/v1alpha1
kind: RealServer
metadata: {name: third, namespace: default, labels: {app: web}}
spec: {nodeName: spare-1}
";

pub(crate) fn each_kind(cluster: &Cluster) -> Result<()> {
    let result = every_change(cluster);
    let third = ["delete", "realserver", "third", "--ignore-not-found"];
    cluster.kubectl.ok(&third)?;
    result
}

/// Sets limits of connections and takes them away. They are high: the kernel counts for minutes what has ended.
fn thresholds(cluster: &Cluster, server: &str) -> Result<()> {
    for (upper, lower) in [(1_000_000, 800_000), (0, 0)] {
        let limits = json!({"spec": {"connectionLimits": {"upper": upper, "lower": lower}}});
        for server in ["web-1", "web-2"] {
            cluster.kubectl.patch("realserver", server, &limits)?;
        }
        eventually("thresholds", Duration::from_secs(20), || {
            let text = cluster.on(PREFERRED, &["ipvsadm", "-Ln", "--thresholds"])?;
            let figures = lvs_e2e::ipvs::figures(&text);
            let figures = figures.get(&(ECHO.to_owned(), Some(server.to_owned())));
            let figures = figures.with_context(|| format!("no {server} in\n{text}"))?;
            ensure!(figures.get(..2) == Some(&[upper, lower]), "{figures:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// A third server comes and, drained, goes. One that is deleted at once takes what is under way along.
fn come_and_go(cluster: &Cluster) -> Result<()> {
    let third = ["realserver", "third"];
    cluster.kubectl.apply(THIRD)?.ok()?;
    seen(cluster, "a third server", |service| {
        service.servers.len() == 3
    })?;
    cluster.kubectl.wait("condition=Ready", &third, 60)?;
    let seconds = LONGEST_REQUEST.as_secs();
    let drain = json!({"spec": {"adminState": "Drain", "drain": {"timeoutSeconds": seconds}}});
    cluster.kubectl.patch("realserver", "third", &drain)?;
    cluster.kubectl.wait("condition=Drained", &third, 30)?;
    cluster.kubectl.ok(&["delete", "realserver", "third"])?;
    seen(cluster, "two servers again", |service| {
        service.servers.len() == 2
    })
}

fn every_change(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let third = cluster.node("spare-1")?;
    let _servers = [
        third.serve(lvs_lab::serve::Protocol::Http, 80)?,
        third.serve(lvs_lab::serve::Protocol::Http, 443)?,
        third.serve(lvs_lab::serve::Protocol::Echo, 7)?,
    ];
    let open = connections::open(cluster, "client-2", ECHO_TARGET, OPEN)?;
    let traffic = traffic(cluster)?;

    let weight = |wanted| move |service: &Service| has_weight(service, "192.168.159.120", wanted);
    for wanted in [5, 0, 1] {
        let patch = json!({"spec": {"weight": wanted}});
        cluster.kubectl.patch("realserver", "web-1", &patch)?;
        seen(cluster, &format!("weight {wanted}"), weight(wanted))?;
    }
    // While it exchanges the scheduler of a service the kernel has none for it, and refuses new
    // connections (`ip_vs_edit_service` up to `ip_vs_bind_scheduler`).
    let mut without_scheduler = Vec::new();
    for (what, spec, shown) in [
        ("scheduler", json!({"scheduler": {"name": "wlc"}}), "wlc"),
        ("scheduler", json!({"scheduler": {"name": "mh"}}), "mh"),
        ("scheduler", json!({"scheduler": {"name": "rr"}}), "rr"),
        (
            "persistence",
            json!({"persistence": {"timeoutSeconds": 60}}),
            "rr persistent 60",
        ),
        (
            "persistence",
            json!({"persistence": {"timeoutSeconds": 90, "ipv4PrefixLength": 24}}),
            "rr persistent 90 mask 255.255.255.0",
        ),
        ("no persistence", json!({"persistence": null}), "rr"),
    ] {
        let start = Instant::now();
        patch_both(cluster, &spec)?;
        seen(cluster, what, |service| service.options == shown)?;
        if what == "scheduler" {
            without_scheduler.push(start..Instant::now());
        }
    }
    thresholds(cluster, "192.168.159.120:7")?;
    for round in 0..2 {
        come_and_go(cluster).with_context(|| format!("round {round}"))?;
    }

    let report = traffic.stop()?;
    let failed = || {
        report
            .requests
            .iter()
            .filter(|request| request.fate.is_err())
    };
    let is_excused = |request: &Request| {
        request.fate == Err(Failure::Refused)
            && without_scheduler
                .iter()
                .any(|exchange| exchange.contains(&request.ended()))
    };
    ensure!(
        failed().all(is_excused),
        "requests failed:\n{report}\nwhile schedulers were exchanged: {}",
        failed().filter(|request| is_excused(request)).count()
    );
    let wait = connections::close_whole(open)?;
    println!(
        "{OPEN} connections stayed open, longest wait {wait:?}; {} requests, {} of them refused while the kernel \
         exchanged a scheduler, none failed else",
        report.requests.len(),
        failed().count()
    );
    Ok(())
}

pub(crate) fn a_thousand(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let open = connections::open(cluster, "client-2", ECHO_TARGET, OPEN)?;
    let traffic = traffic(cluster)?;
    let operations = cluster.on(PREFERRED, &["sh", "-c", COUNT_OPERATIONS])?;
    let start = Instant::now();
    let manifest = (0..CHANGES).try_fold(String::new(), |mut text, number| {
        let weight = if number + 1 == CHANGES {
            1
        } else {
            number % 9 + 1
        };
        let node = if number % 2 == 0 { "web-1" } else { "web-2" };
        writeln!(
            text,
            "---\napiVersion: lvs-operator.dev/v1alpha1\nkind: RealServer\n\
             metadata: {{name: {node}, namespace: default, labels: {{app: web}}}}\n\
             spec: {{nodeName: {node}, weight: {weight}}}"
        )
        .map(|()| text)
    })?;
    let answer = cluster.kubectl.apply(&manifest)?.ok()?;
    let took = start.elapsed();
    let changed = answer
        .lines()
        .filter(|line| line.ends_with("configured"))
        .count();
    ensure!(
        changed >= usize::try_from(CHANGES)? - 2,
        "the API took {changed} changes of {CHANGES}"
    );
    seen(cluster, "the last change", |service| {
        has_weight(service, "192.168.159.121", 1)
    })?;
    let done = cluster.on(PREFERRED, &["sh", "-c", COUNT_OPERATIONS])?;
    let report = traffic.stop()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    let wait = connections::close_whole(open)?;
    println!(
        "{changed} changes in {took:?}, {} operations of the kernel; {} requests and {OPEN} open connections, \
         none failed, longest wait {wait:?}",
        number(&done)? - number(&operations)?,
        report.requests.len()
    );
    Ok(())
}

/// Sum of the agent's counter of operations.
const COUNT_OPERATIONS: &str = "curl -sf http://127.0.0.1:9809/metrics | \
     awk '/^lvs_agent_ops_total/ {sum += $NF} END {print sum + 0}'";

fn number(text: &str) -> Result<u64> {
    text.trim().parse().with_context(|| format!("{text:?}"))
}

fn patch_both(cluster: &Cluster, spec: &Value) -> Result<()> {
    for service in ["plain", "echo"] {
        let patch = json!({"spec": spec});
        cluster.kubectl.patch("virtualservice", service, &patch)?;
    }
    Ok(())
}

/// Waits until both directors have both services like this.
fn seen(cluster: &Cluster, what: &str, condition: impl Fn(&Service) -> bool) -> Result<()> {
    let both = |table: &Table| -> Result<()> {
        for key in [ECHO, PLAIN] {
            let service = table.get(key).with_context(|| format!("{key} is gone"))?;
            ensure!(condition(service), "{key}: {service:?}");
        }
        Ok(())
    };
    cluster.wait_tables(what, Duration::from_secs(20), both)
}

/// Whether a server has this weight, whatever its port.
fn has_weight(service: &Service, address: &str, wanted: u32) -> bool {
    let (_, server) = service
        .servers
        .iter()
        .find(|(key, _)| key.starts_with(&format!("{address}:")))
        .unzip();
    server.is_some_and(|server| server.weight == wanted)
}

fn traffic(cluster: &Cluster) -> Result<RunningTraffic> {
    let mut traffic = Traffic::http(format!("{PLAIN_VIP}:80").parse()?);
    traffic.connect_timeout = LONGEST_REQUEST;
    traffic.answer_timeout = LONGEST_REQUEST;
    cluster.traffic("client-1", traffic)
}
