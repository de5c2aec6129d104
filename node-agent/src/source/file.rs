//! Plans from a file: the stand-alone load balancer.
//!
//! The file holds the documents that `kubectl get nodeplans,planslices -o yaml` prints, one after
//! another or in a `List`. What only machines write (`revision`, `digest`, `slicesDigest`) may be
//! left out.

pub mod contents;

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc;

use super::PlanSender;
use super::decode::Refusal;
use contents::Reader;

/// Why a plan file is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or watched.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not YAML, or not that of an object.
    #[error("document {document} is not YAML of a plan: {reason}")]
    Yaml {
        /// Position of the document, from 1.
        document: usize,
        /// What the parser said.
        reason: String,
    },
    /// A document is of no kind that belongs here.
    #[error("document {document} is of kind {kind}; a plan file holds NodePlan and PlanSlice")]
    Kind {
        /// Position of the document, from 1.
        document: usize,
        /// Its kind.
        kind: String,
    },
    /// A slice without a name cannot be told from another.
    #[error("document {document} ({kind}) has no metadata.name")]
    Name {
        /// Position of the document, from 1.
        document: usize,
        /// Its kind.
        kind: String,
    },
    /// No plan for this node.
    #[error("no NodePlan is called {node}; it has {found}")]
    NoPlan {
        /// The node.
        node: String,
        /// The names of those that are there.
        found: String,
    },
    /// A plan or slice does not decode.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A digest cannot be computed.
    #[error("cannot encode the plan: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Tells of changes in `directory`, which is watched rather than the file: editors and Kubernetes
/// replace files by renaming. inotify(7) blocks on a thread of its own, since a runtime can wait for a
/// foreign descriptor by unsafe means only.
fn watch_directory(directory: &Path) -> io::Result<mpsc::Receiver<()>> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    let changes =
        AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE;
    inotify.add_watch(directory, changes)?;
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("plan-file".into())
        .spawn(move || {
            // Which file it was does not matter: the reader compares the text.
            while let Ok(_) | Err(Errno::EINTR) = inotify.read_events() {
                // Full is as good: the reader has not looked since the last change.
                if let Err(mpsc::error::TrySendError::Closed(())) = sender.try_send(()) {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// Hands on the plan of `node` in the file at `path`, again whenever the file changes. A file that
/// is refused leaves the plan before it in force.
///
/// # Errors
/// When the directory cannot be watched, or no longer; it does not return otherwise. What is wrong with the file itself is reported as a refusal.
pub async fn run(path: &Path, node: &str, sender: PlanSender) -> Result<(), FileError> {
    let failed = |source: io::Error| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut changes = watch_directory(directory).map_err(failed)?;
    let mut reader = Reader::default();
    for load in 1.. {
        // Most notices are of writes to other files.
        let text = std::fs::read_to_string(path).map_err(failed);
        if text.is_err() {
            reader.forget_version();
        }
        match text.and_then(|text| reader.read(&text, node, load)) {
            Ok(None) => {}
            Ok(Some(bundle)) => sender.publish(bundle),
            Err(FileError::Refused(refusal)) => sender.refuse(refusal),
            Err(error) => sender.refuse(Refusal {
                object: path.display().to_string(),
                generation: None,
                message: error.to_string(),
            }),
        }
        if changes.recv().await.is_none() {
            break;
        }
    }
    Err(failed(io::Error::other("the file is no longer watched")))
}

#[cfg(test)]
mod tests;
