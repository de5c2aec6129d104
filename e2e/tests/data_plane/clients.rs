//! Requests from one client, or from many addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_lab::traffic::{Load, Traffic};

/// Addresses of client-1 beside its own: the last octet of the first, and how many.
const SOURCES: (u8, u8) = (200, 24);

/// Sends requests one after the other; returns how many each server answered.
pub(crate) fn ask(
    cluster: &Cluster,
    client: &str,
    target: &str,
    requests: u64,
) -> Result<BTreeMap<String, usize>> {
    count(cluster, client, load(target, requests)?)
}

/// Sends requests from an address; exactly one server may answer, whose name is returned.
pub(crate) fn ask_from(
    cluster: &Cluster,
    source: IpAddr,
    target: &str,
    requests: u64,
) -> Result<String> {
    let load = load(target, requests)?.source(source);
    let mut counts = count(cluster, "client-1", load)?;
    let (server, _) = counts.pop_first().context("nobody answered")?;
    ensure!(
        counts.is_empty(),
        "{source} at {target}: {server} answered, and {counts:?}"
    );
    Ok(server)
}

/// Gives client-1 addresses to send from, and returns them.
pub(crate) fn sources(cluster: &Cluster) -> Result<Vec<IpAddr>> {
    let client = cluster.lab.client("client-1")?;
    let (first, count) = SOURCES;
    (first..first + count)
        .map(|last| {
            let address = Ipv4Addr::new(192, 168, 159, last);
            let words = format!("ip address replace {address}/32 dev eth0");
            client
                .exec(&words.split(' ').collect::<Vec<_>>())?
                .ok()
                .map(|_| address.into())
        })
        .collect()
}

fn load(target: &str, requests: u64) -> Result<Traffic> {
    let target: SocketAddr = target.parse()?;
    let mut load = Traffic::http(target)
        .load(Load::Concurrency(1))
        .requests(requests);
    // Who answers matters here, not how fast.
    load.connect_timeout = Duration::from_secs(5);
    Ok(load)
}

fn count(cluster: &Cluster, client: &str, load: Traffic) -> Result<BTreeMap<String, usize>> {
    let report = cluster.lab.client(client)?.traffic(load)?.wait()?;
    ensure!(report.failed() == 0, "requests failed:\n{report}");
    let counts = report.per_server().into_iter();
    Ok(counts
        .map(|(server, count)| (server.to_owned(), count))
        .collect())
}
