//! One agent per node: an exclusive lock on a file in the state directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The state directory or the file in it cannot be used.
    #[error("cannot open {path}: {source}; --state-dir must name a directory that can be written")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// flock(2) failed.
    #[error("cannot lock {path}: {source}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The lock; it ends with this value or with the process, however that ends.
#[derive(Debug)]
pub struct AgentLock {
    _file: Flock<File>,
}

impl AgentLock {
    /// Takes the lock of `state_dir`, which is created if missing. Waits while another agent has it:
    /// a predecessor may be handing over.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn acquire(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let file = std::fs::create_dir_all(state_dir)
            .and_then(|()| {
                OpenOptions::new()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(&path)
            })
            // A disk that has become read-only locks as well.
            .or_else(|error| File::open(&path).map_err(|_unspecific| error))
            .map_err(|source| LockError::Open {
                path: path.clone(),
                source,
            })?;
        let mut file = file;
        let mut argument = FlockArg::LockExclusiveNonblock;
        loop {
            match Flock::lock(file, argument) {
                Ok(locked) => return Ok(Self { _file: locked }),
                Err((returned, Errno::EWOULDBLOCK)) => {
                    tracing::info!(path = %path.display(), "waiting for another agent to leave");
                    argument = FlockArg::LockExclusive;
                    file = returned;
                }
                Err((returned, Errno::EINTR)) => file = returned,
                Err((_, error)) => {
                    return Err(LockError::Lock {
                        path,
                        source: error.into(),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_agent_waits_until_the_first_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let state_dir = directory.path().join("state");
        let first = AgentLock::acquire(&state_dir).expect("the lock");
        let (taken, is_taken) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            let second = AgentLock::acquire(&state_dir).expect("the lock after the first");
            taken.send(()).expect("the test listens");
            drop(second);
        });
        assert!(is_taken.recv_timeout(Duration::from_millis(50)).is_err());
        drop(first);
        is_taken
            .recv_timeout(Duration::from_secs(5))
            .expect("the lock passes on");
        waiter.join().expect("no panic");
    }

    #[test]
    fn a_state_directory_that_is_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = AgentLock::acquire(file.path()).expect_err("refused");
        assert!(error.to_string().contains("--state-dir"), "{error}");
    }
}
