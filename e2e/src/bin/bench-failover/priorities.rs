//! Whom the kernel's one CPU serves first (`sched(7)`): the LAN, then the client, then the directors' VRRP, and then all
//! else. A LAN of cables and a client of its own do not wait for the CPU of a director; and the kernel looks a hundred
//! times a second only for an ordinary process that has waited longer, which is too seldom for intervals of 10 ms.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{Pid, gettid};

/// Real-time priority of VRRP on both sides.
pub(crate) const VRRP: u8 = 50;
/// Of the client.
const CLIENT: u8 = 55;
/// Of the kernel's thread for soft interrupts, which carries frames between the hosts.
const LAN: u8 = 60;

/// Has frames carried before anything else, and no real-time thread stopped for having used too much.
pub(crate) fn serve_lan_first() -> Result<()> {
    // This kernel charges the ten milliseconds between two of its ticks to whoever runs at the second one. With
    // intervals of 10 ms that is a real-time thread again and again, and after 950 ms of a second all of them have to
    // pause for 50 ms.
    fs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1").context("sched_rt_runtime_us")?;
    let found = Command::new("pgrep").args(["-x", "ksoftirqd/0"]).output()?;
    let thread = String::from_utf8(found.stdout)?;
    set(
        LAN,
        Pid::from_raw(thread.trim().parse().context("ksoftirqd/0")?),
    )
}

/// Makes the calling thread the client's, and none that it starts: its questions wait for nobody who computes. It must
/// not compute for long itself.
pub(crate) fn become_client() -> Result<()> {
    set(CLIENT, gettid())
}

fn set(priority: u8, thread: Pid) -> Result<()> {
    let status = Command::new("chrt")
        .args(["--reset-on-fork", "--fifo", "--pid"])
        .args([priority.to_string(), thread.to_string()])
        .status()
        .context("chrt")?;
    ensure!(status.success(), "chrt: {status}");
    Ok(())
}
