//! Each listing of `ipvsadm` beside its declarative or measured counterpart, and `ipvsadm` beside the product.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::eventually::eventually;
use lvs_e2e::ipvs::{Figures, figures};
use lvs_e2e::metrics::{Sample, scrape, value};
use serde_json::json;

use super::clients::ask;
use super::{ECHO, ECHO_TARGET, PLAIN, PLAIN_VIP, PREFERRED, SERVERS};

/// The counters of `--stats`, in the order of its columns.
const COUNTERS: [&str; 5] = [
    "connections_total",
    "incoming_packets_total",
    "outgoing_packets_total",
    "incoming_bytes_total",
    "outgoing_bytes_total",
];

/// The rates of `--rate`, in the order of its columns.
const RATES: [&str; 5] = [
    "connections_per_second",
    "incoming_packets_per_second",
    "outgoing_packets_per_second",
    "incoming_bytes_per_second",
    "outgoing_bytes_per_second",
];

pub(crate) fn shows(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    table(cluster)?;
    timeouts(cluster)?;
    daemons(cluster)?;
    thresholds(cluster)?;
    let open = connections::open(cluster, "client-2", ECHO_TARGET, 30)?;
    connections_and_weights(cluster)?;
    connections::close_whole(open)?;
    ask(cluster, "client-1", &format!("{PLAIN_VIP}:80"), 200)?;
    persistent_connections(cluster)?;
    same(cluster, "--stats", &COUNTERS)?;
    same(cluster, "--rate", &RATES)
}

/// `-Ln`: what is declared, to the last line, and what the status counts.
fn table(cluster: &Cluster) -> Result<()> {
    let table = cluster.table(PREFERRED)?;
    let services: Vec<_> = table.keys().map(String::as_str).collect();
    ensure!(
        services
            == [
                "SCTP 192.168.159.112:9",
                "TCP 192.168.159.110:443",
                "TCP 192.168.159.110:80",
                "TCP 192.168.159.111:0",
                "TCP 192.168.159.112:7",
                "TCP 192.168.159.112:80",
                "UDP 192.168.159.112:53",
            ],
        "{services:?}"
    );
    for (key, service) in &table {
        ensure!(service.servers.len() == SERVERS.len(), "{key}: {service:?}");
        for (server, entry) in &service.servers {
            ensure!(
                entry.forwarding == "Route" && entry.weight == 1,
                "{key}, {server}: {entry:?}"
            );
        }
    }
    for name in [
        "shop",
        "anything",
        "plain",
        "echo",
        "datagrams",
        "associations",
    ] {
        let service = cluster.kubectl.json(&["get", "virtualservice", name])?;
        let count = &service["status"]["backends"];
        ensure!(count["up"] == 2 && count["total"] == 2, "{name}: {count}");
    }
    Ok(())
}

/// `--timeout`: `DirectorPair.spec.timeouts`.
fn timeouts(cluster: &Cluster) -> Result<()> {
    let spec = json!({"tcpSeconds": 1234, "tcpFinSeconds": 56, "udpSeconds": 78});
    let patch = json!({"spec": {"timeouts": spec}});
    cluster.kubectl.patch("directorpair", "edge", &patch)?;
    for director in ["lb-1", "lb-2"] {
        eventually("the declared timeouts", Duration::from_secs(20), || {
            let shown = cluster.on(director, &["ipvsadm", "-L", "--timeout"])?;
            ensure!(
                shown.trim() == "Timeout (tcp tcpfin udp): 1234 56 78",
                "{director}: {shown}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// `--daemon`: `DirectorPair.spec.connectionSync`.
fn daemons(cluster: &Cluster) -> Result<()> {
    for director in ["lb-1", "lb-2"] {
        let shown = cluster.on(director, &["ipvsadm", "-L", "--daemon"])?;
        for role in ["master", "backup"] {
            let line = shown.lines().find(|line| line.starts_with(role));
            let line = line.with_context(|| format!("{director} has no {role}:\n{shown}"))?;
            for part in [
                "mcast=eth0",
                "syncid=51",
                "group=224.0.0.81",
                "port=8848",
                "ttl=1",
            ] {
                ensure!(line.contains(part), "{director}: no {part} in {line}");
            }
        }
    }
    Ok(())
}

/// `--thresholds`: `connectionLimits`.
fn thresholds(cluster: &Cluster) -> Result<()> {
    let limits = json!({"spec": {"connectionLimits": {"upper": 900, "lower": 700}}});
    cluster.kubectl.patch("realserver", "web-1", &limits)?;
    eventually("the declared limits", Duration::from_secs(20), || {
        let shown = listing(cluster, &["--thresholds"])?;
        let of = |address: &str| {
            let key = (PLAIN.to_owned(), Some(format!("{address}:80")));
            shown.get(&key).and_then(|figures| figures.get(..2))
        };
        let [(_, limited), (_, free)] = SERVERS;
        ensure!(of(limited) == Some(&[900, 700]), "{:?}", of(limited));
        ensure!(of(free) == Some(&[0, 0]), "{:?}", of(free));
        Ok(())
    })?;
    Ok(())
}

/// `-Ln`: connections and weights, beside the metrics.
fn connections_and_weights(cluster: &Cluster) -> Result<()> {
    eventually("the same figures", Duration::from_secs(10), || {
        let table = cluster.table(PREFERRED)?;
        let samples = scrape(cluster, PREFERRED)?;
        let service = table.get(ECHO).context("the service is gone")?;
        for (server, entry) in &service.servers {
            for (metric, shown) in [
                ("active_connections", entry.active),
                ("inactive_connections", entry.inactive),
                ("weight", entry.weight),
            ] {
                measured(&samples, ECHO, Some(server), metric, shown.into())?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// `--persistent-conn`: weight, persistent, active and inactive connections.
fn persistent_connections(cluster: &Cluster) -> Result<()> {
    let shop = "TCP 192.168.159.110:80";
    ask(cluster, "client-1", "192.168.159.110:80", 5)?;
    eventually("the same figures", Duration::from_secs(10), || {
        let shown = listing(cluster, &["--persistent-conn"])?;
        let samples = scrape(cluster, PREFERRED)?;
        let mut persistent = 0;
        for (_, address) in SERVERS {
            let server = format!("{address}:80");
            let figures = shown.get(&(shop.to_owned(), Some(server.clone())));
            let figures = figures.with_context(|| format!("{server} is not shown"))?;
            let &[_, connections, ..] = figures.as_slice() else {
                anyhow::bail!("{server}: {figures:?}");
            };
            persistent += connections;
            let metric = "persistent_connections";
            measured(&samples, shop, Some(&server), metric, connections)?;
        }
        ensure!(persistent >= 1, "no template is counted: {shown:?}");
        Ok(())
    })?;
    Ok(())
}

/// Every figure of a listing is the metric's, for services and real servers.
fn same(cluster: &Cluster, option: &str, metrics: &[&str]) -> Result<()> {
    let what = format!("{option} and the metrics agree");
    let (figures, _) = eventually(&what, Duration::from_secs(20), || {
        let before = listing(cluster, &[option, "--exact"])?;
        let samples = scrape(cluster, PREFERRED)?;
        let after = listing(cluster, &[option, "--exact"])?;
        ensure!(before == after, "the figures move");
        for ((service, server), figures) in &before {
            for (metric, figure) in metrics.iter().zip(figures) {
                measured(&samples, service, server.as_deref(), metric, *figure)?;
            }
        }
        Ok(before.len() * metrics.len())
    })?;
    println!("{option}: {figures} figures agree");
    Ok(())
}

/// The metric of a service or of one of its servers has this value.
fn measured(
    samples: &[Sample],
    service: &str,
    server: Option<&str>,
    metric: &str,
    figure: u64,
) -> Result<()> {
    let split = |endpoint: &str| -> Result<(String, String)> {
        let (address, port) = endpoint.rsplit_once(':').context("no port")?;
        Ok((address.to_owned(), port.to_owned()))
    };
    let (protocol, endpoint) = service.split_once(' ').context("no protocol")?;
    let (address, port) = split(endpoint)?;
    let mut labels = vec![
        ("protocol", protocol.to_owned()),
        ("address", address),
        ("port", port),
    ];
    let kind = match server {
        Some(server) => {
            let (address, port) = split(server)?;
            labels.push(("server_address", address));
            labels.push(("server_port", port));
            "real_server"
        }
        None => "virtual_service",
    };
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let name = format!("lvs_{kind}_{metric}");
    let found = value(samples, &name, &labels);
    let found = found.with_context(|| format!("no {name} with {labels:?}"))?;
    #[expect(clippy::cast_precision_loss, reason = "counters of a test are small")]
    let wanted = figure as f64;
    ensure!(
        (found - wanted).abs() < 0.5,
        "{name} {labels:?} is {found}, ipvsadm shows {figure}"
    );
    Ok(())
}

fn listing(cluster: &Cluster, options: &[&str]) -> Result<Figures> {
    let text = cluster.on(PREFERRED, &[&["ipvsadm", "-Ln"], options].concat())?;
    Ok(figures(&text))
}

/// `ipvsadm` keeps working: its own services stay, its counters can be zeroed, its tables saved and restored.
pub(crate) fn works_beside(cluster: &Cluster) -> Result<()> {
    const FOREIGN: &str = "TCP 192.168.159.240:443";
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let sh = |script: &str| cluster.on(PREFERRED, &["sh", "-c", script]);
    sh("ipvsadm -A -t 192.168.159.240:443 -s wrr -p 120 && \
        ipvsadm -a -t 192.168.159.240:443 -r 192.168.159.121:443 -g -w 7 -x 10 -y 5")?;
    let ours = sh("ipvsadm -Sn | grep -v 192.168.159.240")?;

    // Our own changes leave it alone.
    let weight = json!({"spec": {"weight": 4}});
    cluster.kubectl.patch("realserver", "web-2", &weight)?;
    cluster.wait_tables("weight 4", Duration::from_secs(20), |table| {
        let weight = lvs_e2e::ipvs::weight(table, PLAIN, "192.168.159.121:80");
        ensure!(weight == Some(4), "{weight:?}");
        Ok(())
    })?;
    let table = cluster.table(PREFERRED)?;
    let foreign = table.get(FOREIGN).context("the foreign service is gone")?;
    ensure!(
        foreign.options == "wrr persistent 120" && foreign.servers.len() == 1,
        "{foreign:?}"
    );
    cluster
        .kubectl
        .patch("realserver", "web-2", &json!({"spec": {"weight": 1}}))?;

    // Save, lose and restore: the product and ipvsadm agree on the result.
    let saved =
        sh("ipvsadm -Sn > /run/saved && ipvsadm -C && ipvsadm -R < /run/saved; cat /run/saved")?;
    ensure!(saved.contains("192.168.159.240:443"), "{saved}");
    eventually("the table is whole", Duration::from_secs(20), || {
        let now = sh("ipvsadm -Sn | grep -v 192.168.159.240")?;
        ensure!(sorted(&now) == sorted(&ours), "it is\n{now}and was\n{ours}");
        ensure!(
            cluster.table(PREFERRED)?.contains_key(FOREIGN),
            "the foreign service is gone"
        );
        Ok(())
    })?;

    // Zero the counters of one service, and of all.
    let connections = || -> Result<u64> {
        let figures = listing(cluster, &["--stats", "--exact"])?;
        let service = figures.get(&(PLAIN.to_owned(), None));
        let connections = service.and_then(|figures| figures.first());
        connections.copied().context("the service is gone")
    };
    let before = connections()?;
    ask(cluster, "client-1", &format!("{PLAIN_VIP}:80"), 20)?;
    // The kernel adds its counters up every two seconds.
    eventually(
        "the connections are counted",
        Duration::from_secs(20),
        || {
            let now = connections()?;
            ensure!(now >= before + 20, "{before} before, {now} now");
            Ok(())
        },
    )?;
    sh(&format!("ipvsadm -Z -t {PLAIN_VIP}:80"))?;
    let zeroed = connections()?;
    ensure!(zeroed == 0, "{zeroed} connections");
    sh("ipvsadm -Z")?;
    let answered: usize = ask(cluster, "client-1", &format!("{PLAIN_VIP}:80"), 20)?
        .values()
        .sum();
    ensure!(answered == 20, "{answered} of 20 were answered");
    sh("ipvsadm -D -t 192.168.159.240:443").map(drop)
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.sort_unstable();
    lines
}
