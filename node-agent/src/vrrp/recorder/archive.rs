//! Recordings on disk: the last few that a change of role was a reason for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::Recording;
use crate::store::write_durably;

/// Directory of recordings within the agent's state directory.
pub const DIRECTORY: &str = "vrrp-recordings";
/// Time after one is written until the next: roles that flap shall not fill the disk's queue.
const PAUSE: Duration = Duration::from_secs(1);
/// How many are kept.
const KEPT: usize = 10;

/// Writes recordings into `state_dir` until there are no more. A disk that fails is told in the log
/// and costs recordings, nothing else.
pub async fn keep(state_dir: PathBuf, mut recordings: mpsc::Receiver<Recording>) {
    let directory = state_dir.join(DIRECTORY);
    while let Some(recording) = recordings.recv().await {
        let directory = directory.clone();
        let saved = spawn_blocking(move || save(&directory, &recording)).await;
        match saved.map_err(io::Error::other).flatten() {
            Ok(path) => tracing::info!(target: "vrrp", path = %path.display(), "recording written"),
            Err(error) => {
                tracing::warn!(target: "vrrp", %error, "a recording could not be written");
            }
        }
        // Nobody waits for the last one.
        if !recordings.is_closed() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Writes one and removes the oldest beyond those that are kept. Returns where it is.
///
/// # Errors
/// When the directory or a file in it cannot be written.
pub fn save(directory: &Path, recording: &Recording) -> io::Result<PathBuf> {
    let text = recording.to_lines()?;
    fs::create_dir_all(directory)?;
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ");
    let (instance, family) = (&recording.instance, recording.family.label());
    let path = directory.join(format!("{time}-{instance}-{family}.jsonl"));
    write_durably(&path, text.as_bytes(), 0o600).map_err(io::Error::other)?;
    // Their names begin with the time.
    let mut names = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<OsString>>>()?;
    names.sort();
    for name in names.iter().rev().skip(KEPT) {
        fs::remove_file(directory.join(name))?;
    }
    Ok(path)
}
