//! All schedulers: taken by a live service, and what they promise.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::connections;
use lvs_e2e::eventually::eventually;
use serde_json::{Value, json};

use super::clients::{ask, ask_from, sources};
use super::{ECHO, ECHO_TARGET, PLAIN, PLAIN_VIP, PREFERRED, SERVERS};

/// The schedulers of the lab's kernel, each with what `ipvsadm` shows of its flags.
const SCHEDULERS: [(&str, &[&str], &str); 16] = [
    ("wrr", &[], "wrr"),
    ("lc", &[], "lc"),
    ("wlc", &[], "wlc"),
    ("lblc", &[], "lblc"),
    ("lblcr", &[], "lblcr"),
    ("dh", &[], "dh"),
    ("sh", &[], "sh"),
    ("sh", &["SHFallback"], "sh (sh-fallback)"),
    ("sh", &["SHFallback", "SHPort"], "sh (sh-fallback,sh-port)"),
    ("sed", &[], "sed"),
    ("nq", &[], "nq"),
    ("fo", &[], "fo"),
    ("ovf", &[], "ovf"),
    ("mh", &[], "mh"),
    ("mh", &["MHFallback", "MHPort"], "mh (mh-fallback,mh-port)"),
    ("rr", &[], "rr"),
];

/// Connections that are open through all of it.
const OPEN: usize = 100;

pub(crate) fn every_one(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let open = connections::open(cluster, "client-2", ECHO_TARGET, OPEN)?;
    for (name, flags, shown) in SCHEDULERS {
        for service in ["plain", "echo"] {
            select(cluster, service, name, flags)?;
        }
        wait_shown(cluster, shown)?;
        let answered: usize = ask(cluster, "client-1", &target(), 20)?.values().sum();
        ensure!(answered == 20, "{shown}: {answered} of 20 were answered");
    }
    let wait = connections::close_whole(open)?;
    println!("{OPEN} connections stayed open, longest wait {wait:?}");
    Ok(())
}

pub(crate) fn distribution(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let sources = sources(cluster)?;

    use_scheduler(cluster, "rr", [1, 3])?;
    split(cluster, "rr", [50, 50])?;
    use_scheduler(cluster, "wrr", [1, 3])?;
    split(cluster, "wrr", [25, 75])?;
    use_scheduler(cluster, "wrr", [1, 1])?;
    split(cluster, "wrr", [50, 50])?;

    // Everything to the highest weight; if it has none any more, to the next.
    use_scheduler(cluster, "fo", [1, 3])?;
    split(cluster, "fo", [0, 100])?;
    use_scheduler(cluster, "fo", [1, 0])?;
    split(cluster, "fo", [100, 0])?;

    // The client decides, and weights say how many clients a server gets.
    for scheduler in ["sh", "mh"] {
        use_scheduler(cluster, scheduler, [1, 1])?;
        let even = by_source(cluster, scheduler, &sources)?;
        ensure!(
            by_source(cluster, scheduler, &sources)? == even,
            "{scheduler}: a client met another server without a reason"
        );
        let [first, second] = shares(&even);
        ensure!(
            first.abs_diff(second) * 2 <= sources.len(),
            "{scheduler} with equal weights: {first} and {second} clients"
        );
        use_scheduler(cluster, scheduler, [1, 7])?;
        let [light, heavy] = shares(&by_source(cluster, scheduler, &sources)?);
        println!("{scheduler}: {first}:{second} clients at 1:1, {light}:{heavy} at 1:7");
        ensure!(
            heavy > second && heavy > 2 * light,
            "{scheduler} with weights 1:7: {light} and {heavy} clients"
        );
    }
    Ok(())
}

pub(crate) fn unsupported(cluster: &Cluster) -> Result<()> {
    let modules = cluster.on(
        PREFERRED,
        &["sh", "-c", "ls /lib/modules/*/kernel/net/netfilter/ipvs"],
    )?;
    ensure!(
        !modules.contains("ip_vs_twos"),
        "this kernel has it; the step needs one that lacks a scheduler"
    );
    select(cluster, "plain", "twos", &[])?;
    eventually(
        "a condition names the module",
        Duration::from_secs(10),
        || {
            let service = cluster.kubectl.json(&["get", "virtualservice", "plain"])?;
            let conditions = service["status"]["conditions"].as_array();
            let condition = conditions
                .into_iter()
                .flatten()
                .find(|condition| condition["reason"] == "UnsupportedByKernel")
                .with_context(|| format!("no such reason in {}", service["status"]))?;
            let message = condition["message"].as_str().unwrap_or_default();
            for word in ["ip_vs_twos", "lb-1"] {
                ensure!(message.contains(word), "no {word} in {message:?}");
            }
            ensure!(condition["status"] == "False", "{condition}");
            Ok(())
        },
    )?;
    // The rest goes on, this service too.
    let answered: usize = ask(cluster, "client-1", &target(), 20)?.values().sum();
    ensure!(answered == 20, "{answered} of 20 were answered");
    for other in ["echo", "shop"] {
        let condition = cluster
            .kubectl
            .condition(&["virtualservice", other], "Ready")?;
        ensure!(condition.status == "True", "{other}: {condition:?}");
    }
    select(cluster, "plain", "rr", &[])?;
    cluster.wait_ready(15)
}

fn target() -> String {
    format!("{PLAIN_VIP}:80")
}

fn select(cluster: &Cluster, service: &str, name: &str, flags: &[&str]) -> Result<()> {
    let flags = if flags.is_empty() {
        Value::Null
    } else {
        json!(flags)
    };
    let scheduler = json!({"spec": {"scheduler": {"name": name, "flags": flags}}});
    cluster.kubectl.patch("virtualservice", service, &scheduler)
}

fn wait_shown(cluster: &Cluster, shown: &str) -> Result<()> {
    cluster.wait_tables(shown, Duration::from_secs(20), |table| {
        for service in [PLAIN, ECHO] {
            let found = table.get(service).context("the service is gone")?;
            ensure!(found.options == shown, "{service}: {}", found.options);
        }
        Ok(())
    })
}

/// Gives the page's service a scheduler and its servers weights.
fn use_scheduler(cluster: &Cluster, name: &str, weights: [u32; 2]) -> Result<()> {
    select(cluster, "plain", name, &[])?;
    for ((node, _), weight) in SERVERS.iter().zip(weights) {
        let patch = json!({"spec": {"weight": weight}});
        cluster.kubectl.patch("realserver", node, &patch)?;
    }
    let what = format!("{name} with {weights:?}");
    cluster.wait_tables(&what, Duration::from_secs(20), |table| {
        let service = table.get(PLAIN).context("the service is gone")?;
        ensure!(service.options == name, "{service:?}");
        for ((_, address), weight) in SERVERS.iter().zip(weights) {
            let server = service.servers.get(&format!("{address}:80"));
            ensure!(
                server.is_some_and(|server| server.weight == weight),
                "{server:?}"
            );
        }
        Ok(())
    })
}

/// A hundred requests of one client split like this, give or take one.
fn split(cluster: &Cluster, what: &str, wanted: [usize; 2]) -> Result<()> {
    let counts = ask(cluster, "client-1", &target(), 100)?;
    for ((node, _), wanted) in SERVERS.iter().zip(wanted) {
        let count = counts.get(*node).copied().unwrap_or_default();
        let allowed = usize::from(wanted % 100 != 0);
        ensure!(
            count.abs_diff(wanted) <= allowed,
            "{what}: {node} answered {count}, {wanted} are wanted: {counts:?}"
        );
    }
    println!("{what}: {counts:?}");
    Ok(())
}

/// The one server of each client.
fn by_source(
    cluster: &Cluster,
    what: &str,
    sources: &[IpAddr],
) -> Result<BTreeMap<IpAddr, String>> {
    sources
        .iter()
        .map(|&source| {
            let server = ask_from(cluster, source, &target(), 3);
            Ok((source, server.with_context(|| what.to_owned())?))
        })
        .collect()
}

/// How many clients each server has.
fn shares(clients: &BTreeMap<IpAddr, String>) -> [usize; 2] {
    SERVERS.map(|(node, _)| clients.values().filter(|server| *server == node).count())
}
