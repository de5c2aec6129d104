//! A host that is no router of the segment has the VIP, too.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use lvs_e2e::eventually::eventually;
use lvs_e2e::metrics;

use crate::stand_alone::{Rack, VIP, ask, on, run_on};

/// Its silence is noticed after ten seconds.
const FORGOTTEN: Duration = Duration::from_secs(30);

pub(crate) fn is_told_of(_: &mut Rack) -> Result<()> {
    ensure!(conflicts()? == Some(0.0), "a conflict with nobody");
    let vip = format!("{VIP}/32");
    let own = run_on("lb-1", &["cat", "/sys/class/net/eth0/address"])?;
    let filter = format!("arp src host {VIP} and ether src {}", own.trim());
    let announced = on(
        "client",
        &["timeout", "20", "tcpdump", "-nc1", "-i", "eth0", &filter],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()?;

    run_on("web-2", &["ip", "address", "add", &vip, "dev", "eth0"])?;
    // Its question who has another address says that it has the VIP. Nobody has to answer.
    drop(run_on(
        "web-2",
        &["ping", "-c1", "-W1", "-I", VIP, "192.168.1.77"],
    ));
    eventually("the conflict is told of", Duration::from_secs(20), || {
        ensure!(conflicts()? == Some(1.0), "{:?} conflicts", conflicts()?);
        Ok(())
    })?;
    let announced = announced.wait_with_output()?;
    ensure!(
        !announced.stdout.is_empty(),
        "the VIP was not announced against the claim"
    );
    ask()?;

    run_on("web-2", &["ip", "address", "del", &vip, "dev", "eth0"])?;
    eventually("the conflict is over", FORGOTTEN, || {
        ensure!(conflicts()? == Some(0.0), "it is not");
        Ok(())
    })
    .map(drop)
}

/// Figure of the metric on lb-1.
fn conflicts() -> Result<Option<f64>> {
    let text = run_on("lb-1", &["curl", "-sf", "http://127.0.0.1:9809/metrics"])?;
    let samples = metrics::parse(&text)?;
    Ok(metrics::value(
        &samples,
        "lvs_agent_vrrp_address_conflicts",
        &[],
    ))
}
