//! Plans from a file: the stand-alone load balancer.
//!
//! The file holds the documents that `kubectl get nodeplans,planslices -o yaml` prints, one after
//! another or in a `List`. What only machines write (`revision`, `digest`, `slicesDigest`) may be
//! left out.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lvs_crds::v1alpha1::plan_slice::PAIR_LABEL;
use lvs_crds::v1alpha1::revision::{node_revision, slice_digest, slices_digest};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::PlanSender;
use super::decode::{self, Refusal};
use crate::bundle::PlanBundle;

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
    /// It is not YAML.
    #[error("document {document} is not YAML: {source}")]
    Yaml {
        /// Position of the document, from 1.
        document: usize,
        /// What the parser said.
        source: serde_yaml::Error,
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

/// Reads the plan of `node` from the text of a plan file. `load` counts the versions of the file and
/// stands in for the generation of a plan that has none.
///
/// # Errors
/// When the text is not a plan file, or has no plan for the node, or the plan is refused.
pub fn parse(text: &str, node: &str, load: i64) -> Result<PlanBundle, FileError> {
    let mut plans = BTreeMap::new();
    let mut slices = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let document_number = index + 1;
        let value = Value::deserialize(document).map_err(|source| FileError::Yaml {
            document: document_number,
            source,
        })?;
        // A document of comments alone.
        if value.is_null() {
            continue;
        }
        let objects = match value.get("items") {
            Some(Value::Array(items)) => items.clone(),
            _ => vec![value],
        };
        for object in objects {
            let kind = text_at(&object, "/kind").unwrap_or("unknown").to_owned();
            let Some(name) = text_at(&object, "/metadata/name").map(ToOwned::to_owned) else {
                return Err(FileError::Name {
                    document: document_number,
                    kind,
                });
            };
            match kind.as_str() {
                "NodePlan" => drop(plans.insert(name, object)),
                "PlanSlice" => slices.push((name, object)),
                _ => {
                    return Err(FileError::Kind {
                        document: document_number,
                        kind,
                    });
                }
            }
        }
    }
    let Some(object) = plans.remove(node) else {
        let found: Vec<_> = plans.into_keys().collect();
        return Err(FileError::NoPlan {
            node: node.to_owned(),
            found: if found.is_empty() {
                "none".to_owned()
            } else {
                found.join(", ")
            },
        });
    };
    bundle(node, load, &object, slices)
}

fn bundle(
    node: &str,
    load: i64,
    object: &Value,
    slice_objects: Vec<(String, Value)>,
) -> Result<PlanBundle, FileError> {
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(load);
    let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
    let without_revision = fill(&mut spec, "revision");
    let without_digest = spec
        .get_mut("director")
        .is_some_and(|director| fill(director, "slicesDigest"));
    let mut plan = decode::node_plan(node, generation, &spec)?;

    let mut slices = BTreeMap::new();
    if let Some(director) = &mut plan.director {
        let label = PAIR_LABEL.replace('~', "~0").replace('/', "~1");
        for (name, object) in slice_objects {
            let pair = text_at(&object, &format!("/metadata/labels/{label}"));
            // Without a label a slice belongs to the one pair of the file.
            if pair.is_some_and(|pair| pair != director.pair) {
                continue;
            }
            let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
            let without_digest = fill(&mut spec, "digest");
            let mut slice = decode::plan_slice(&name, &spec)?;
            if without_digest {
                slice.digest = slice_digest(&slice)?;
            }
            slices.insert(name, Arc::new(slice));
        }
        if without_digest {
            director.slices_digest = slices_digest(
                slices
                    .iter()
                    .map(|(name, slice)| (name.as_str(), slice.digest.as_str())),
            );
        }
    }
    if without_revision {
        plan.revision = node_revision(&plan)?;
    }
    Ok(PlanBundle {
        name: node.to_owned(),
        plan,
        generation,
        slices,
    })
}

fn text_at<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// Puts an empty text where `field` is missing, and says whether it was.
fn fill(object: &mut Value, field: &str) -> bool {
    let Some(map) = object.as_object_mut() else {
        return false;
    };
    if map.contains_key(field) {
        return false;
    }
    map.insert(field.to_owned(), json!(""));
    true
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
/// When the directory cannot be watched, or no longer; it does not return otherwise. What is wrong with the file itself is reported as a
/// refusal.
pub async fn run(path: &Path, node: &str, mut sender: PlanSender) -> Result<(), FileError> {
    let failed = |source: io::Error| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut changes = watch_directory(directory).map_err(failed)?;
    let mut last = None;
    for load in 1.. {
        let text = std::fs::read_to_string(path).map_err(failed);
        let unchanged = text.as_ref().is_ok_and(|text| last.as_ref() == Some(text));
        if !unchanged {
            match text.and_then(|text| {
                let bundle = parse(&text, node, load);
                last = Some(text);
                bundle
            }) {
                Ok(bundle) => sender.publish(bundle).await,
                Err(FileError::Refused(refusal)) => sender.refuse(refusal),
                Err(error) => sender.refuse(Refusal {
                    object: path.display().to_string(),
                    generation: None,
                    message: error.to_string(),
                }),
            }
        }
        if changes.recv().await.is_none() {
            break;
        }
    }
    Err(failed(io::Error::other("the file is no longer watched")))
}

#[cfg(test)]
mod tests;
