//! Programs of a director's own that decide whether it may be Active, and a route that moves along.

use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::cluster::Cluster;
use lvs_e2e::eventually::eventually;
use lvs_e2e::gap::gap;
use lvs_e2e::promises::{CARRIED_OUT, HANDED_OVER};
use lvs_lab::Running;
use serde_json::json;

use super::{DIRECTORS, HOOKS, VIP, roles, traffic};

/// A process, as `ps -o comm` shows it, and its program.
const PROCESS: &str = "e2e-proxy";
const PROGRAM: &str = "/run/e2e-proxy";

/// A hook, and the file without which it fails.
const HOOK: &str = "fit";
const FIT: &str = "/run/fit";

/// A network behind a real server.
const BEHIND: &str = "10.66.0.0/16";
const GATEWAY: &str = "192.168.6.31";
/// `ip route` shows the routes of instances by their protocol number.
const ROUTES: [&str; 5] = ["ip", "route", "show", "proto", "118"];

pub(crate) fn take_it_out(cluster: &Cluster) -> Result<()> {
    let mut processes = Vec::new();
    for (director, _) in DIRECTORS {
        install(cluster, director)?;
        processes.push(start(cluster, director)?);
    }
    let edit = json!({"spec": {
        "instances": [{"name": "default", "routes": [{"destination": BEHIND, "gateway": GATEWAY}]}],
        "vrrp": {"track": [
            {"name": "proxy", "process": {"name": PROCESS}, "rise": 1, "fall": 1},
            {"name": "site", "hook": {"name": HOOK, "intervalSeconds": 1}, "rise": 1, "fall": 1},
        ]},
    }});
    cluster.kubectl.patch("directorpair", "edge", &edit)?;
    let ((first, _), (second, _)) = roles(cluster)?;
    has_route(cluster, first, second)?;
    let traffic = traffic(cluster)?;

    cluster.on(first, &["pkill", "-x", PROCESS])?;
    let moved = cluster.wait_holder(second, VIP, HANDED_OVER + Duration::from_secs(1))?;
    println!("a process ended: handed over after {moved:?}");
    has_route(cluster, second, first)?;
    says(cluster, &format!("process {PROCESS} does not run"))?;
    processes.push(start(cluster, first)?);
    eventually("all is well again", Duration::from_secs(30), || {
        healthy(cluster, "True", "")
    })?;
    cluster.stays(second, &[VIP], Duration::from_secs(2))?;

    cluster.on(second, &["rm", FIT])?;
    let moved = cluster.wait_holder(first, VIP, HANDED_OVER + Duration::from_secs(5))?;
    println!("a hook failed: handed over after {moved:?}");
    has_route(cluster, first, second)?;
    says(cluster, "not fit today")?;
    let lost = gap(&traffic.stop()?)?;
    println!("two moves: longest gap {} ms", lost.as_millis());
    ensure!(lost <= HANDED_OVER, "a gap of {lost:?}");
    Ok(())
}

/// The hook of a director, which is content with it.
fn install(cluster: &Cluster, director: &str) -> Result<()> {
    let path = format!("{HOOKS}/{HOOK}");
    let script = format!(
        "mkdir -p {HOOKS} && touch {FIT} && ln -sf /bin/sleep {PROGRAM} && cat >{path} <<'END' && chmod 755 {path}\n\
         #!/bin/sh\n\
         [ -e {FIT} ] || {{ echo not fit today >&2; exit 1; }}\n\
         END"
    );
    cluster.on(director, &["sh", "-c", &script]).map(drop)
}

/// The process, which ends with what is returned.
fn start(cluster: &Cluster, director: &str) -> Result<Running> {
    cluster.node(director)?.spawn(&[PROGRAM, "600"])
}

/// The route is where the VIP is, and nowhere else.
fn has_route(cluster: &Cluster, director: &str, other: &str) -> Result<()> {
    let what = format!("the route to {BEHIND} is on {director} alone");
    eventually(&what, CARRIED_OUT, || {
        let (here, there) = (cluster.on(director, &ROUTES)?, cluster.on(other, &ROUTES)?);
        let expected = format!("{BEHIND} via {GATEWAY} ");
        ensure!(here.starts_with(&expected), "{director}: {here:?}");
        ensure!(there.is_empty(), "{other}: {there:?}");
        Ok(())
    })
    .map(drop)
}

fn says(cluster: &Cluster, why: &str) -> Result<()> {
    let what = format!("the pair says {why:?}");
    eventually(&what, Duration::from_secs(30), || {
        healthy(cluster, "False", why)
    })
    .map(drop)
}

fn healthy(cluster: &Cluster, status: &str, why: &str) -> Result<()> {
    let pair = ["directorpair", "edge"];
    let condition = cluster.kubectl.condition(&pair, "VRRPHealthy")?;
    ensure!(
        condition.status == status && condition.message.contains(why),
        "{condition:?}"
    );
    Ok(())
}
