//! The last plans on disk, so that an agent that starts without its API server knows what to do.
//!
//! Three revisions in files `plan-0` to `plan-2`, written round robin: a write that is cut short
//! (power loss) costs that revision alone. Each file is one line of header and one of JSON; the
//! header has a serial number and the digest of the JSON. The slices of a plan are files of their own,
//! `slice-DIGEST`, so that a change writes what it touches; those that no revision names are removed.

pub mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lvs_crds::v1alpha1::{NodePlanSpec, PlanSliceSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bundle::PlanBundle;

/// How many revisions are kept.
const REVISIONS: u64 = 3;
/// How the names of slices' files begin.
const SLICE_PREFIX: &str = "slice-";

/// Why plans were not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or the directory cannot be used.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written as JSON.
    #[error("cannot encode {what}: {source}")]
    Encode {
        /// What was to be kept.
        what: String,
        /// What the encoder said.
        source: serde_json::Error,
    },
}

/// Why the contents of a file are not a plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// No header line.
    #[error("it has no header")]
    Header,
    /// The digest differs: the write was cut short or the disk changed it.
    #[error("its digest does not match")]
    Digest,
    /// It is not the JSON of a plan, for example of a later version.
    #[error("it does not decode: {0}")]
    Decode(String),
    /// A slice that the plan consists of cannot be read.
    #[error("its slice {name} cannot be read: {reason}")]
    Slice {
        /// Name of the slice.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    serial: u64,
    sha256: String,
}

/// A revision: a bundle with the names of its slices' files instead of the slices.
#[derive(Debug, Serialize, Deserialize)]
struct Revision {
    name: String,
    plan: NodePlanSpec,
    generation: i64,
    slices: BTreeMap<String, String>,
}

/// A slice that is on disk.
#[derive(Debug)]
struct Kept {
    slice: Arc<PlanSliceSpec>,
    file: String,
}

/// A directory with plans.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Serial number of the newest readable revision.
    serial: u64,
    /// The slices of the newest plan, by their names.
    kept: BTreeMap<String, Kept>,
    /// Files of slices that each revision names, by the number of its file.
    named: BTreeMap<u64, BTreeSet<String>>,
}

impl Store {
    /// Opens `directory`, creating it if missing, and reads the newest plan that is whole.
    ///
    /// # Errors
    /// When the directory cannot be created. A file that is corrupt or cannot be read is not an
    /// error: it is logged and the revision before it is used.
    pub fn open(directory: &Path) -> Result<(Self, Option<PlanBundle>), StoreError> {
        fs::create_dir_all(directory).map_err(|source| StoreError::File {
            action: "create",
            path: directory.to_owned(),
            source,
        })?;
        let mut store = Self {
            directory: directory.to_owned(),
            serial: 0,
            kept: BTreeMap::new(),
            named: BTreeMap::new(),
        };
        let mut revisions = BTreeMap::new();
        for slot in 0..REVISIONS {
            let path = slot_path(directory, slot);
            let contents = match fs::read(&path) {
                Ok(contents) => contents,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "plan on disk is not used");
                    continue;
                }
            };
            match decode(&contents) {
                Ok((serial, revision)) => {
                    let files = revision.slices.values().cloned().collect();
                    store.named.insert(slot, files);
                    revisions.insert(serial, (path, revision));
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "plan on disk is not used");
                }
            }
        }
        let newest = revisions
            .into_iter()
            .rev()
            .find_map(
                |(serial, (path, revision))| match store.read_slices(&revision) {
                    Ok(kept) => Some((serial, revision, kept)),
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "plan on disk is not used");
                        None
                    }
                },
            );
        let Some((serial, revision, kept)) = newest else {
            return Ok((store, None));
        };
        store.serial = serial;
        let slices = kept
            .iter()
            .map(|(name, kept)| (name.clone(), Arc::clone(&kept.slice)))
            .collect();
        store.kept = kept;
        let bundle = PlanBundle {
            name: revision.name,
            plan: revision.plan,
            generation: revision.generation,
            slices,
        };
        Ok((store, Some(bundle)))
    }

    fn read_slices(&self, revision: &Revision) -> Result<BTreeMap<String, Kept>, Corruption> {
        let read = |file: &String| -> Result<Kept, String> {
            let contents =
                fs::read(self.directory.join(file)).map_err(|error| error.to_string())?;
            if slice_file(&contents) != *file {
                return Err(Corruption::Digest.to_string());
            }
            let slice = serde_json::from_slice(&contents)
                .map_err(|error| Corruption::Decode(error.to_string()).to_string())?;
            Ok(Kept {
                slice,
                file: file.clone(),
            })
        };
        revision
            .slices
            .iter()
            .map(|(name, file)| match read(file) {
                Ok(kept) => Ok((name.clone(), kept)),
                Err(reason) => Err(Corruption::Slice {
                    name: name.clone(),
                    reason,
                }),
            })
            .collect()
    }

    /// Writes a plan over the oldest revision: new files, fsync, rename, fsync of the directory; what
    /// it refers to before it.
    ///
    /// # Errors
    /// When a file cannot be written; the revisions before it stay readable.
    pub fn save(&mut self, bundle: &PlanBundle) -> Result<(), StoreError> {
        let serial = self.serial + 1;
        let slot = serial % REVISIONS;
        let mut kept = BTreeMap::new();
        for (name, slice) in &bundle.slices {
            let file = match self.kept.get(name) {
                Some(known) if Arc::ptr_eq(&known.slice, slice) => known.file.clone(),
                known => self.write_slice(name, slice, known)?,
            };
            let slice = Arc::clone(slice);
            kept.insert(name.clone(), Kept { slice, file });
        }
        let files = kept
            .iter()
            .map(|(name, kept)| (name.clone(), kept.file.clone()));
        let revision = Revision {
            name: bundle.name.clone(),
            plan: bundle.plan.clone(),
            generation: bundle.generation,
            slices: files.collect(),
        };
        let contents = encode(serial, &revision).map_err(|source| StoreError::Encode {
            what: format!("the plan of {}", bundle.name),
            source,
        })?;
        write_durably(&slot_path(&self.directory, slot), &contents, 0o640)?;
        self.serial = serial;
        self.kept = kept;
        self.named
            .insert(slot, revision.slices.into_values().collect());
        self.remove_unnamed();
        Ok(())
    }

    /// Writes a slice unless it is the one of that name that is on disk, and returns the name of its file. What an
    /// older revision names may be unreadable by now, and is written again.
    fn write_slice(
        &self,
        name: &str,
        slice: &PlanSliceSpec,
        known: Option<&Kept>,
    ) -> Result<String, StoreError> {
        let contents = serde_json::to_vec(slice).map_err(|source| StoreError::Encode {
            what: format!("slice {name}"),
            source,
        })?;
        let file = slice_file(&contents);
        if known.is_none_or(|known| known.file != file) {
            replace(&self.directory.join(&file), &contents, 0o640)?;
        }
        Ok(file)
    }

    /// Removes the files of slices that no revision names. What stays by mistake is found the next time.
    fn remove_unnamed(&self) {
        let is_named = |file: &str| self.named.values().any(|files| files.contains(file));
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        for entry in entries {
            let file = entry.file_name();
            let unnamed = file
                .to_str()
                .is_some_and(|file| file.starts_with(SLICE_PREFIX) && !is_named(file));
            if unnamed && let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "old slice stays on disk");
            }
        }
    }
}

/// Replaces a file so that after a power loss it is either the old one or the new one.
///
/// # Errors
/// When the file beside it cannot be written or renamed.
pub fn write_durably(path: &Path, contents: &[u8], mode: u32) -> Result<(), StoreError> {
    replace(path, contents, mode)?;
    if let Some(directory) = path.parent() {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError::File {
                action: "make durable the replacement of",
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(())
}

/// As [`write_durably`], but a power loss may undo it until the directory is synced.
fn replace(path: &Path, contents: &[u8], mode: u32) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let temporary = path.with_extension("new");
    let failed = |action| {
        let path = path.to_owned();
        move |source| StoreError::File {
            action,
            path,
            source,
        }
    };
    // A leftover of a crash may have another mode.
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed("create the successor of"))?;
    file.write_all(contents)
        .and_then(|()| file.sync_all())
        .map_err(failed("write the successor of"))?;
    fs::rename(&temporary, path).map_err(failed("replace"))
}

fn slot_path(directory: &Path, slot: u64) -> PathBuf {
    directory.join(format!("plan-{slot}"))
}

/// Name of the file of a slice with this JSON.
fn slice_file(contents: &[u8]) -> String {
    format!("{SLICE_PREFIX}{}", hexadecimal(&Sha256::digest(contents)))
}

fn encode(serial: u64, revision: &Revision) -> Result<Vec<u8>, serde_json::Error> {
    let body = serde_json::to_vec(revision)?;
    let header = Header {
        serial,
        sha256: digest(serial, &body),
    };
    let mut contents = serde_json::to_vec(&header)?;
    contents.push(b'\n');
    contents.extend_from_slice(&body);
    Ok(contents)
}

fn decode(contents: &[u8]) -> Result<(u64, Revision), Corruption> {
    let end = contents
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(Corruption::Header)?;
    let (header, body) = contents.split_at(end);
    let body = body.get(1..).unwrap_or(&[]);
    let Ok(header) = serde_json::from_slice::<Header>(header) else {
        return Err(Corruption::Header);
    };
    if digest(header.serial, body) != header.sha256 {
        return Err(Corruption::Digest);
    }
    let revision =
        serde_json::from_slice(body).map_err(|error| Corruption::Decode(error.to_string()))?;
    Ok((header.serial, revision))
}

fn digest(serial: u64, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(serial.to_be_bytes());
    hasher.update(body);
    hexadecimal(&hasher.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
