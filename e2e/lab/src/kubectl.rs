//! The few questions that the lab itself has for the cluster.

use std::time::Duration;

use anyhow::Result;

use crate::command::run;
use crate::lab::Lab;
use crate::poll::{READY_LIMIT, poll};

/// What the API says of a node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NodeStatus {
    pub(crate) ready: bool,
    /// The kernel's `boot_id` as the kubelet last reported it.
    pub(crate) boot_id: String,
}

/// A node's status; an error when the API does not answer or does not know the node.
pub(crate) fn node_status(kubectl: &str, kubeconfig: &str, name: &str) -> Result<NodeStatus> {
    const TEMPLATE: &str =
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].status} {.status.nodeInfo.bootID}";
    let text = run(
        kubectl,
        &[
            "--kubeconfig",
            kubeconfig,
            "get",
            "node",
            name,
            "-o",
            TEMPLATE,
        ],
    )?;
    let (ready, boot_id) = text.split_once(' ').unwrap_or_default();
    Ok(NodeStatus {
        ready: ready == "True",
        boot_id: boot_id.trim().to_owned(),
    })
}

/// Pods can be made from then on.
pub(crate) fn wait_default_service_account(lab: &Lab) -> Result<()> {
    poll(
        READY_LIMIT,
        Duration::from_millis(300),
        "the default ServiceAccount",
        || {
            Ok(lab
                .kubectl(&["get", "serviceaccount", "default"])?
                .success())
        },
    )
}
