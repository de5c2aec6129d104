//! A command that goes on while the test does something else.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::channel::Remote;
use crate::command::Output;

/// A command that runs on a node. Dropping it kills the command.
#[derive(Debug)]
pub struct Running {
    remote: Remote,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    output: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ended: Option<End>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Exited(i32),
    NodeGone,
}

impl Running {
    pub(crate) fn new(remote: Remote) -> Result<Self> {
        let seen = Arc::new(Seen::default());
        let running = Self {
            remote: remote.try_clone()?,
            seen: Arc::clone(&seen),
        };
        std::thread::spawn(move || {
            let mut stdout = Sink {
                seen: &seen,
                pick: |progress| &mut progress.stdout,
            };
            let mut stderr = Sink {
                seen: &seen,
                pick: |progress| &mut progress.stderr,
            };
            let end = remote
                .copy(&mut stdout, &mut stderr)
                .map_or(End::NodeGone, End::Exited);
            seen.change(|progress| progress.ended = Some(end));
        });
        Ok(running)
    }

    /// Waits until standard output contains `text`.
    ///
    /// # Errors
    /// When the command ended or the time was over before; the message has its output.
    pub fn wait_for_output(&self, text: &str, limit: Duration) -> Result<()> {
        let progress = self.wait(limit, |progress| {
            String::from_utf8_lossy(&progress.stdout).contains(text) || progress.ended.is_some()
        });
        let output = progress.output();
        if output.stdout.contains(text) {
            return Ok(());
        }
        bail!("{text:?} was not printed; {output}")
    }

    /// Whether the command has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.seen.lock().ended.is_none()
    }

    /// Sends SIGTERM to the command's process group, waits for its end and returns what it left.
    ///
    /// # Errors
    /// When it does not end within ten seconds, or the node went away.
    pub fn stop(self) -> Result<Output> {
        if self.is_running() {
            self.remote.signal(Signal::TERM)?;
        }
        self.finish()
    }

    /// Sends SIGKILL to the command's process group, waits for its end and returns what it left.
    ///
    /// # Errors
    /// As [`Running::stop`].
    pub fn kill(self) -> Result<Output> {
        if self.is_running() {
            self.remote.signal(Signal::KILL)?;
        }
        self.finish()
    }

    fn finish(&self) -> Result<Output> {
        let progress = self.wait(Duration::from_secs(10), |progress| progress.ended.is_some());
        let output = progress.output();
        match progress.ended {
            Some(End::Exited(_)) => Ok(output),
            Some(End::NodeGone) => bail!("the node went away; {output}"),
            None => bail!("the command does not end; {output}"),
        }
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Progress) -> bool) -> MutexGuard<'_, Progress> {
        let deadline = Instant::now() + limit;
        let mut progress = self.seen.lock();
        while !until(&progress) {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            (progress, _) = self
                .seen
                .changed
                .wait_timeout(progress, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
        progress
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.remote.hang_up();
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        // No holder of the lock can panic half-way through a change.
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Progress {
    fn output(&self) -> Output {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = match self.ended {
            Some(End::Exited(code)) => code,
            Some(End::NodeGone) | None => -1,
        };
        Output {
            code,
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

/// Appends to one of the two outputs.
struct Sink<'a> {
    seen: &'a Seen,
    pick: fn(&mut Progress) -> &mut Vec<u8>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.seen
            .change(|progress| (self.pick)(progress).extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
