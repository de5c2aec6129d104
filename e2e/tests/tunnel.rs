//! Tunnelling to real servers behind a router (`examples/03-tunnel`), with each kind of tunnel: full-size packets,
//! large answers, and devices that are left as they were.

#![allow(
    clippy::indexing_slicing,
    reason = "JSON and YAML values answer a missing key with null"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::example::TUNNEL;
use lvs_e2e::scenario;
use lvs_lab::Topology;
use lvs_lab::traffic::{Load, Traffic};
use serde_json::json;

const VIP: &str = "10.8.1.100";
const SERVICE: &str = "TCP 10.8.1.100:80";
const REAL_SERVERS: [(&str, &str); 2] = [("web-1", "10.8.2.21:80"), ("web-2", "10.8.2.22:80")];

/// A kind of tunnel.
struct Kind {
    /// The file of the example that selects it.
    manifest: &'static str,
    /// What `ipvsadm -Ln --tun-info` says of a server.
    tun_info: &'static str,
    /// pcap-filter(7) of the outer packets.
    outer: &'static str,
    /// The device that the inner packets come out of.
    device: &'static str,
}

const IPIP: Kind = Kind {
    manifest: "manifests.yaml",
    tun_info: "ipip",
    outer: "ip proto 4",
    device: "tunl0",
};

const GUE: Kind = Kind {
    manifest: "gue.yaml",
    tun_info: "gue:6080",
    outer: "udp port 6080",
    device: "tunl0",
};

const GRE: Kind = Kind {
    manifest: "gre.yaml",
    tun_info: "gre",
    outer: "ip proto 47",
    device: "gre0",
};

/// What the cluster's agents must have put back: device by device, up or not, and its `rp_filter`.
const DEVICES: &str = "for device in tunl0 gre0 all; do \
     echo $device $(cat /sys/class/net/$device/operstate 2>/dev/null) \
     $(cat /proc/sys/net/ipv4/conf/$device/rp_filter); done; ip fou show; ip -o address show lo; ip -o address show tunl0; ip -o address show gre0";

fn main() -> ExitCode {
    scenario::main(
        "e2e-s8",
        Topology::s8(),
        TUNNEL,
        &[
            ("ipip_carries_full_size_packets_past_a_router", ipip),
            ("gue_carries_full_size_packets_past_a_router", gue),
            ("gre_carries_full_size_packets_past_a_router", gre),
            ("the_kind_changes_on_the_live_service", live_change),
            ("a_host_that_filters_strictly_lets_clients_in", strict_host),
            ("real_servers_are_left_as_they_were", left_as_before),
        ],
    )
}

fn ipip(cluster: &Cluster) -> Result<()> {
    carries(cluster, &IPIP)
}

fn gue(cluster: &Cluster) -> Result<()> {
    carries(cluster, &GUE)
}

fn gre(cluster: &Cluster) -> Result<()> {
    carries(cluster, &GRE)
}

fn carries(cluster: &Cluster, kind: &Kind) -> Result<()> {
    apply(cluster, kind)?;
    cluster.wait_holder("lb-1", VIP, Duration::from_secs(30))?;
    for (node, _) in REAL_SERVERS {
        let path = format!("/proc/sys/net/ipv4/conf/{}/rp_filter", kind.device);
        let value = cluster.on(node, &["cat", &path])?;
        // Loose: it lets the clients' packets in whatever the setting for all devices is.
        ensure!(value.trim() == "2", "{node}: {path} is {value}");
        ensure!(cluster.has_address(node, VIP)?, "{node} has no VIP");
    }

    let capture = cluster.node("web-1")?.capture(kind.outer)?;
    let client = cluster.lab.client("client-1")?;
    // The first request meets the path's limit and learns of it; so do all others.
    for (what, request, answer, requests) in [
        ("small", 0, 0, 200),
        ("large answers", 0, 1 << 20, 20),
        ("large requests", 1 << 20, 0, 20),
        ("both", 200_000, 200_000, 20),
    ] {
        let mut load = Traffic::http(target()?)
            .load(Load::Concurrency(4))
            .requests(requests)
            .sizes(request, answer);
        load.answer_timeout = Duration::from_secs(10);
        let report = client.traffic(load)?.wait()?;
        ensure!(report.failed() == 0, "{what}: requests failed:\n{report}");
        let counts = report.per_server();
        let half = usize::try_from(requests)? / 2;
        ensure!(
            counts.len() == 2 && counts.values().all(|count| count.abs_diff(half) <= 1),
            "{what}: the split is {counts:?}"
        );
    }
    let page = client
        .exec(&["curl", "-sf", &format!("http://{VIP}/")])?
        .ok()?;
    ensure!(
        page.contains(&client.address().to_string()),
        "the real server saw another client than {}: {page}",
        client.address()
    );

    let outer = capture.stop()?;
    let longest = outer.iter().filter_map(|packet| length(&packet.text)).max();
    let longest = longest.context("no packet came through the tunnel")?;
    println!(
        "{}: {} outer packets, the longest of {longest} octets",
        kind.manifest,
        outer.len()
    );
    ensure!(
        (1400..=1514).contains(&longest),
        "the longest outer packet has {longest} octets: none was full, or one was too long for the path"
    );
    Ok(())
}

/// The frame's length as tcpdump tells it.
fn length(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once(", length ")?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// Traffic goes on while the kind of tunnel changes: the real servers can take the new kind before the directors
/// send it.
fn live_change(cluster: &Cluster) -> Result<()> {
    let traffic = cluster
        .lab
        .client("client-1")?
        .traffic(Traffic::http(target()?))?;
    traffic.wait_until(Duration::from_secs(10), |report| {
        report.per_server().values().sum::<usize>() >= 20
    })?;
    for kind in [&GUE, &GRE, &IPIP] {
        apply(cluster, kind)?;
        let changed = std::time::Instant::now();
        traffic.wait_until(Duration::from_secs(10), |report| {
            report.since(changed).requests.len() >= 50
        })?;
    }
    let report = traffic.stop()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    Ok(())
}

/// The setting for all devices is the administrator's and stays.
fn strict_host(cluster: &Cluster) -> Result<()> {
    set_rp_filter(cluster, "all", "1")?;
    let load = Traffic::http(target()?)
        .load(Load::Concurrency(4))
        .requests(100);
    let report = cluster.lab.client("client-1")?.traffic(load)?.wait();
    let kept = cluster.on("web-1", &["cat", "/proc/sys/net/ipv4/conf/all/rp_filter"]);
    set_rp_filter(cluster, "all", "0")?;
    let report = report?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    ensure!(
        report.per_server().contains_key("web-1"),
        "web-1 answered nothing:\n{report}"
    );
    ensure!(
        kept?.trim() == "1",
        "the setting for all devices was changed"
    );
    Ok(())
}

fn left_as_before(cluster: &Cluster) -> Result<()> {
    cluster.delete_example()?;
    // What a real server has that never was one.
    let fresh = cluster.on("spare-1", &["sh", "-c", DEVICES])?;
    for node in ["web-1", "web-2"] {
        eventually("devices as before", Duration::from_secs(30), || {
            let now = cluster.on(node, &["sh", "-c", DEVICES])?;
            ensure!(now == fresh, "{node} has\n{now}and not\n{fresh}");
            Ok(())
        })?;
    }
    // A host that filters by reverse path gets its setting back too.
    for value in ["1", "0"] {
        set_rp_filter(cluster, "tunl0", value)?;
        cluster.apply_example()?;
        wait_rp_filter(cluster, "2")?;
        cluster.delete_example()?;
        wait_rp_filter(cluster, value)?;
    }
    Ok(())
}

fn set_rp_filter(cluster: &Cluster, device: &str, value: &str) -> Result<()> {
    let line = format!("echo {value} > /proc/sys/net/ipv4/conf/{device}/rp_filter");
    cluster.on("web-1", &["sh", "-c", &line]).map(drop)
}

fn wait_rp_filter(cluster: &Cluster, wanted: &str) -> Result<()> {
    let what = format!("rp_filter of web-1's tunl0 is {wanted}");
    eventually(&what, Duration::from_secs(30), || {
        let value = cluster.on("web-1", &["cat", "/proc/sys/net/ipv4/conf/tunl0/rp_filter"])?;
        ensure!(value.trim() == wanted, "it is {}", value.trim());
        Ok(())
    })?;
    Ok(())
}

/// Applies the manifest and waits until directors and real servers have it.
fn apply(cluster: &Cluster, kind: &Kind) -> Result<()> {
    let path = cluster.example_path(kind.manifest);
    let path = path.to_string_lossy();
    if kind.manifest == IPIP.manifest {
        // A patch: what the file says of the kind alone.
        let tunnel = json!({"spec": {"forwarding": {"tunnel": {"type": "IPIP", "port": null}}}});
        cluster.kubectl.patch("virtualservice", "web", &tunnel)?;
    } else {
        cluster.kubectl.ok(&["apply", "-f", &path])?;
    }
    for director in ["lb-1", "lb-2"] {
        let what = format!("{director} tunnels by {}", kind.tun_info);
        eventually(&what, Duration::from_secs(10), || {
            let text = cluster.on(director, &["ipvsadm", "-Ln", "--tun-info"])?;
            for (_, server) in REAL_SERVERS {
                let line = text.lines().find(|line| line.contains(server));
                let line = line.with_context(|| format!("no {server} in\n{text}"))?;
                ensure!(
                    line.to_lowercase().contains(kind.tun_info),
                    "{server}: {line}"
                );
            }
            Ok(())
        })?;
        let table = cluster.table(director)?;
        let service = table.get(SERVICE).context("the service is gone")?;
        for (server, entry) in &service.servers {
            ensure!(entry.forwarding == "Tunnel", "{server}: {entry:?}");
        }
    }
    cluster.wait_ready(60)
}

fn target() -> Result<SocketAddr> {
    Ok(format!("{VIP}:80").parse()?)
}
