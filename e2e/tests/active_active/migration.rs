//! A pair that runs keepalived becomes one of ours while it serves (`examples/08-migrating-from-keepalived`).

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::{Cluster, repository};
use lvs_e2e::eventually::eventually;
use lvs_e2e::gap::gap;
use lvs_e2e::keepalived;
use lvs_e2e::promises::{HANDED_OVER, ROOM};
use lvs_lab::Running;

use super::{FIRST, SECOND, traffic};

const VIP: &str = "192.168.2.100";
const SERVICE: &str = "TCP 192.168.2.100:80";
const REAL_SERVERS: [&str; 3] = ["web-1", "web-2", "web-3"];

/// keepalived says goodbye; the agent waits for the skew time of priority 100.
const FROM_KEEPALIVED: Duration = Duration::from_millis(610).saturating_add(ROOM);

pub(crate) fn one_director_at_a_time(cluster: &Cluster) -> Result<()> {
    let ((first, _), (second, _)) = (FIRST, SECOND);
    cluster.delete_example()?;
    // What a script did at boot.
    for server in REAL_SERVERS {
        eventually(
            "the agent has released the VIP",
            Duration::from_secs(30),
            || {
                ensure!(!cluster.has_address(server, VIP)?, "{server} has it still");
                Ok(())
            },
        )?;
        let script = format!(
            "ip address add {VIP}/32 dev lo && sysctl -qw net.ipv4.conf.eth0.arp_ignore=1 \
             net.ipv4.conf.eth0.arp_announce=2"
        );
        cluster.on(server, &["sh", "-c", &script])?;
    }
    let _first_keepalived = start_keepalived(cluster, first)?;
    let _second_keepalived = start_keepalived(cluster, second)?;
    cluster.wait_holder(first, VIP, Duration::from_secs(30))?;
    let changes = REAL_SERVERS
        .map(|server| cluster.node(server)?.spawn(&["ip", "monitor", "address"]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let requests = traffic(cluster, "client-1", VIP)?;

    keepalived::stop(cluster, second)?;
    apply(cluster, "1-standby.yaml")?;
    for object in ["directorpair/edge", "virtualservice/web"] {
        cluster
            .kubectl
            .wait("condition=Programmed", &[object], 60)?;
    }
    eventually("the standby has the table", Duration::from_secs(10), || {
        let table = cluster.table(second)?;
        let servers = table.get(SERVICE).map(|service| service.servers.len());
        ensure!(servers == Some(REAL_SERVERS.len()), "{table:?}");
        Ok(())
    })?;
    let holders = cluster.holders(VIP)?;
    ensure!(holders == [first], "after step 1 the VIP is on {holders:?}");
    let report = requests.stop()?;
    let lost = gap(&report)?;
    println!(
        "while the agents started: {} ms without an answer, {} requests failed",
        lost.as_millis(),
        report.failed()
    );
    ensure!(lost <= ROOM, "a gap of {lost:?}:\n{report}");
    // What the script has set up stays where it is, all the time.
    for (server, changes) in REAL_SERVERS.iter().zip(changes) {
        let text = changes.stop()?.stdout;
        ensure!(!text.contains("Deleted"), "{server}: {text}");
    }

    let requests = traffic(cluster, "client-1", VIP)?;
    keepalived::stop(cluster, first)?;
    cluster.wait_holder(second, VIP, Duration::from_secs(10))?;
    super::answered(&requests)?;
    let lost = gap(&requests.stop()?)?;
    println!("from keepalived to the agent: {} ms", lost.as_millis());
    ensure!(lost <= FROM_KEEPALIVED, "a gap of {lost:?}");

    let requests = traffic(cluster, "client-1", VIP)?;
    apply(cluster, "2-both.yaml")?;
    cluster.wait_holder(first, VIP, Duration::from_secs(60))?;
    super::answered(&requests)?;
    let lost = gap(&requests.stop()?)?;
    println!("back to the preferred director: {} ms", lost.as_millis());
    ensure!(lost <= HANDED_OVER, "a gap of {lost:?}");
    Ok(())
}

fn example(file: &str) -> std::path::PathBuf {
    repository()
        .join("examples/08-migrating-from-keepalived")
        .join(file)
}

fn apply(cluster: &Cluster, file: &str) -> Result<()> {
    let path = example(file);
    cluster
        .kubectl
        .ok(&["apply", "-f", &path.to_string_lossy()])?;
    Ok(())
}

fn start_keepalived(cluster: &Cluster, director: &str) -> Result<Running> {
    let text = fs::read_to_string(example(&format!("keepalived-{director}.conf")))?;
    keepalived::start(cluster, director, &text)
}
