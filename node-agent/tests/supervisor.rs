//! The binary as a whole: a crashed agent is started again, a stopped one ends. Needs root, because
//! the agent opens raw sockets; without it there is nothing to test, and the test says so.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

const PATIENCE: Duration = Duration::from_secs(10);

/// A node that has no role: nothing of the kernel is touched.
fn plan(generation: i64) -> String {
    format!(
        "kind: NodePlan\nmetadata: {{name: nobody, generation: {generation}}}\n\
         spec: {{formatVersion: 1}}\n"
    )
}

struct Supervised(Child);

impl Supervised {
    fn start(state_dir: &Path) -> Self {
        let path = state_dir.join("plan.yaml");
        fs::write(&path, plan(1)).expect("written");
        let child = Command::new(env!("CARGO_BIN_EXE_lvs-node-agent"))
            .args(["--node-name", "nobody", "--admin-address", "127.0.0.1:0"])
            .arg("--plan")
            .arg(path)
            .arg("--state-dir")
            .arg(state_dir.join("state"))
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("started"))
    }

    fn parent(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"))
    }

    /// The agent below the parent that is not `than`.
    fn agent_other(&self, than: Option<Pid>) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.parent());
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(&children).expect("the parent runs");
            let found = text.split_whitespace().next();
            let found = found.and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
            match found {
                Some(pid) if Some(pid) != than => return pid,
                _ => assert!(start.elapsed() < PATIENCE, "no agent"),
            }
            std::thread::yield_now();
        }
    }

    /// Waits until the agent has taken up a plan, which it keeps on disk first.
    fn wait_until_kept(state_dir: &Path, file: &str) {
        let start = Instant::now();
        while !state_dir.join("state").join(file).exists() {
            assert!(start.elapsed() < PATIENCE, "the plan was not taken up");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn exit_code(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("waited") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing behind.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_crashed_agent_is_back_within_milliseconds_and_a_stopped_one_ends() {
    if !geteuid().is_root() {
        eprintln!("skipped: raw sockets need root");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut supervised = Supervised::start(directory.path());
    let first = supervised.agent_other(None);
    Supervised::wait_until_kept(directory.path(), "plan-1");

    kill(first, Signal::SIGKILL).expect("killed");
    let start = Instant::now();
    let second = supervised.agent_other(Some(first));
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );

    // The second takes the lock that the first held, and ends when the parent is told to stop.
    fs::write(directory.path().join("plan.yaml"), plan(2)).expect("written");
    Supervised::wait_until_kept(directory.path(), "plan-2");
    kill(supervised.parent(), Signal::SIGTERM).expect("told");
    assert_eq!(supervised.exit_code(), Some(0));
    assert!(kill(second, None).is_err(), "the agent outlived its parent");
}

#[test]
fn a_wrong_command_line_is_final() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_lvs-node-agent"))
        .args(["--node-name", "nobody", "--no-such-option"])
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    assert_eq!(parent.wait().expect("ended").code(), Some(2));
}
