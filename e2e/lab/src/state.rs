//! The directory of one lab: everything that it has made is here or in a namespace that bears its name.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::netns::Namespace;
use crate::paths;
use crate::process::Record;
use crate::topology::Topology;

/// Handle on a lab's directory.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) directory: PathBuf,
}

impl State {
    pub(crate) fn of(lab: &str) -> Self {
        Self {
            directory: paths::root().join("labs").join(lab),
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.directory.exists()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    /// The directory of one node.
    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.path("nodes").join(name)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    pub(crate) fn create(&self, topology: &Topology) -> Result<()> {
        for name in ["processes", "images", "control"] {
            paths::make_directory(&self.path(name))?;
        }
        for node in &topology.nodes {
            for name in ["log", "cni"] {
                paths::make_directory(&self.node(&node.name).join(name))?;
            }
        }
        paths::write(
            &self.path("topology.yaml"),
            serde_yaml::to_string(topology)?,
        )
    }

    pub(crate) fn topology(&self) -> Result<Topology> {
        let path = self.path("topology.yaml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_yaml::from_str(&text).with_context(|| format!("{}", path.display()))
    }

    /// Starts a process that stays when this one ends. `name` finds it again.
    pub(crate) fn start(
        &self,
        name: &str,
        namespace: Option<&Namespace>,
        process: Process,
    ) -> Result<()> {
        if self.is_running(name) {
            bail!("{name} is running already");
        }
        let Process { line, stdin, log } = process;
        let (program, arguments) = line.split_first().context("no program")?;
        if let Some(directory) = log.parent() {
            paths::make_directory(directory)?;
        }
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(stdin)
            .stdout(output.try_clone()?)
            .stderr(output);
        // A group of its own: an interrupt typed at this process is not meant for it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut spawn = || {
            command
                .spawn()
                .with_context(|| format!("cannot start {}", Path::new(program).display()))
        };
        let mut child = match namespace {
            Some(namespace) => namespace.within(&mut spawn)?,
            None => spawn()?,
        };
        let record = Record::new(child.id())?;
        paths::write(&self.record(name), serde_json::to_string(&record)?)?;
        // While this process lives, it is the parent that has to take the exit status.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.recorded(name)
            .is_some_and(|record| record.is_running())
    }

    /// Kills a process that [`State::start`] started; fine when it does not run.
    pub(crate) fn stop(&self, name: &str) -> Result<()> {
        if let Some(record) = self.recorded(name) {
            record
                .kill()
                .with_context(|| format!("cannot stop {name}"))?;
            fs::remove_file(self.record(name))?;
        }
        Ok(())
    }

    pub(crate) fn stop_all(&self) -> Result<()> {
        let Ok(entries) = fs::read_dir(self.path("processes")) else {
            return Ok(());
        };
        for entry in entries {
            self.stop(&entry?.file_name().to_string_lossy())?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.directory.display()))
            }
            _ => Ok(()),
        }
    }

    fn record(&self, name: &str) -> PathBuf {
        self.path("processes").join(name)
    }

    fn recorded(&self, name: &str) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.record(name)).ok()?).ok()
    }
}

/// A process to start.
#[derive(Debug)]
pub(crate) struct Process {
    /// Program and arguments.
    pub(crate) line: Vec<OsString>,
    pub(crate) stdin: Stdio,
    /// File that standard output and error are appended to.
    pub(crate) log: PathBuf,
}
