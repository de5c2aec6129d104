//! The last plans on disk, so that an agent that starts without its API server knows what to do.
//!
//! Three revisions in files `plan-0` to `plan-2`, written round robin: a write that is cut short
//! (power loss) costs that revision alone. Each file is one line of header and one of JSON; the
//! header has a serial number and the digest of the JSON.

pub mod writer;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bundle::PlanBundle;

/// How many revisions are kept.
const REVISIONS: u64 = 3;

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
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    serial: u64,
    sha256: String,
}

/// A directory with plans.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Serial number of the newest readable revision.
    serial: u64,
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
        let mut newest: Option<(u64, PlanBundle)> = None;
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
                Ok((serial, bundle)) if newest.as_ref().is_none_or(|(best, _)| serial > *best) => {
                    newest = Some((serial, bundle));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "plan on disk is not used");
                }
            }
        }
        let (serial, bundle) = newest.map_or((0, None), |(serial, bundle)| (serial, Some(bundle)));
        let store = Self {
            directory: directory.to_owned(),
            serial,
        };
        Ok((store, bundle))
    }

    /// Writes a plan over the oldest revision: new file, fsync, rename, fsync of the directory.
    ///
    /// # Errors
    /// When a file cannot be written; the revisions before it stay readable.
    pub fn save(&mut self, bundle: &PlanBundle) -> Result<(), StoreError> {
        let serial = self.serial + 1;
        let contents = encode(serial, bundle).map_err(|source| StoreError::Encode {
            what: format!("the plan of {}", bundle.name),
            source,
        })?;
        write_durably(
            &slot_path(&self.directory, serial % REVISIONS),
            &contents,
            0o640,
        )?;
        self.serial = serial;
        Ok(())
    }
}

/// Replaces a file so that after a power loss it is either the old one or the new one.
///
/// # Errors
/// When the file beside it cannot be written or renamed.
pub fn write_durably(path: &Path, contents: &[u8], mode: u32) -> Result<(), StoreError> {
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
    fs::rename(&temporary, path).map_err(failed("replace"))?;
    if let Some(directory) = path.parent() {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("make durable the replacement of"))?;
    }
    Ok(())
}

fn slot_path(directory: &Path, slot: u64) -> PathBuf {
    directory.join(format!("plan-{slot}"))
}

fn encode(serial: u64, bundle: &PlanBundle) -> Result<Vec<u8>, serde_json::Error> {
    let body = serde_json::to_vec(bundle)?;
    let header = Header {
        serial,
        sha256: digest(serial, &body),
    };
    let mut contents = serde_json::to_vec(&header)?;
    contents.push(b'\n');
    contents.extend_from_slice(&body);
    Ok(contents)
}

fn decode(contents: &[u8]) -> Result<(u64, PlanBundle), Corruption> {
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
    let bundle =
        serde_json::from_slice(body).map_err(|error| Corruption::Decode(error.to_string()))?;
    Ok((header.serial, bundle))
}

fn digest(serial: u64, body: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut hasher = Sha256::new();
    hasher.update(serial.to_be_bytes());
    hasher.update(body);
    hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests;
