//! UDP: small datagrams, full ones and such as come in fragments.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_lab::serve::Protocol;
use lvs_lab::traffic::{Load, Traffic};
use serde_json::json;

use super::{PLAIN_VIP, PREFERRED, SERVERS};

const SERVICE: &str = "UDP 192.168.159.112:53";

pub(crate) fn reach(cluster: &Cluster) -> Result<()> {
    cluster.wait_holder(PREFERRED, PLAIN_VIP, Duration::from_secs(30))?;
    let target: SocketAddr = format!("{PLAIN_VIP}:53").parse()?;
    let servers: Vec<_> = SERVERS
        .iter()
        .map(|(node, address)| {
            let own: SocketAddr = format!("{address}:53").parse()?;
            cluster.node(node)?.serve_at(Protocol::Udp, &[target, own])
        })
        .collect::<Result<_>>()?;
    for one_packet in [false, true] {
        let scheduler = json!({"spec": {"scheduler": {"onePacket": one_packet}}});
        cluster
            .kubectl
            .patch("virtualservice", "datagrams", &scheduler)?;
        let wanted = if one_packet { "rr ops" } else { "rr" };
        cluster.wait_tables(wanted, Duration::from_secs(20), |table| {
            let service = table.get(SERVICE).context("the service is gone")?;
            ensure!(service.options == wanted, "{service:?}");
            Ok(())
        })?;
        for (what, octets) in [("small", 0), ("full", 1400), ("fragmented", 8000)] {
            let mut load = Traffic::http(target)
                .protocol(Protocol::Udp)
                .load(Load::Concurrency(4))
                .requests(200)
                .sizes(octets, octets);
            // Fragments are work for a small machine: an answer may be late, but must come.
            load.answer_timeout = Duration::from_secs(5);
            let report = cluster.lab.client("client-1")?.traffic(load)?.wait()?;
            ensure!(report.failed() == 0, "{what}: requests failed:\n{report}");
            let counts = report.per_server();
            ensure!(
                counts.len() == 2 && counts.values().all(|count| count.abs_diff(100) <= 2),
                "{what}, one packet {one_packet}: the split is {counts:?}"
            );
        }
    }
    servers
        .into_iter()
        .try_for_each(|server| server.stop().map(drop))
}
