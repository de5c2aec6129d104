//! The record of what is ours on disk.

use std::fs;
use std::io;
use std::path::Path;

use super::Ownership;
use crate::store::writer::Writer;
use crate::store::{StoreError, write_durably};

/// Name of the file in the state directory.
pub const FILE_NAME: &str = "ownership.json";

/// The record and where it is kept.
#[derive(Debug)]
pub struct OwnershipFile {
    writer: Writer<Ownership>,
    /// What the disk has, or gets as soon as it can.
    handed_over: Ownership,
}

impl OwnershipFile {
    /// Reads the record of a state directory. One that is missing or unreadable is empty: then
    /// addresses are still known by their protocol number and services by the plan. Must be called
    /// within a tokio runtime.
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
                writer: Writer::start("the record of what is ours", move |ownership| {
                    save(&path, ownership)
                }),
                handed_over: ownership.clone(),
            },
            ownership,
        )
    }

    /// Keeps the record if it is another than before, and waits a moment for the disk. The node goes on
    /// without it; the disk gets the record when it can.
    pub async fn keep(&mut self, ownership: &Ownership) {
        if self.handed_over != *ownership {
            self.handed_over.clone_from(ownership);
            self.writer.keep(ownership.clone()).await;
        }
    }
}

fn save(path: &Path, ownership: &Ownership) -> Result<(), StoreError> {
    let contents = serde_json::to_vec(ownership).map_err(|source| StoreError::Encode {
        what: "the record of what is ours".to_owned(),
        source,
    })?;
    write_durably(path, &contents, 0o640)
}

#[cfg(test)]
mod tests;
