//! What a plan file says. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lvs_crds::v1alpha1::plan_slice::PAIR_LABEL;
use lvs_crds::v1alpha1::revision::{node_revision, slice_digest};
use lvs_crds::v1alpha1::{PlanSliceSpec, PoolPlan, ServicePlan};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::FileError;
use crate::bundle::{PlanBundle, slices_digest};
use crate::source::decode::{self, Refusal};

/// Reads one version of a plan file after the other. A document that stands in both is not read again, so that a
/// change costs what it touches and not what there is.
#[derive(Debug, Default)]
pub struct Reader {
    /// What the documents of the last version that was a plan said, by the digest of their text.
    known: HashMap<Digest, Arc<[Object]>>,
    /// The documents of the version before.
    last: Vec<Digest>,
}

/// SHA-256 of a document.
type Digest = [u8; 32];

/// An object of a plan file.
#[derive(Debug)]
enum Object {
    Plan {
        name: String,
        generation: Option<i64>,
        spec: Value,
    },
    Slice {
        name: String,
        pair: Option<String>,
        /// One that does not decode matters to its pair alone.
        slice: Result<Arc<PlanSliceSpec>, Refusal>,
    },
}

impl Reader {
    /// Reads the plan of `node` from the text of a plan file; none if it is the version before. `load` counts the
    /// versions of the file and stands in for the generation of a plan that has none.
    ///
    /// # Errors
    /// When the text is not a plan file, or has no plan for the node, or the plan is refused.
    pub fn read(
        &mut self,
        text: &str,
        node: &str,
        load: i64,
    ) -> Result<Option<PlanBundle>, FileError> {
        let documents: Vec<(Digest, &str)> = documents(text)
            .map(|document| (Sha256::digest(document).into(), document))
            .collect();
        let digests = documents.iter().map(|(digest, _)| *digest);
        if !self.last.is_empty() && self.last.iter().copied().eq(digests.clone()) {
            return Ok(None);
        }
        self.last = digests.collect();
        let mut found = Vec::with_capacity(documents.len());
        for (index, (digest, document)) in documents.iter().enumerate() {
            found.push(match self.known.get(digest) {
                Some(objects) => Arc::clone(objects),
                None => objects(document, index + 1)?.into(),
            });
        }
        let bundle = bundle(found.iter().flat_map(|objects| objects.iter()), node, load)?;
        self.known = self.last.iter().copied().zip(found).collect();
        Ok(Some(bundle))
    }

    /// The next version counts as new although it may be the one before.
    pub fn forget_version(&mut self) {
        self.last.clear();
    }
}

/// The documents of a YAML stream that say anything. A line that begins with `---` begins one wherever it stands:
/// no scalar can contain it (YAML 1.2, section 9.1.2).
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut begin = 0;
    let mut at = 0;
    let mut ends: Vec<(usize, usize)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let marker = line.strip_prefix("---");
        if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            ends.push((begin, at));
            begin = at + "---".len();
        }
        at += line.len();
    }
    ends.push((begin, at));
    ends.into_iter()
        .filter_map(|(begin, end)| text.get(begin..end))
        .filter(|document| {
            document.lines().any(|line| {
                let line = line.trim();
                !(line.is_empty() || line.starts_with(['#', '%']) || line == "...")
            })
        })
}

/// A document or an item of a list.
enum Source<'a> {
    Text(&'a str),
    Value(&'a Value),
}

impl Source<'_> {
    /// JSON is YAML too, and much quicker to read as what it is.
    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        match self {
            Self::Text(text) => {
                if text.trim_start().starts_with('{')
                    && let Ok(value) = serde_json::from_str(text)
                {
                    return Ok(value);
                }
                serde_yaml::from_str(text).map_err(|error| error.to_string())
            }
            Self::Value(value) => T::deserialize(*value).map_err(|error| error.to_string()),
        }
    }
}

/// What an object is.
#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    items: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    name: Option<String>,
    generation: Option<i64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Value>,
}

#[derive(Deserialize)]
struct WithSpec<S> {
    spec: S,
}

#[derive(Deserialize)]
struct WithAnySpec {
    #[serde(default)]
    spec: Value,
}

/// The spec of a slice whose digest may be left out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SliceSpec {
    digest: Option<String>,
    services: Vec<ServicePlan>,
    pools: Vec<PoolPlan>,
}

fn objects(document: &str, number: usize) -> Result<Vec<Object>, FileError> {
    let not_yaml = |reason| FileError::Yaml {
        document: number,
        reason,
    };
    let source = Source::Text(document);
    let head: Head = source.read().map_err(not_yaml)?;
    if head.items.is_none() {
        return Ok(vec![object(&source, head, number)?]);
    }
    let list: List = source.read().map_err(not_yaml)?;
    list.items
        .iter()
        .map(|item| {
            let source = Source::Value(item);
            let head = source.read().map_err(not_yaml)?;
            object(&source, head, number)
        })
        .collect()
}

fn object(source: &Source<'_>, head: Head, document: usize) -> Result<Object, FileError> {
    let kind = head.kind.unwrap_or_else(|| "unknown".to_owned());
    let Metadata {
        name,
        generation,
        mut labels,
    } = head.metadata;
    let Some(name) = name else {
        return Err(FileError::Name { document, kind });
    };
    match kind.as_str() {
        "NodePlan" => {
            let WithAnySpec { spec } = source
                .read()
                .map_err(|reason| FileError::Yaml { document, reason })?;
            Ok(Object::Plan {
                name,
                generation,
                spec,
            })
        }
        "PlanSlice" => {
            let pair = labels.remove(PAIR_LABEL);
            let slice = match source.read() {
                Ok(WithSpec { spec }) => Ok(Arc::new(whole(spec)?)),
                Err(reason) => Err(decode::slice_refusal(&name, &reason)),
            };
            Ok(Object::Slice { name, pair, slice })
        }
        _ => Err(FileError::Kind { document, kind }),
    }
}

fn whole(spec: SliceSpec) -> Result<PlanSliceSpec, serde_json::Error> {
    let SliceSpec {
        digest,
        services,
        mut pools,
    } = spec;
    // Read from text a list is up to twice as long as what is in it, and there may be a million members.
    for pool in &mut pools {
        pool.members.shrink_to_fit();
    }
    let is_missing = digest.is_none();
    let mut slice = PlanSliceSpec {
        digest: digest.unwrap_or_default(),
        services,
        pools,
    };
    if is_missing {
        slice.digest = slice_digest(&slice)?;
    }
    Ok(slice)
}

fn bundle<'a>(
    objects: impl Iterator<Item = &'a Object> + Clone,
    node: &str,
    load: i64,
) -> Result<PlanBundle, FileError> {
    let plans = objects.clone().filter_map(|object| match object {
        Object::Plan {
            name,
            generation,
            spec,
        } => Some((name.as_str(), (*generation, spec))),
        Object::Slice { .. } => None,
    });
    let plans: BTreeMap<&str, (Option<i64>, &Value)> = plans.collect();
    let Some((generation, spec)) = plans.get(node) else {
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
    let generation = generation.unwrap_or(load);
    let mut spec = (*spec).clone();
    let without_revision = fill(&mut spec, "revision");
    let without_digest = spec
        .get_mut("director")
        .is_some_and(|director| fill(director, "slicesDigest"));
    let mut plan = decode::node_plan(node, generation, &spec)?;

    let mut slices = BTreeMap::new();
    if let Some(director) = &mut plan.director {
        for object in objects {
            let Object::Slice { name, pair, slice } = object else {
                continue;
            };
            // Without a label a slice belongs to the one pair of the file.
            if pair.as_ref().is_some_and(|pair| *pair != director.pair) {
                continue;
            }
            slices.insert(
                name.clone(),
                Arc::clone(slice.as_ref().map_err(Refusal::clone)?),
            );
        }
        if without_digest {
            director.slices_digest = slices_digest(&slices);
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

#[cfg(test)]
pub(super) mod tests;
