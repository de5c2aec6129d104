//! The parent process: starts the agent, starts it again when it crashes, and passes signals on.
//!
//! It is process 1 of the container, so a crash of the agent does not end the pod and its kernel
//! state is picked up again within milliseconds. It has no runtime, reads no plan and opens no
//! socket: what does nothing cannot crash.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// An agent that ran this long had started; its crash says nothing about the next start.
const STARTED_AFTER: Duration = Duration::from_secs(1);
/// Delay before the second quick restart; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(10);
/// Longest delay between restarts.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// What clap exits with when the command line is wrong; starting again would not help.
const USAGE_ERROR: i32 = 2;

/// How long to wait before the agent is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    quick: u32,
}

impl Restarts {
    /// Delay after a crash of an agent that had run for `ran`. None for the first crash, so that a
    /// rare one costs milliseconds; growing while it keeps dying at once.
    pub fn delay(&mut self, ran: Duration) -> Duration {
        if ran >= STARTED_AFTER {
            self.quick = 0;
        }
        let delay = match self.quick {
            0 => Duration::ZERO,
            quick => FIRST_DELAY
                .saturating_mul(1 << (quick - 1).min(10))
                .min(LONGEST_DELAY),
        };
        self.quick = self.quick.saturating_add(1);
        delay
    }
}

/// What the parent does when its child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// End with this exit code.
    Exit(u8),
    /// Start the child again.
    Restart,
}

/// Decides whether a child that ended is started again.
#[must_use]
pub fn verdict(status: ExitStatus, stop_requested: bool) -> Verdict {
    match status.code() {
        Some(0) => Verdict::Exit(0),
        Some(USAGE_ERROR) => Verdict::Exit(2),
        Some(code) if stop_requested => Verdict::Exit(u8::try_from(code).unwrap_or(1)),
        // Ended by a signal: the shell's convention of 128 plus its number.
        None if stop_requested => {
            let signal = status.signal().unwrap_or(0);
            Verdict::Exit(u8::try_from(128 + signal).unwrap_or(1))
        }
        _ => Verdict::Restart,
    }
}

/// Prepares the agent for a life under a parent; to be called before threads are started.
///
/// The parent blocks the signals that it reads from a descriptor, and children inherit that.
/// Without its parent nobody would restart the agent or pass signals on: it is told to stop.
///
/// # Errors
/// When the system refuses.
pub fn settle_child() -> io::Result<()> {
    watched_signals().thread_unblock()?;
    set_pdeathsig(Signal::SIGTERM)?;
    Ok(())
}

fn watched_signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD]
        .into_iter()
        .collect()
}

/// Runs `program` until it ends on purpose and returns the exit code of the parent. To be called before any
/// thread is started: the signals are blocked here, and a thread that did not inherit that would be given them.
///
/// # Errors
/// When signals cannot be received or the command cannot be started at all.
pub fn supervise(program: &OsStr, arguments: &[OsString]) -> io::Result<u8> {
    watched_signals().thread_block()?;
    let signals = SignalFd::with_flags(
        &watched_signals(),
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?;

    let mut restarts = Restarts::default();
    let mut stop_requested = false;
    loop {
        let started = Instant::now();
        let child = Command::new(program).args(arguments).spawn()?;
        let status = watch(&signals, &child, &mut stop_requested)?;
        match verdict(status, stop_requested) {
            Verdict::Exit(code) => return Ok(code),
            Verdict::Restart => {
                let delay = restarts.delay(started.elapsed());
                tracing::error!(%status, ?delay, "agent ended; starting it again");
                if pause(&signals, delay)? {
                    return Ok(0);
                }
            }
        }
    }
}

/// Waits for the end of `child`, passing signals on to it, and reaps whatever else has ended: as
/// process 1 we inherit orphans.
fn watch(signals: &SignalFd, child: &Child, stop_requested: &mut bool) -> io::Result<ExitStatus> {
    let child = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    loop {
        let mut descriptors = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(signal) = signals.read_signal()? {
            match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                Ok(Ok(Signal::SIGCHLD)) => {
                    if let Some(status) = reap(child)? {
                        return Ok(status);
                    }
                }
                Ok(Ok(signal)) => {
                    *stop_requested = true;
                    // It may have ended already; SIGCHLD follows then.
                    let _ = kill(child, signal);
                }
                _ => {}
            }
        }
    }
}

fn reap(child: Pid) -> io::Result<Option<ExitStatus>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return Ok(Some(ExitStatus::from_raw(code << 8)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(Some(ExitStatus::from_raw(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits before a restart. Returns whether a stop was requested meanwhile.
fn pause(signals: &SignalFd, delay: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + delay;
    loop {
        while let Some(signal) = signals.read_signal()? {
            if i32::try_from(signal.ssi_signo) != Ok(Signal::SIGCHLD as i32) {
                return Ok(true);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXITED: fn(i32) -> ExitStatus = |code| ExitStatus::from_raw(code << 8);

    #[test]
    fn the_first_crash_costs_nothing_and_repeated_ones_slow_down() {
        let mut restarts = Restarts::default();
        let quick = Duration::from_millis(20);
        let delays: Vec<_> = (0..10).map(|_| restarts.delay(quick).as_millis()).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(restarts.delay(Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(restarts.delay(quick), FIRST_DELAY);
    }

    #[test]
    fn crashes_are_answered_by_a_restart_until_a_stop_is_requested() {
        let killed = ExitStatus::from_raw(9);
        assert_eq!(verdict(killed, false), Verdict::Restart);
        assert_eq!(verdict(EXITED(101), false), Verdict::Restart);
        assert_eq!(verdict(EXITED(1), false), Verdict::Restart);
        assert_eq!(verdict(killed, true), Verdict::Exit(137));
        assert_eq!(verdict(EXITED(101), true), Verdict::Exit(101));
    }

    #[test]
    fn an_end_on_purpose_and_a_wrong_command_line_are_final() {
        assert_eq!(verdict(EXITED(0), false), Verdict::Exit(0));
        assert_eq!(verdict(EXITED(2), false), Verdict::Exit(2));
    }
}
