//! Which processes run on the node, as its `/proc` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

/// Why processes could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("processes: {}: {error}: it must be the node's /proc; in a cluster the chart's agent.processes.enabled must be true", .directory.display())]
pub struct ProcessError {
    directory: PathBuf,
    error: io::Error,
}

/// Looks for processes by name. One that was found is looked at alone from then on, until it ends:
/// to look through all of them takes milliseconds.
#[derive(Clone, Debug)]
pub struct Processes {
    directory: PathBuf,
    /// The id of a process by its name.
    found: BTreeMap<String, u32>,
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
        !self.found.is_empty()
    }

    /// Whether one that was found has ended since. Reads a file for each.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.found.iter().any(|(name, id)| !self.runs(*id, name))
    }

    /// Those of the names of which a process runs. Reads a file for each process of the node if there is a
    /// name without.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn look(&mut self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, ProcessError> {
        let mut found = std::mem::take(&mut self.found);
        found.retain(|name, id| names.contains(name) && self.runs(*id, name));
        self.found = found;
        if names.iter().any(|name| !self.found.contains_key(name)) {
            self.search(names).map_err(|error| ProcessError {
                directory: self.directory.clone(),
                error,
            })?;
        }
        Ok(self.found.keys().cloned().collect())
    }

    fn search(&mut self, names: &BTreeSet<String>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let Some(id) = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let stat = self.stat(id);
            if let Some(name) = living(&stat)
                && names.contains(name)
            {
                self.found.entry(name.to_owned()).or_insert(id);
            }
        }
        Ok(())
    }

    /// Whether this process still is one of this name: its id may be another's by now.
    fn runs(&self, id: u32, name: &str) -> bool {
        living(&self.stat(id)) == Some(name)
    }

    /// Empty for a process that has ended.
    fn stat(&self, id: u32) -> Vec<u8> {
        std::fs::read(self.directory.join(id.to_string()).join("stat")).unwrap_or_default()
    }
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
