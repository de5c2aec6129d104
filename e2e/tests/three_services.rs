//! Three services on three VIPs with three real servers each (`examples/06-three-services`): VRRP version 2 with a
//! password, persistence, checks at one and at three layers.

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
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::example::THREE_SERVICES;
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{CAUGHT, HANDED_OVER, TAKEN_OVER};
use lvs_e2e::scenario;
use lvs_lab::Topology;
use lvs_lab::serve::Protocol;
use lvs_lab::traffic::{Load, RunningTraffic, Traffic};

const WEB: (&str, u16, Protocol) = ("172.28.14.227", 8080, Protocol::Http);
const MAIL: (&str, u16, Protocol) = ("172.28.14.228", 25, Protocol::Smtp);
const FTP: (&str, u16, Protocol) = ("172.28.14.229", 21, Protocol::Ftp);
const SERVICES: [(&str, u16, Protocol); 3] = [WEB, MAIL, FTP];
const REAL_SERVERS: [&str; 3] = ["172.28.14.13", "172.28.14.14", "172.28.14.15"];

/// Checks every six seconds, three repetitions three seconds apart.
const DETECTED: Duration = Duration::from_secs(16);

fn main() -> ExitCode {
    scenario::main(
        "e2e-s2",
        Topology::s2(),
        THREE_SERVICES,
        &[
            ("both_directors_have_the_three_services", the_tables),
            ("adverts_are_version_2_with_the_password", adverts),
            (
                "each_service_answers_and_keeps_a_client_on_its_server",
                persistence,
            ),
            ("one_service_fails_alone_and_returns", one_fails_alone),
            ("all_three_fail_over_and_back", failover),
            (
                "checks_at_three_layers_find_what_a_connect_does_not",
                three_layers,
            ),
        ],
    )
}

fn the_tables(cluster: &Cluster) -> Result<()> {
    for director in ["lb-1", "lb-2"] {
        let table = cluster.table(director)?;
        for (service, port) in [
            ("TCP 172.28.14.227:8080", 8080),
            ("TCP 172.28.14.228:25", 25),
            ("TCP 172.28.14.229:0", 0),
        ] {
            let found = table
                .get(service)
                .with_context(|| format!("{director} lacks {service}"))?;
            ensure!(
                found.options == "wlc persistent 50",
                "{director}, {service}: {}",
                found.options
            );
            for server in REAL_SERVERS {
                let server = found
                    .servers
                    .get(&format!("{server}:{port}"))
                    .with_context(|| format!("{director}, {service}: no {server}"))?;
                ensure!(
                    server.forwarding == "Route" && server.weight == 1,
                    "{director}, {service}: {server:?}"
                );
            }
            ensure!(
                found.servers.len() == 3,
                "{director}, {service}: {:?}",
                found.servers
            );
        }
        ensure!(table.len() == 3, "{director} has other services: {table:?}");
        let daemons = cluster.on(director, &["ipvsadm", "-L", "--daemon"])?;
        for role in ["master sync daemon", "backup sync daemon"] {
            ensure!(
                daemons.contains(role),
                "{director} has no {role}: {daemons}"
            );
        }
        ensure!(daemons.contains("syncid=51"), "{director}: {daemons}");
    }
    Ok(())
}

fn adverts(cluster: &Cluster) -> Result<()> {
    for (vip, ..) in SERVICES {
        cluster.wait_holder("lb-1", vip, Duration::from_secs(30))?;
    }
    let capture = cluster.lab.client("client-1")?.capture("ip proto 112")?;
    // The period that is counted.
    std::thread::sleep(Duration::from_millis(3300));
    let packets = capture.stop()?;
    ensure!(
        (3..=4).contains(&packets.len()),
        "{} adverts in 3.3 s: {packets:?}",
        packets.len()
    );
    for packet in packets {
        for part in [
            "172.28.14.11 > 224.0.0.18",
            "VRRPv2",
            "vrid 51",
            "prio 100",
            "authtype simple",
            "intvl 1s",
        ] {
            ensure!(packet.text.contains(part), "no {part:?} in {}", packet.text);
        }
    }
    Ok(())
}

fn persistence(cluster: &Cluster) -> Result<()> {
    for client in ["client-1", "client-2"] {
        for service in SERVICES {
            let load = traffic(service)?.load(Load::Concurrency(4)).requests(60);
            let report = cluster.lab.client(client)?.traffic(load)?.wait()?;
            ensure!(report.failed() == 0, "{client}, {service:?}:\n{report}");
            ensure!(
                report.per_server().len() == 1,
                "{client}, {service:?} was not kept on one server:\n{report}"
            );
        }
    }
    Ok(())
}

fn one_fails_alone(cluster: &Cluster) -> Result<()> {
    let web = begin(cluster, WEB)?;
    let ftp = begin(cluster, FTP)?;
    for server in ["rs-1", "rs-2", "rs-3"] {
        cluster.stop_server(server, MAIL.1)?;
    }
    eventually("mail has no server", DETECTED, || {
        let table = cluster.table("lb-1")?;
        let mail = table.get("TCP 172.28.14.228:25").context("mail is gone")?;
        ensure!(
            mail.servers.values().all(|server| server.weight == 0),
            "{mail:?}"
        );
        Ok(())
    })?;
    eventually(
        "mail is not Ready and says why",
        Duration::from_secs(15),
        || {
            let condition = cluster
                .kubectl
                .condition(&["virtualservice", "mail"], "BackendsHealthy")?;
            ensure!(condition.status == "False", "{condition:?}");
            let status = cluster.kubectl.json(&["get", "virtualservice", "mail"])?;
            let reason = status["status"]["unhealthy"][0]["reason"]
                .as_str()
                .unwrap_or_default();
            ensure!(reason.contains("refused"), "the reason is {reason:?}");
            Ok(())
        },
    )?;
    for other in ["web", "ftp"] {
        let condition = cluster
            .kubectl
            .condition(&["virtualservice", other], "Ready")?;
        ensure!(condition.status == "True", "{other}: {condition:?}");
    }
    cluster.start_servers()?;
    cluster.wait_ready(30)?;
    let mail = begin(cluster, MAIL)?.stop()?;
    ensure!(mail.failed() == 0, "mail did not come back:\n{mail}");
    for (name, running) in [("web", web), ("ftp", ftp)] {
        let report = running.stop()?;
        ensure!(
            report.failed() == 0,
            "{name} suffered from mail's failure:\n{report}"
        );
    }
    Ok(())
}

fn failover(cluster: &Cluster) -> Result<()> {
    for (vip, ..) in SERVICES {
        cluster.wait_holder("lb-1", vip, Duration::from_secs(30))?;
    }
    let running = SERVICES.map(|service| (service, begin(cluster, service)));
    let director = cluster.node("lb-1")?;
    director.power_off()?;
    for (vip, ..) in SERVICES {
        cluster.wait_holder("lb-2", vip, Duration::from_secs(10))?;
    }
    let vips = SERVICES.map(|(vip, ..)| vip);
    cluster.stays("lb-2", &vips, Duration::from_secs(2))?;
    director.power_on()?;
    director.wait_ready()?;
    let back = Instant::now();
    for (vip, ..) in SERVICES {
        cluster.wait_holder("lb-1", vip, Duration::from_secs(60))?;
    }
    for (service, running) in running {
        let running = running?;
        running.wait_until(Duration::from_secs(10), |report| {
            report.since(back).requests.len() >= 100
        })?;
        let report = running.stop()?;
        let lost = gap(&report)?;
        println!(
            "{}: longest gap {} ms, {} requests failed",
            service.0,
            lost.as_millis(),
            report.failed()
        );
        ensure!(
            lost <= TAKEN_OVER,
            "{service:?}: a gap of {lost:?}:\n{report}"
        );
        let failback = report.since(back);
        ensure!(
            failback.failed() <= CAUGHT,
            "{service:?}: the failback failed requests:\n{failback}"
        );
        ensure!(
            gap(&failback)? < HANDED_OVER,
            "{service:?}: the failback left a gap:\n{failback}"
        );
    }
    Ok(())
}

fn three_layers(cluster: &Cluster) -> Result<()> {
    let path = cluster.example_path("checks-three-layers.yaml");
    cluster
        .kubectl
        .ok(&["apply", "-f", &path.to_string_lossy()])?;
    cluster.wait_ready(30)?;
    // Something listens, but it does not speak HTTP: a connect alone would not see it.
    cluster.stop_server("rs-2", WEB.1)?;
    let impostor = cluster.node("rs-2")?.serve(Protocol::Echo, WEB.1)?;
    eventually(
        "rs-2 is out for web",
        DETECTED + Duration::from_secs(15),
        || {
            let table = cluster.table("lb-1")?;
            let weight =
                lvs_e2e::ipvs::weight(&table, "TCP 172.28.14.227:8080", "172.28.14.14:8080");
            ensure!(weight == Some(0), "its weight is {weight:?}");
            Ok(())
        },
    )?;
    eventually(
        "the reason names the check",
        Duration::from_secs(15),
        || {
            let status = cluster.kubectl.json(&["get", "virtualservice", "web"])?;
            let reason = status["status"]["unhealthy"][0]["reason"]
                .as_str()
                .unwrap_or_default();
            ensure!(reason.contains("http"), "the reason is {reason:?}");
            Ok(())
        },
    )?;
    drop(impostor);
    Ok(())
}

fn traffic((vip, port, protocol): (&str, u16, Protocol)) -> Result<Traffic> {
    let target: SocketAddr = format!("{vip}:{port}").parse()?;
    Ok(Traffic::http(target)
        .protocol(protocol)
        .load(Load::Rate(40.0)))
}

/// Traffic that has been answered.
fn begin(cluster: &Cluster, service: (&str, u16, Protocol)) -> Result<RunningTraffic> {
    let running = cluster.lab.client("client-1")?.traffic(traffic(service)?)?;
    running.wait_until(Duration::from_secs(10), |report| {
        report.per_server().values().sum::<usize>() >= 20
    })?;
    Ok(running)
}
