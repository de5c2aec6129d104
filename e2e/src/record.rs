//! What a long measurement has found so far, so that it goes on where it was interrupted.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::repository;

/// Entries in a file of `target/lab`, a line of JSON each.
#[derive(Debug)]
pub struct Record<T> {
    path: PathBuf,
    entries: Vec<T>,
}

impl<T: Serialize + DeserializeOwned> Record<T> {
    /// Reads what there is; with `fresh`, begins anew.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a line is not an entry.
    pub fn open(name: &str, fresh: bool) -> Result<Self> {
        let path = repository().join("target/lab").join(name);
        fs::create_dir_all(path.parent().context("the path has a directory")?)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) if !fresh => text,
            _ => {
                fs::write(&path, "")?;
                String::new()
            }
        };
        let entries = text
            .lines()
            .map(|line| {
                serde_json::from_str(line).with_context(|| format!("{}: {line:?}", path.display()))
            })
            .collect::<Result<_>>()?;
        Ok(Self { path, entries })
    }

    /// Writes an entry down.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, entry: T) -> Result<()> {
        let mut file = File::options().append(true).open(&self.path)?;
        writeln!(file, "{}", serde_json::to_string(&entry)?)?;
        self.entries.push(entry);
        Ok(())
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[T] {
        &self.entries
    }
}
