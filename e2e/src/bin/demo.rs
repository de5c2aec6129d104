//! `make demo`: a cluster, the chart, `examples/01-direct-routing`, and what traffic sees when a real server and a
//! director die. It leaves the cluster up.

#![allow(
    clippy::print_stdout,
    reason = "this program is for people at a terminal"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use lvs_e2e::cluster::Cluster;
use lvs_e2e::example::DIRECT_ROUTING;
use lvs_e2e::gap::gap;
use lvs_lab::Topology;
use lvs_lab::traffic::{RunningTraffic, Traffic};

const NAME: &str = "demo";
const VIP: &str = "192.168.1.222";

fn main() -> ExitCode {
    let start = Instant::now();
    match show() {
        Ok((rows, kubeconfig)) => {
            print_table(&rows);
            print_what_next(&kubeconfig, start.elapsed());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!(
                "\nThe demo failed: {reason:#}\nThe cluster is left as it is; `make demo-down` removes it."
            );
            ExitCode::FAILURE
        }
    }
}

/// A line of the table: what happened, and a figure.
type Row = (&'static str, String);

fn show() -> Result<(Vec<Row>, PathBuf)> {
    let cluster = Cluster::up(NAME, Topology::s1(), DIRECT_ROUTING)?;
    say("starting the web servers, applying examples/01-direct-routing");
    cluster.put_back()?;
    println!("\n{}", cluster.kubectl.ok(&["get", "lvs", "-A"])?);

    say("100 requests a second from a client to the VIP");
    let target: SocketAddr = format!("{VIP}:80").parse()?;
    let traffic = cluster
        .lab
        .client("client-1")?
        .traffic(Traffic::http(target))?;
    let mut rows = distribution(&traffic)?;
    rows.extend(real_server_dies(&cluster, &traffic)?);
    rows.extend(director_dies(&cluster, &traffic)?);
    let report = traffic.stop()?;
    rows.push(("requests in all", report.requests.len().to_string()));
    rows.push(("requests failed in all", report.failed().to_string()));
    Ok((rows, cluster.lab.kubeconfig()))
}

fn distribution(traffic: &RunningTraffic) -> Result<Vec<Row>> {
    let report = traffic.wait_until(Duration::from_secs(30), |report| {
        report.requests.len() >= 500
    })?;
    let counts = report.per_server();
    let share = |name| counts.get(name).copied().unwrap_or_default().to_string();
    Ok(vec![
        ("requests answered by web-1", share("web-1")),
        ("requests answered by web-2", share("web-2")),
    ])
}

fn real_server_dies(cluster: &Cluster, traffic: &RunningTraffic) -> Result<Vec<Row>> {
    say("the web server on web-1 dies");
    let died = Instant::now();
    cluster.stop_server("web-1", 80)?;
    cluster.kubectl.wait(
        "jsonpath={.status.backends.down}=1",
        &["virtualservice", "web"],
        30,
    )?;
    let quiet = Instant::now();
    let report = traffic.wait_until(Duration::from_secs(10), |report| {
        report.since(quiet).requests.len() >= 100
    })?;
    let failed: Vec<Instant> = report
        .since(died)
        .requests
        .iter()
        .filter(|request| request.fate.is_err())
        .map(|request| request.started)
        .collect();
    let last = failed
        .iter()
        .max()
        .map_or(Duration::ZERO, |last| *last - died);
    println!(
        "\n{}",
        cluster
            .kubectl
            .ok(&["get", "virtualservices,realservers", "-A"])?
    );

    say("it returns");
    cluster.start_server("web-1", 80)?;
    traffic.wait_until(Duration::from_secs(30), |report| {
        report.since(quiet).first_answer_of("web-1").is_some()
    })?;
    cluster.wait_ready(30)?;
    Ok(vec![
        (
            "dead real server: no more traffic after",
            milliseconds(last),
        ),
        (
            "dead real server: requests failed",
            failed.len().to_string(),
        ),
    ])
}

fn director_dies(cluster: &Cluster, traffic: &RunningTraffic) -> Result<Vec<Row>> {
    say("lb-1, the Active director, loses power");
    let lost = Instant::now();
    let director = cluster.node("lb-1")?;
    director.power_off()?;
    cluster.wait_holder("lb-2", VIP, Duration::from_secs(30))?;
    let over = Instant::now();
    let report = traffic.wait_until(Duration::from_secs(10), |report| {
        report.since(over).requests.len() >= 200
    })?;
    // From the last answers before it on.
    let failover = report.since(lost.checked_sub(Duration::from_secs(1)).unwrap_or(lost));

    say("its power is back");
    director.power_on()?;
    director.wait_ready()?;
    let back = Instant::now();
    cluster.wait_holder("lb-1", VIP, Duration::from_secs(60))?;
    let home = Instant::now();
    let report = traffic.wait_until(Duration::from_secs(10), |report| {
        report.since(home).requests.len() >= 200
    })?;
    let failback = report.since(back);
    cluster.wait_ready(60)?;
    println!("\n{}", cluster.kubectl.ok(&["get", "lvs", "-A"])?);
    Ok(vec![
        ("failover: longest gap", milliseconds(gap(&failover)?)),
        ("failover: requests failed", failover.failed().to_string()),
        ("failback: longest gap", milliseconds(gap(&failback)?)),
        ("failback: requests failed", failback.failed().to_string()),
    ])
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn say(what: &str) {
    println!("demo: {what}");
}

fn print_table(rows: &[Row]) {
    let width = rows
        .iter()
        .map(|(what, _)| what.len())
        .max()
        .unwrap_or_default();
    println!();
    for (what, figure) in rows {
        println!("  {what:<width$}  {figure:>9}");
    }
}

fn print_what_next(kubeconfig: &Path, took: Duration) {
    println!(
        "\nThe demo took {} s. The cluster is up; look around:\n\n  \
         export KUBECONFIG={} PATH=$PWD/target/lab/bin:$PATH\n  \
         kubectl get lvs -A\n  \
         kubectl describe virtualservice web\n  \
         kubectl patch realserver web-1 --type=merge -p '{{\"spec\":{{\"weight\":3}}}}'\n  \
         helm list -n lvs-system\n  \
         cargo run -q -p lvs-lab -- exec --name {NAME} lb-1 -- ipvsadm -Ln\n\n\
         `make demo-down` removes every trace.",
        took.as_secs(),
        kubeconfig.display()
    );
}
