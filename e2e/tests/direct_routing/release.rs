//! What is left when the objects are gone: nothing of ours, everything of others.

use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::{Cluster, NAMESPACE};
use lvs_e2e::eventually::eventually;

use super::{OTHER, PREFERRED, SERVICE, VIP};

const FOREIGN_SERVICE: &str = "TCP 192.168.1.240:443";
const FOREIGN_VIP: &str = "192.168.1.241";
const FOREIGN_LOOPBACK: &str = "192.168.1.242";

/// A service and addresses that somebody else made by hand; fine when they are there already.
pub(crate) fn add_foreign_things(cluster: &Cluster) -> Result<()> {
    if !cluster.table(PREFERRED)?.contains_key(FOREIGN_SERVICE) {
        cluster.on(
            PREFERRED,
            &["ipvsadm", "-A", "-t", "192.168.1.240:443", "-s", "rr"],
        )?;
        let server = [
            "ipvsadm",
            "-a",
            "-t",
            "192.168.1.240:443",
            "-r",
            "192.168.1.131:443",
            "-g",
            "-w",
            "7",
        ];
        cluster.on(PREFERRED, &server)?;
    }
    let interface = super::drift::interface_of(cluster, PREFERRED, "192.168.1.129")?;
    cluster.on(
        PREFERRED,
        &[
            "ip",
            "address",
            "replace",
            &format!("{FOREIGN_VIP}/32"),
            "dev",
            &interface,
        ],
    )?;
    cluster.on(
        "web-1",
        &[
            "ip",
            "address",
            "replace",
            &format!("{FOREIGN_LOOPBACK}/32"),
            "dev",
            "lo",
        ],
    )?;
    Ok(())
}

/// They are all there.
pub(crate) fn foreign_things_are_there(cluster: &Cluster) -> Result<()> {
    let table = cluster.table(PREFERRED)?;
    ensure!(
        lvs_e2e::ipvs::weight(&table, FOREIGN_SERVICE, "192.168.1.131:443") == Some(7),
        "the foreign virtual service was touched: {table:?}"
    );
    ensure!(
        cluster.has_address(PREFERRED, FOREIGN_VIP)?,
        "the foreign address on {PREFERRED} is gone"
    );
    ensure!(
        cluster.has_address("web-1", FOREIGN_LOOPBACK)?,
        "the foreign address on web-1's lo is gone"
    );
    Ok(())
}

pub(crate) fn leaves_nothing(cluster: &Cluster) -> Result<()> {
    add_foreign_things(cluster)?;
    cluster
        .kubectl
        .ok(&["delete", "virtualservices,realservers", "-A", "--all"])?;
    eventually(
        "nothing of the service on any node",
        Duration::from_secs(30),
        || {
            for node in ["lb-1", "lb-2", "web-1", "web-2"] {
                ensure!(!cluster.has_address(node, VIP)?, "{node} has the VIP");
            }
            for node in [PREFERRED, OTHER] {
                ensure!(
                    !cluster.table(node)?.contains_key(SERVICE),
                    "{node} has the virtual service"
                );
            }
            for node in ["web-1", "web-2"] {
                arp_as_before(cluster, node)?;
            }
            Ok(())
        },
    )?;
    cluster.kubectl.ok(&["delete", "directorpairs", "--all"])?;
    cluster
        .kubectl
        .wait("delete", &["nodeplans", "--all"], 60)?;
    eventually(
        "no agent, no sync daemon, no label",
        Duration::from_secs(60),
        || {
            for node in ["lb-1", "lb-2", "web-1", "web-2"] {
                ensure!(cluster.agent(node).is_err(), "{node} has an agent");
            }
            for node in [PREFERRED, OTHER] {
                let daemons = cluster.on(node, &["ipvsadm", "-L", "--daemon"])?;
                ensure!(daemons.trim().is_empty(), "{node}: {daemons}");
            }
            let labels = cluster.kubectl.ok(&[
                "get",
                "nodes",
                "-o",
                "jsonpath={.items[*].metadata.labels}",
            ])?;
            ensure!(
                !labels.contains("lvs-operator.dev"),
                "labels of nodes: {labels}"
            );
            Ok(())
        },
    )?;
    foreign_things_are_there(cluster)?;
    uninstalled(cluster)?;
    foreign_things_are_there(cluster)?;
    take_foreign_things_away(cluster)
}

/// `helm uninstall` leaves the CRDs and nothing else.
fn uninstalled(cluster: &Cluster) -> Result<()> {
    cluster
        .kubectl
        .helm(&["uninstall", "lvs", "--namespace", NAMESPACE, "--wait"])?;
    eventually("nothing of the release", Duration::from_secs(60), || {
        let left = cluster.kubectl.ok(&[
            "get",
            "deployments,daemonsets,pods,serviceaccounts,roles,rolebindings,leases,poddisruptionbudgets",
            "-n",
            NAMESPACE,
            "-o",
            "name",
        ])?;
        let left: Vec<_> = left
            .lines()
            .filter(|line| *line != "serviceaccount/default")
            .collect();
        ensure!(left.is_empty(), "left in the namespace: {left:?}");
        let left = cluster.kubectl.ok(&[
            "get",
            "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings",
            "-o",
            "name",
        ])?;
        let left: Vec<_> = left.lines().filter(|line| line.contains("/lvs-")).collect();
        ensure!(left.is_empty(), "left in the cluster: {left:?}");
        Ok(())
    })?;
    let crds = cluster.kubectl.ok(&["get", "crds", "-o", "name"])?;
    ensure!(
        crds.lines()
            .filter(|name| name.ends_with(".lvs-operator.dev"))
            .count()
            == 5,
        "CRDs: {crds}"
    );
    cluster.install()
}

/// Both settings are what the kernel starts with.
fn arp_as_before(cluster: &Cluster, node: &str) -> Result<()> {
    for setting in ["arp_ignore", "arp_announce"] {
        let values = cluster.on(
            node,
            &[
                "sh",
                "-c",
                &format!("cat /proc/sys/net/ipv4/conf/*/{setting}"),
            ],
        )?;
        ensure!(
            values.lines().all(|value| value.trim() == "0"),
            "{node}: {setting} is {values:?}"
        );
    }
    Ok(())
}

fn take_foreign_things_away(cluster: &Cluster) -> Result<()> {
    let interface = super::drift::interface_of(cluster, PREFERRED, "192.168.1.129")?;
    cluster.on(PREFERRED, &["ipvsadm", "-D", "-t", "192.168.1.240:443"])?;
    cluster.on(
        PREFERRED,
        &[
            "ip",
            "address",
            "del",
            &format!("{FOREIGN_VIP}/32"),
            "dev",
            &interface,
        ],
    )?;
    cluster.on(
        "web-1",
        &[
            "ip",
            "address",
            "del",
            &format!("{FOREIGN_LOOPBACK}/32"),
            "dev",
            "lo",
        ],
    )?;
    Ok(())
}
