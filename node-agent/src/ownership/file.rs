//! The record of what is ours on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Ownership;
use crate::store::{StoreError, write_durably};

/// Name of the file in the state directory.
pub const FILE_NAME: &str = "ownership.json";

/// The record and where it is kept.
#[derive(Debug)]
pub struct OwnershipFile {
    path: PathBuf,
    written: Ownership,
}

impl OwnershipFile {
    /// Reads the record of a state directory. One that is missing or unreadable is empty: then
    /// addresses are still known by their protocol number and services by the plan.
    #[must_use]
    pub fn open(directory: &Path) -> (Self, Ownership) {
        let path = directory.join(FILE_NAME);
        let ownership = match fs::read(&path) {
            Ok(contents) => serde_json::from_slice(&contents).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "record of what is ours is unreadable");
                Ownership::default()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "cannot read the record of what is ours");
                }
                Ownership::default()
            }
        };
        (
            Self {
                path,
                written: ownership.clone(),
            },
            ownership,
        )
    }

    /// Whether the file has something else.
    #[must_use]
    pub fn differs_from(&self, ownership: &Ownership) -> bool {
        self.written != *ownership
    }

    /// Writes the record, and says whether that worked; if not, the one before stays.
    pub fn save(mut self, ownership: Ownership) -> (Self, Result<(), StoreError>) {
        let contents = serde_json::to_vec(&ownership).map_err(|source| StoreError::Encode {
            what: "the record of what is ours".to_owned(),
            source,
        });
        let saved = contents.and_then(|contents| write_durably(&self.path, &contents, 0o640));
        if saved.is_ok() {
            self.written = ownership;
        }
        (self, saved)
    }
}

#[cfg(test)]
mod tests;
