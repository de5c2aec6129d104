//! Somebody else's hands on the nodes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::promises::CARRIED_OUT;

use super::{PREFERRED, SERVICE, VIP};

pub(crate) fn repaired(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, VIP, Duration::from_secs(30))?;
    table_cleared(cluster)?;
    vip_deleted(cluster)?;
    loopback_vip_deleted(cluster)?;
    arp_ignore_changed(cluster)?;
    foreign_things_stay(cluster)
}

fn table_cleared(cluster: &Cluster) -> Result<()> {
    let before = cluster.table(PREFERRED)?;
    let servers = |table: &lvs_e2e::ipvs::Table| {
        table.get(SERVICE).map(|service| {
            service
                .servers
                .iter()
                .map(|(key, server)| (key.clone(), server.weight))
                .collect::<Vec<_>>()
        })
    };
    cluster.on(PREFERRED, &["ipvsadm", "-C"])?;
    eventually("the cleared table is whole again", CARRIED_OUT, || {
        let now = cluster.table(PREFERRED)?;
        ensure!(servers(&now) == servers(&before), "it is {now:?}");
        Ok(())
    })?;
    event(cluster, "192.168.1.222:80")
}

fn vip_deleted(cluster: &Cluster) -> Result<()> {
    let interface = interface_of(cluster, PREFERRED, "192.168.1.129")?;
    cluster.on(
        PREFERRED,
        &[
            "ip",
            "address",
            "del",
            &format!("{VIP}/32"),
            "dev",
            &interface,
        ],
    )?;
    eventually("the deleted VIP is back", CARRIED_OUT, || {
        ensure!(cluster.has_address(PREFERRED, VIP)?, "it is not");
        Ok(())
    })?;
    event(cluster, VIP)
}

fn loopback_vip_deleted(cluster: &Cluster) -> Result<()> {
    cluster.on(
        "web-1",
        &["ip", "address", "del", &format!("{VIP}/32"), "dev", "lo"],
    )?;
    eventually("the deleted loopback VIP is back", CARRIED_OUT, || {
        ensure!(cluster.has_address("web-1", VIP)?, "it is not");
        Ok(())
    })?;
    event(cluster, "dev lo")
}

fn arp_ignore_changed(cluster: &Cluster) -> Result<()> {
    let interface = interface_of(cluster, "web-1", "192.168.1.130")?;
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/arp_ignore");
    ensure!(
        cluster.on("web-1", &["cat", &path])?.trim() == "1",
        "{path} is not 1 to begin with"
    );
    cluster.on("web-1", &["sh", "-c", &format!("echo 0 > {path}")])?;
    eventually("arp_ignore is 1 again", CARRIED_OUT, || {
        let value = cluster.on("web-1", &["cat", &path])?;
        ensure!(value.trim() == "1", "it is {value}");
        Ok(())
    })?;
    event(cluster, "arp_ignore")
}

/// What others put beside ours stays, also over changes of ours.
fn foreign_things_stay(cluster: &Cluster) -> Result<()> {
    super::release::add_foreign_things(cluster)?;
    cluster.on(PREFERRED, &["ipvsadm", "-D", "-t", "192.168.1.222:80"])?;
    eventually("the deleted service is back", CARRIED_OUT, || {
        ensure!(cluster.table(PREFERRED)?.contains_key(SERVICE), "it is not");
        Ok(())
    })?;
    super::release::foreign_things_are_there(cluster)
}

/// An Event of the last minutes that says what drifted.
fn event(cluster: &Cluster, what: &str) -> Result<()> {
    eventually(
        "an Event that names what drifted",
        Duration::from_secs(10),
        || {
            let events = cluster
                .kubectl
                .json(&["get", "events.events.k8s.io", "-A"])?;
            events["items"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|event| {
                    event["reason"]
                        .as_str()
                        .is_some_and(|reason| reason.contains("Drift"))
                        && event["note"]
                            .as_str()
                            .is_some_and(|note| note.contains(what))
                })
                .map(|_| ())
                .with_context(|| format!("no Drift event names {what:?}"))
        },
    )?;
    Ok(())
}

/// Name of the interface that has the address.
pub(crate) fn interface_of(cluster: &Cluster, node: &str, address: &str) -> Result<String> {
    let listing = cluster.on(node, &["ip", "-o", "-4", "address", "show"])?;
    listing
        .lines()
        .find(|line| line.contains(&format!(" {address}/")))
        .and_then(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .with_context(|| format!("{node} has no {address}"))
}
