//! VIPs with a MAC address of their own: what a client and a switch see of a failover.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::eventually::eventually;
use lvs_e2e::promises::{CARRIED_OUT, TAKEN_OVER};

use crate::stand_alone::{Rack, VIP, ask, has_vip, plan, run_on};

/// 00-00-5E-00-01-{VRID} (RFC 9568 section 7.3).
const MAC: &str = "00:00:5e:00:01:33";

pub(crate) fn stay(rack: &mut Rack) -> Result<()> {
    for host in ["lb-1", "lb-2"] {
        rack.write_plan(host, &with_virtual_mac(host))?;
    }
    eventually(
        "lb-1 has the VIP on a device of its own",
        TAKEN_OVER,
        || {
            ensure!(device_of_vip("lb-1")?.is_some(), "it has not");
            ensure!(!has_vip("lb-2")?, "lb-2 has the VIP, too");
            ask().map(drop)
        },
    )?;
    ensure!(has_mac()?, "the client has another MAC address of the VIP");
    ensure!(arp_ignore("lb-1")? == "1", "the interface answers ARP, too");
    ensure!(advertisements_come_from(MAC)?, "another source");

    // The agent alone: its parent starts another at once, and nothing of it is to be seen.
    let before = device_of_vip("lb-1")?;
    rack.kill_child("lb-1")?;
    for _ in 0..20 {
        ask()?;
    }
    eventually("the agent advertises again", CARRIED_OUT, || {
        ensure!(advertisements_come_from(MAC)?, "another source");
        Ok(())
    })?;
    ensure!(
        device_of_vip("lb-1")? == before && !has_vip("lb-2")?,
        "the VIP moved"
    );

    rack.kill_agent("lb-1")?;
    eventually("lb-2 has the VIP", TAKEN_OVER, || {
        ensure!(device_of_vip("lb-2")?.is_some(), "it has not");
        Ok(())
    })?;
    eventually("lb-1 has lost the VIP", Duration::from_secs(10), || {
        ensure!(!has_vip("lb-1")?, "it has it still");
        Ok(())
    })?;
    for _ in 0..10 {
        ask()?;
    }
    ensure!(has_mac()?, "the client has another MAC address of the VIP");
    ensure!(advertisements_come_from(MAC)?, "another source");

    rack.start_agent("lb-1")?;
    let mut failed = Vec::new();
    eventually("lb-1 has the VIP back", Duration::from_secs(30), || {
        failed.extend(ask().err());
        ensure!(
            device_of_vip("lb-1")?.is_some() && !has_vip("lb-2")?,
            "it has not"
        );
        Ok(())
    })?;
    failed.extend((0..10).filter_map(|_| ask().err()));
    ensure!(failed.is_empty(), "requests failed: {failed:?}");
    ensure!(has_mac()?, "the client has another MAC address of the VIP");

    // Without it all is as it was.
    for host in ["lb-1", "lb-2"] {
        rack.write_plan(host, &plan(host, 1))?;
    }
    eventually("the VIP is on the interface", TAKEN_OVER, || {
        let own = run_on("lb-1", &["ip", "-o", "address", "show", "dev", "eth0"])?;
        ensure!(own.contains(VIP), "it is not");
        ask().map(drop)
    })?;
    ensure!(!has_mac()?, "the client has the virtual MAC address still");
    eventually("nothing of it is left", CARRIED_OUT, || {
        for host in ["lb-1", "lb-2"] {
            let links = run_on(host, &["ip", "-o", "link"])?;
            ensure!(!links.contains("vrrp4-"), "{host}: {links}");
            let value = arp_ignore(host)?;
            ensure!(value == "0", "{host}: arp_ignore is {value}");
        }
        Ok(())
    })
    .map(drop)
}

fn with_virtual_mac(host: &str) -> String {
    plan(host, 1).replace("vrrp: {", "vrrp: {virtualMAC: Macvlan, ")
}

/// The device with the virtual MAC address, if it has the VIP, by its index and name.
fn device_of_vip(host: &str) -> Result<Option<String>> {
    let addresses = run_on(host, &["ip", "-o", "address", "show", "to", VIP])?;
    let mut words = addresses.split_whitespace();
    let (Some(index), Some(name)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let link = run_on(host, &["ip", "-o", "link", "show", "dev", name])?;
    Ok(link.contains(MAC).then(|| format!("{index} {name}")))
}

/// Whether the client sends what is for the VIP to the virtual MAC address.
fn has_mac() -> Result<bool> {
    let neighbours = run_on("client", &["ip", "neighbour", "show", VIP])?;
    Ok(neighbours.contains(MAC))
}

fn arp_ignore(host: &str) -> Result<String> {
    let value = run_on(host, &["sysctl", "-n", "net.ipv4.conf.eth0.arp_ignore"])?;
    Ok(value.trim().to_owned())
}

/// Whether the next advertisement that reaches the client comes from `mac`.
fn advertisements_come_from(mac: &str) -> Result<bool> {
    let words = "timeout 5 tcpdump -ennqt -c1 -i eth0 proto 112";
    let words: Vec<&str> = words.split(' ').collect();
    let seen = run_on("client", &words)?;
    let source = seen.split_whitespace().next().context("no advertisement")?;
    Ok(source == mac)
}
