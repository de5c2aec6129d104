//! Which processes run on the node, as its `/proc` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use lvs_crds::v1alpha1::TrackedProcess;

/// Why processes could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("processes: {}: {error}: it must be the node's /proc; in a cluster the chart's agent.processes.enabled must be true", .directory.display())]
pub struct ProcessError {
    directory: PathBuf,
    error: io::Error,
}

/// Processes that count as the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessLook {
    /// Their name, as `ps -o comm` shows it.
    pub name: String,
    /// Their first arguments.
    pub arguments: Vec<String>,
    /// How many there have to be, 1 or more.
    pub minimum: usize,
}

impl ProcessLook {
    pub(super) fn of(process: &TrackedProcess) -> Self {
        Self {
            name: process.name.clone(),
            arguments: process.arguments.clone(),
            minimum: usize::try_from(process.minimum).unwrap_or(1),
        }
    }

    fn is_enough(&self, running: usize) -> bool {
        running >= self.minimum
    }

    /// What is amiss if so many run.
    ///
    /// # Errors
    /// When they are too few.
    pub fn judge(&self, running: usize) -> Result<(), String> {
        match self.minimum {
            _ if self.is_enough(running) => Ok(()),
            1 => Err(format!("process {self} does not run")),
            minimum => Err(format!("{running} of {minimum} processes {self} run")),
        }
    }
}

impl fmt::Display for ProcessLook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        let mut arguments = self.arguments.iter();
        arguments.try_for_each(|argument| write!(formatter, " {argument}"))
    }
}

/// Looks for processes. Those that were found are looked at alone from then on, until one of them ends:
/// to look through all of them takes milliseconds.
#[derive(Clone, Debug)]
pub struct Processes {
    directory: PathBuf,
    /// The ids of those that were found, at most as many as there have to be.
    found: BTreeMap<ProcessLook, BTreeSet<u32>>,
}

impl Processes {
    /// Processes that `directory`, a mounted procfs, shows. A procfs shows those of the PID namespace
    /// that it was mounted in, whoever reads it.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            found: BTreeMap::new(),
        }
    }

    /// Whether there is one that was found.
    #[must_use]
    pub fn has_found(&self) -> bool {
        self.found.values().any(|ids| !ids.is_empty())
    }

    /// Whether one that was found has ended since. Reads a file for each.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        let mut found = self.found.iter();
        found.any(|(look, ids)| ids.iter().any(|id| !self.runs(*id, &look.name)))
    }

    /// Looks for all of these. Reads a file for each process of the node if there are too few.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn look(&mut self, looks: &BTreeSet<ProcessLook>) -> Result<(), ProcessError> {
        let mut before = std::mem::take(&mut self.found);
        for look in looks {
            let mut ids = before.remove(look).unwrap_or_default();
            ids.retain(|id| self.runs(*id, &look.name));
            self.found.insert(look.clone(), ids);
        }
        let mut found = self.found.iter();
        if found.any(|(look, ids)| !look.is_enough(ids.len())) {
            self.search().map_err(|error| ProcessError {
                directory: self.directory.clone(),
                error,
            })?;
        }
        Ok(())
    }

    /// How many of these were found, counted as far as there have to be.
    #[must_use]
    pub fn running(&self, look: &ProcessLook) -> usize {
        self.found.get(look).map_or(0, BTreeSet::len)
    }

    fn search(&mut self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let Some(id) = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let stat = read(&self.directory, id, "stat");
            let Some(name) = living(&stat) else {
                continue;
            };
            for (look, ids) in &mut self.found {
                if look.name == name
                    && !look.is_enough(ids.len())
                    && (look.arguments.is_empty()
                        || has_arguments(&read(&self.directory, id, "cmdline"), &look.arguments))
                {
                    ids.insert(id);
                }
            }
        }
        Ok(())
    }

    /// Whether this process still is one of this name: its id may be another's by now.
    fn runs(&self, id: u32, name: &str) -> bool {
        living(&read(&self.directory, id, "stat")) == Some(name)
    }
}

/// What procfs says of a process in this file. Empty for one that has ended.
fn read(directory: &Path, id: u32, file: &str) -> Vec<u8> {
    std::fs::read(directory.join(id.to_string()).join(file)).unwrap_or_default()
}

/// Whether the arguments of a command line, as `/proc/PID/cmdline` (`proc_pid_cmdline(5)`) has them, begin with these.
/// The first string of it is the program's name for itself.
fn has_arguments(command_line: &[u8], wanted: &[String]) -> bool {
    let mut arguments = command_line.split(|byte| *byte == 0).skip(1);
    wanted
        .iter()
        .all(|wanted| arguments.next() == Some(wanted.as_bytes()))
}

/// The name of a process that has not ended, from its `/proc/PID/stat` (`proc_pid_stat(5)`):
/// `PID (NAME) STATE …`. The name may have parentheses and blanks of its own; what follows has none.
/// `None` for one whose end its parent has not taken note of yet, and for a name that is no text.
fn living(stat: &[u8]) -> Option<&str> {
    let begin = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let has_ended = matches!(stat.get(end + 2)?, b'Z' | b'X' | b'x');
    let name = std::str::from_utf8(stat.get(begin..end)?).ok()?;
    (!has_ended).then_some(name)
}

#[cfg(test)]
mod tests;
