//! Cables, and what a machine without power loses. One `ip -batch` runs all the time and takes commands line by line:
//! a process started in the middle of a measurement would disturb it.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// The running `ip`.
pub(crate) struct Wires {
    ip: Child,
    commands: ChildStdin,
}

impl Wires {
    pub(crate) fn open() -> Result<Self> {
        let mut ip = Command::new("ip")
            .args(["-force", "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start ip")?;
        let commands = ip.stdin.take().context("ip's input")?;
        Ok(Self { ip, commands })
    }

    /// Takes a host's cable out of the switch, or puts it back.
    pub(crate) fn set(&mut self, host: &str, connected: bool) -> Result<()> {
        let state = if connected { "up" } else { "down" };
        writeln!(self.commands, "link set {host} {state}").context("ip has ended")
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        drop(self.ip.kill());
        drop(self.ip.wait());
    }
}

/// Removes every address from a host's interface but its own: what a boot does.
pub(crate) fn forget_addresses(host: &str, own: &str) -> Result<()> {
    let run = |arguments: &[&str]| -> Result<()> {
        let status = Command::new("ip")
            .args(["-netns", host])
            .args(arguments)
            .status()?;
        anyhow::ensure!(status.success(), "ip {}: {status}", arguments.join(" "));
        Ok(())
    };
    run(&["address", "flush", "dev", "eth0"])?;
    run(&["address", "add", own, "dev", "eth0"])
}
