//! Network namespaces by name, as `ip netns` keeps them.
//!
//! A thread enters a namespace, not a process; a socket or a child process made by that thread stays in it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::run;

/// A network namespace that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }

    pub(crate) fn add(&self) -> Result<()> {
        run("ip", &["netns", "add", &self.name]).map(drop)
    }

    /// Moves the calling thread into the namespace, for good.
    pub(crate) fn enter(&self) -> Result<()> {
        let path = format!("/run/netns/{}", self.name);
        let file =
            File::open(&path).with_context(|| format!("no network namespace {}", self.name))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("cannot enter the network namespace {}", self.name))
    }

    /// Does something in a thread that is in the namespace.
    pub(crate) fn within<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let result = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter()?;
                    act()
                })
                .join()
        });
        match result {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Runs the lines as one batch of `ip`.
    pub(crate) fn ip(&self, lines: &[String]) -> Result<()> {
        let mut child = Command::new("ip")
            .args(["-netns", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start ip (package iproute2)")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(lines.join("\n").as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "ip in {}: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    /// Sets a parameter of the namespace, by its path below /proc/sys/net.
    pub(crate) fn set(&self, parameter: &str, value: &str) -> Result<()> {
        self.within(|| crate::paths::write(format!("/proc/sys/net/{parameter}").as_ref(), value))
    }

    /// Numbers of the processes that are in the namespace.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let text = run("ip", &["netns", "pids", &self.name])?;
        Ok(text
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect())
    }
}

/// The named namespaces that begin with `prefix`.
pub(crate) fn list(prefix: &str) -> Result<Vec<Namespace>> {
    // `ip netns` has made no namespace yet when its directory is missing.
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            names.push(Namespace::new(name));
        }
    }
    Ok(names)
}
