//! Processes of the machine, held by a descriptor so that a reused number is never mistaken for them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A descriptor of the process that has the number now.
pub(crate) fn open(pid: u32) -> Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("0 is no process")?;
    pidfd_open(pid, PidfdFlags::empty()).with_context(|| format!("no process {}", pid.as_raw_nonzero()))
}

/// Waits until the process has ended; false when the deadline came first.
pub(crate) fn ended_before(process: impl AsFd, deadline: Instant) -> Result<bool> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let rest = Timespec { tv_sec: rest.as_secs().try_into()?, tv_nsec: rest.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&rest)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for a process"),
        }
    }
}
