//! SCTP, from a node, since the clients share the machine's kernel, which may lack it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_lab::serve::Protocol;

use super::{PLAIN_VIP, PREFERRED, SERVERS};

pub(crate) fn reach(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let target: SocketAddr = format!("{PLAIN_VIP}:9").parse()?;
    let servers: Vec<_> = SERVERS
        .iter()
        .map(|(node, _)| cluster.node(node)?.serve_at(Protocol::Sctp, &[target]))
        .collect::<Result<_>>()?;
    let answers = cluster.node("spare-1")?.ask(Protocol::Sctp, target, 40)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in &answers {
        *counts.entry(answer).or_default() += 1;
    }
    let wanted = SERVERS.map(|(node, _)| (node, 20));
    ensure!(counts == BTreeMap::from(wanted), "the split is {counts:?}");
    servers
        .into_iter()
        .try_for_each(|server| server.stop().map(drop))
}
