//! One client, one real server: per port, over all ports, and over the ports of a firewall mark.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::{Cluster, repository};
use lvs_e2e::eventually::eventually;
use lvs_e2e::example::FWMARK;
use serde_json::json;

use super::clients::{ask, ask_from, sources};
use super::{OTHER, PREFERRED};

/// VIP of the services per port and by mark.
const VIP: &str = "192.168.159.110";
/// VIP of the service over all ports.
const EVERY_PORT_VIP: &str = "192.168.159.111";
/// The rule that a person sets who marks packets without the product.
const RULE: &str =
    "PREROUTING -d 192.168.159.110 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 99";

pub(crate) fn per_port(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    for port in [80, 443] {
        let service = format!("TCP {VIP}:{port}");
        cluster.wait_tables("persistence per port", Duration::from_secs(20), |table| {
            let service = table.get(&service).context("the service is gone")?;
            ensure!(service.options == "rr persistent 300", "{service:?}");
            Ok(())
        })?;
    }
    let mut seen = Vec::new();
    for client in ["client-1", "client-2"] {
        for port in [80, 443] {
            let counts = ask(cluster, client, &format!("{VIP}:{port}"), 20)?;
            ensure!(
                counts.len() == 1,
                "{client} was not kept on port {port}: {counts:?}"
            );
            seen.extend(counts.into_keys());
        }
    }
    // Round robin gives the second client of a port the other server.
    let (first, second) = seen.split_at(2);
    ensure!(
        first
            .iter()
            .zip(second)
            .all(|(first, second)| first != second),
        "client-1 is on {first:?}, client-2 on {second:?}"
    );
    // The other director has the templates, so that a failover keeps the client where it is.
    eventually(
        "templates on the other director",
        Duration::from_secs(20),
        || {
            let connections = cluster.on(OTHER, &["ipvsadm", "-Lnc"])?;
            let templates = connections
                .lines()
                .filter(|line| line.contains(":0 ") && line.contains(VIP))
                .count();
            ensure!(templates >= 4, "{templates} templates:\n{connections}");
            Ok(())
        },
    )?;
    Ok(())
}

pub(crate) fn per_client(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, EVERY_PORT_VIP, Duration::from_secs(30))?;
    let mut used = Vec::new();
    for source in sources(cluster)? {
        let servers = [80, 443, 80].map(|port| {
            let target = format!("{EVERY_PORT_VIP}:{port}");
            ask_from(cluster, source, &target, 2)
        });
        let [http, https, again] = servers;
        let (http, https, again) = (http?, https?, again?);
        ensure!(
            http == https && https == again,
            "{source}: {http} on port 80, {https} on port 443, then {again}"
        );
        used.push(http);
    }
    both_used(used)
}

pub(crate) fn by_mark(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    let manifest = repository()
        .join("examples")
        .join(FWMARK)
        .join("external-rules.yaml");
    let manifest = manifest.to_string_lossy();
    for director in [PREFERRED, OTHER] {
        rule(cluster, director, "-A")?;
    }
    cluster.kubectl.ok(&["delete", "virtualservice", "shop"])?;
    cluster.kubectl.ok(&["apply", "-f", &manifest])?;
    let shown = one_client_one_server(cluster);
    cluster.kubectl.ok(&["delete", "-f", &manifest])?;
    for director in [PREFERRED, OTHER] {
        rule(cluster, director, "-D")?;
    }
    shown
}

fn rule(cluster: &Cluster, director: &str, action: &str) -> Result<()> {
    let mut words = vec!["iptables-legacy", "-t", "mangle", action];
    words.extend(RULE.split(' '));
    cluster.on(director, &words).map(drop)
}

fn one_client_one_server(cluster: &Cluster) -> Result<()> {
    // Short times, so that the end of persistence can be waited for: a template lives on while connections that
    // it led do.
    const SECONDS: u64 = 4;
    let timeouts = json!({"tcpSeconds": 900, "tcpFinSeconds": 1, "udpSeconds": 300});
    cluster.kubectl.patch(
        "directorpair",
        "edge",
        &json!({"spec": {"timeouts": timeouts}}),
    )?;
    let persistence = json!({"spec": {"persistence": {"timeoutSeconds": SECONDS}}});
    cluster
        .kubectl
        .patch("virtualservice", "web", &persistence)?;
    cluster.wait_ready(30)?;
    cluster.wait_tables("a service by mark", Duration::from_secs(20), |table| {
        let service = table.get("FWM 99").context("there is none")?;
        ensure!(
            service.options == format!("rr persistent {SECONDS}"),
            "{service:?}"
        );
        ensure!(service.servers.len() == 2, "{service:?}");
        Ok(())
    })?;
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(10))?;
    let mut used = Vec::new();
    for source in sources(cluster)? {
        used.push(on_both_ports(cluster, source)?);
    }
    both_used(used)?;

    // Round robin: a client that begins anew, and nobody between, meets the other server once the time is over.
    let source: IpAddr = "192.168.159.200".parse()?;
    let first = on_both_ports(cluster, source)?;
    let since = Instant::now();
    let ((), took) = eventually(
        "the client meets another server",
        Duration::from_secs(60),
        || {
            // To ask while the template is there would prolong it.
            let idle = cluster.on(PREFERRED, &["ipvsadm", "-Lnc"])?;
            ensure!(
                !idle
                    .lines()
                    .any(|line| line.contains(&source.to_string()) && line.contains(" 0.0.0.99:0 ")),
                "the template is there"
            );
            let now = on_both_ports(cluster, source)?;
            ensure!(now != first, "it is on {now} again");
            Ok(())
        },
    )?;
    println!("persistence of {SECONDS} s ended after {took:?}");
    ensure!(
        since.elapsed() >= Duration::from_secs(SECONDS),
        "the client left its server after {:?}",
        since.elapsed()
    );
    // A port without a mark is not balanced.
    let client = cluster.lab.client("client-1")?;
    let other = client.exec(&["curl", "-s", "--max-time", "2", &format!("http://{VIP}:7/")])?;
    ensure!(!other.success(), "port 7 answers: {}", other.stdout);
    Ok(())
}

/// The one server that a client meets on both ports.
fn on_both_ports(cluster: &Cluster, source: IpAddr) -> Result<String> {
    let http = ask_from(cluster, source, &format!("{VIP}:80"), 2)?;
    let https = ask_from(cluster, source, &format!("{VIP}:443"), 2)?;
    ensure!(
        http == https,
        "{source}: {http} on port 80, {https} on port 443"
    );
    Ok(http)
}

fn both_used(mut used: Vec<String>) -> Result<()> {
    let clients = used.len();
    used.sort();
    used.dedup();
    ensure!(used.len() == 2, "{clients} clients are all on {used:?}");
    Ok(())
}
