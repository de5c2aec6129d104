//! The most recent changes of the kernel, for people and for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// How many changes are remembered.
const CAPACITY: usize = 1000;
/// How many changes share a line of the log.
const CHANGES_OF_LINE: usize = 16;

/// A change that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of the change since the agent's start, from 1.
    pub serial: u64,
    /// When it was made.
    pub time: SystemTime,
    /// The change.
    pub change: Change,
}

/// A change that was made, or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Kind of change, as the metric's label.
    pub kind: &'static str,
    /// The change as a command.
    pub command: String,
    /// Why the kernel refused it, if it did.
    pub error: Option<String>,
}

/// Remembers the last changes and logs each. Clones share their memory.
///
/// The lock is held for the time of one insertion or one copy, never across a wait. The VRRP thread
/// does not use it: it hands its changes over by a channel.
#[derive(Clone, Debug, Default)]
pub struct OpLog {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    last_serial: u64,
    recent: VecDeque<Entry>,
}

impl OpLog {
    /// Logs changes of `time` with target `op` and remembers them. Those that succeeded share lines: a plan
    /// has thousands.
    pub fn record(&self, time: SystemTime, changes: Vec<Change>) {
        for change in &changes {
            if let Some(error) = &change.error {
                tracing::warn!(target: "op", error, "{}", change.command);
            }
        }
        let done: Vec<&str> = changes
            .iter()
            .filter(|change| change.error.is_none())
            .map(|change| change.command.as_str())
            .collect();
        for commands in done.chunks(CHANGES_OF_LINE) {
            tracing::info!(target: "op", "{}", commands.join("; "));
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            entries.last_serial += 1;
            let serial = entries.last_serial;
            if entries.recent.len() == CAPACITY {
                entries.recent.pop_front();
            }
            entries.recent.push_back(Entry {
                serial,
                time,
                change,
            });
        }
    }

    /// The last `count` changes, oldest first.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = entries.recent.len().saturating_sub(count);
        entries.recent.iter().skip(skipped).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_are_kept_in_order() {
        let log = OpLog::default();
        for number in 0..CAPACITY + 5 {
            let change = Change {
                kind: "set_sysctl",
                command: format!("sysctl a={number}"),
                error: None,
            };
            log.record(SystemTime::now(), vec![change]);
        }
        let all = log.last(usize::MAX);
        assert_eq!(all.len(), CAPACITY);
        assert_eq!(all.first().map(|entry| entry.serial), Some(6));
        let two = log.last(2);
        let commands: Vec<_> = two
            .iter()
            .map(|entry| entry.change.command.as_str())
            .collect();
        assert_eq!(commands, ["sysctl a=1003", "sysctl a=1004"]);
    }
}
