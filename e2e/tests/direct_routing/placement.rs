//! Where agents run.

use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;

const WITH_A_ROLE: [&str; 4] = ["lb-1", "lb-2", "web-1", "web-2"];

pub(crate) fn exactly_the_nodes_with_a_role(cluster: &Cluster) -> Result<()> {
    for node in WITH_A_ROLE {
        cluster.agent(node)?;
    }
    ensure!(
        cluster.agent("spare-1").is_err(),
        "spare-1 has no role but an agent"
    );
    Ok(())
}

pub(crate) fn gains_a_role(cluster: &Cluster) -> Result<()> {
    let before = WITH_A_ROLE.map(|node| cluster.agent(node).ok());
    cluster
        .kubectl
        .apply(
            "apiVersion: lvs-operator.dev/v1alpha1\n\
             kind: RealServer\n\
             metadata: {name: spare, namespace: default, labels: {app: web}}\n\
             spec: {nodeName: spare-1}\n",
        )?
        .ok()?;
    cluster
        .kubectl
        .wait("condition=LoopbackConfigured", &["realserver", "spare"], 60)?;
    cluster.agent("spare-1")?;
    ensure!(
        cluster.has_address("spare-1", super::VIP)?,
        "spare-1 has no VIP on its loopback"
    );
    ensure!(
        WITH_A_ROLE.map(|node| cluster.agent(node).ok()) == before,
        "another agent was restarted or replaced"
    );
    cluster.kubectl.ok(&["delete", "realserver", "spare"])?;
    eventually(
        "spare-1 without agent and VIP",
        Duration::from_secs(60),
        || {
            ensure!(
                !cluster.has_address("spare-1", super::VIP)?,
                "the VIP is still there"
            );
            ensure!(
                cluster.agent("spare-1").is_err(),
                "the agent is still there"
            );
            Ok(())
        },
    )?;
    ensure!(
        WITH_A_ROLE.map(|node| cluster.agent(node).ok()) == before,
        "another agent was restarted or replaced"
    );
    Ok(())
}
