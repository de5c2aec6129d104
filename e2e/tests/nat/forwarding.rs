//! Forwarding is on while a service needs it, and what it was before otherwise.

use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::{Cluster, NAMESPACE};
use lvs_e2e::eventually::eventually;

use super::{GATEWAY, OTHER, PREFERRED, VIP};

pub(crate) fn on_and_back(cluster: &Cluster) -> Result<()> {
    for director in [PREFERRED, OTHER] {
        wait_forwarding(cluster, director, "1")?;
    }
    // A pod network switches forwarding on for itself: the operator's pods move to other nodes.
    for director in [PREFERRED, OTHER] {
        cluster.kubectl.ok(&["cordon", director])?;
        let here = format!("--field-selector=spec.nodeName={director}");
        let operator = "app.kubernetes.io/component=operator";
        cluster
            .kubectl
            .ok(&["delete", "pods", "-n", NAMESPACE, "-l", operator, &here])?;
    }
    let moved = cluster.kubectl.ok(&[
        "rollout",
        "status",
        "deployment",
        "-n",
        NAMESPACE,
        "--timeout=60s",
    ]);
    let shown = moved.and_then(|_| from_off_to_on_and_back(cluster));
    for director in [PREFERRED, OTHER] {
        cluster.kubectl.ok(&["uncordon", director])?;
    }
    shown
}

fn from_off_to_on_and_back(cluster: &Cluster) -> Result<()> {
    cluster.delete_example()?;
    for director in [PREFERRED, OTHER] {
        for address in [VIP, GATEWAY] {
            eventually("no address of ours", Duration::from_secs(30), || {
                ensure!(
                    !cluster.has_address(director, address)?,
                    "{director} has {address}"
                );
                Ok(())
            })?;
        }
        set_forwarding(cluster, director, "0")?;
    }
    cluster.apply_example()?;
    for director in [PREFERRED, OTHER] {
        wait_forwarding(cluster, director, "1")?;
    }
    cluster.delete_example()?;
    for director in [PREFERRED, OTHER] {
        wait_forwarding(cluster, director, "0")?;
    }
    Ok(())
}

fn set_forwarding(cluster: &Cluster, node: &str, value: &str) -> Result<()> {
    let line = format!("echo {value} > /proc/sys/net/ipv4/ip_forward");
    cluster.on(node, &["sh", "-c", &line]).map(drop)
}

fn wait_forwarding(cluster: &Cluster, node: &str, wanted: &str) -> Result<()> {
    let what = format!("ip_forward of {node} is {wanted}");
    eventually(&what, Duration::from_secs(30), || {
        let value = cluster.on(node, &["cat", "/proc/sys/net/ipv4/ip_forward"])?;
        ensure!(value.trim() == wanted, "it is {}", value.trim());
        Ok(())
    })?;
    Ok(())
}
