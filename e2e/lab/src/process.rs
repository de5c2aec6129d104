//! Processes of the machine, held by a descriptor so that a reused number is never mistaken for them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// How long a killed process may take to end; a kernel with a gigabyte of memory takes a moment.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A descriptor of the process that has the number now.
pub(crate) fn open(pid: u32) -> Result<OwnedFd> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .context("0 is no process")?;
    pidfd_open(pid, PidfdFlags::empty())
        .with_context(|| format!("no process {}", pid.as_raw_nonzero()))
}

/// Waits until the process has ended; false when the deadline came first.
pub(crate) fn ended_before(process: impl AsFd, deadline: Instant) -> Result<bool> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let rest = Timespec {
            tv_sec: rest.as_secs().try_into()?,
            tv_nsec: rest.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&rest)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for a process"),
        }
    }
}

/// Kills a process and waits until it is gone; fine when it is gone already.
pub(crate) fn kill_and_wait(pid: u32) -> Result<()> {
    let Ok(process) = open(pid) else {
        return Ok(());
    };
    kill(&process)
}

fn kill(process: &OwnedFd) -> Result<()> {
    match pidfd_send_signal(process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error).context("cannot kill a process"),
    }
    if !ended_before(process, Instant::now() + KILL_LIMIT)? {
        bail!("a killed process has not ended after {KILL_LIMIT:?}");
    }
    Ok(())
}

/// A process that the lab started and that may outlive the one that started it.
///
/// Written to a file, so that a later call finds it: its number and its start time, which together name a
/// process as long as the machine is up (proc(5), /proc/PID/stat, field 22).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) pid: u32,
    start_ticks: u64,
}

impl Record {
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let start_ticks =
            start_ticks(pid).with_context(|| format!("process {pid} ended at once"))?;
        Ok(Self { pid, start_ticks })
    }

    pub(crate) fn is_running(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Kills the process and waits for its end. For a kernel, whose first process heads a PID namespace, that is
    /// the end of all of its processes.
    pub(crate) fn kill(&self) -> Result<()> {
        let Ok(process) = open(self.pid) else {
            return Ok(());
        };
        // The descriptor now holds whatever has the number; compare only after it is held.
        if !self.is_running() {
            return Ok(());
        }
        for child in children(self.pid) {
            kill_and_wait(child)?;
        }
        kill(&process)
    }
}

/// Start time in clock ticks after boot; none for a process that is gone or only waits to be reaped.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from its end: field 3 is the state.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn children(pid: u32) -> Vec<u32> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_process_is_gone_and_its_number_is_not_taken_for_another() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let record = Record::new(child.id()).unwrap();
        assert!(record.is_running());
        let other = Record {
            start_ticks: record.start_ticks + 1,
            ..record.clone()
        };
        other.kill().unwrap();
        assert!(record.is_running());
        record.kill().unwrap();
        assert!(!record.is_running());
        child.wait().unwrap();
        record.kill().unwrap();
    }
}
