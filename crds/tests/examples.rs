//! Every manifest under `examples/` and in the README is what its kind says, to the last field, and
//! passes its rules; what the examples' READMEs show stands in their manifests.

#![allow(
    clippy::indexing_slicing,
    reason = "YAML values answer a missing key with null"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where its premise fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Secret;
use kube::core::cel::Validator;
use lvs_crds::v1alpha1::{DirectorPair, RealServer, VirtualService};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn directories() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    directories.sort();
    directories
}

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect()
}

/// The objects of a directory, each with the file that it stands in.
fn objects(directory: &Path) -> Vec<(PathBuf, Value)> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path).unwrap();
            objects.extend(
                documents(&text)
                    .into_iter()
                    .map(|object| (path.clone(), object)),
            );
        }
    }
    objects
}

/// The objects of the blocks marked as YAML.
fn shown_in(readme: &Path) -> Vec<Value> {
    fs::read_to_string(readme)
        .unwrap()
        .split("```yaml\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .flat_map(documents)
        .collect()
}

/// All objects that the repository shows to people.
fn all_objects() -> Vec<(PathBuf, Value)> {
    let readme = repository().join("README.md");
    let shown = shown_in(&readme);
    assert!(!shown.is_empty(), "the README shows no object");
    directories()
        .iter()
        .flat_map(|directory| objects(directory))
        .chain(shown.into_iter().map(|object| (readme.clone(), object)))
        .collect()
}

/// Reads an object into its type and writes it again: a field that the type does not have is lost,
/// and a value of another meaning changes.
fn through_its_type(object: &Value) -> Result<Value, String> {
    fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
        let typed: T = serde_yaml::from_value(object.clone()).map_err(|error| error.to_string())?;
        serde_yaml::to_value(typed).map_err(|error| error.to_string())
    }
    match object["kind"].as_str() {
        Some("DirectorPair") => through::<DirectorPair>(object),
        Some("VirtualService") => through::<VirtualService>(object),
        Some("RealServer") => through::<RealServer>(object),
        Some("Secret") => through::<Secret>(object),
        other => Err(format!("kind {other:?} has no place in an example")),
    }
}

/// Path of the first part of `given` that is not in `read`.
fn missing(given: &Value, read: &Value, path: &str) -> Option<String> {
    match (given, read) {
        (Value::Mapping(given), Value::Mapping(read)) => given.iter().find_map(|(key, value)| {
            let path = format!("{path}.{}", key.as_str().unwrap_or("?"));
            match read.get(key) {
                Some(read) => missing(value, read, &path),
                None => Some(path),
            }
        }),
        (Value::Sequence(given), Value::Sequence(read)) if given.len() == read.len() => given
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(index, (given, read))| missing(given, read, &format!("{path}[{index}]"))),
        _ => (given != read).then(|| path.to_owned()),
    }
}

#[test]
fn every_manifest_is_what_its_kind_says() {
    let mut count = 0;
    for (file, object) in directories()
        .iter()
        .flat_map(|directory| objects(directory))
    {
        let name = format!("{}: {:?}", file.display(), object["metadata"]["name"]);
        let read = through_its_type(&object).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            missing(&object, &read, ""),
            None,
            "{name}: unknown field or other value"
        );
        count += 1;
    }
    assert!(count >= 10, "only {count} objects found");
}

#[test]
fn every_manifest_passes_the_rules_of_its_kind() {
    for crd in lvs_crds::definition::all() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
        for (file, object) in all_objects() {
            if object["kind"] == *crd.spec.names.kind {
                let object = serde_json::to_value(&object).unwrap();
                let name = &object["metadata"]["name"];
                let result = Validator::new().validate_with_defaults(&schema, &object, None);
                assert!(result.is_ok(), "{}: {name}: {result:?}", file.display());
            }
        }
    }
}

#[test]
fn an_unknown_field_is_noticed() {
    for (file, mut object) in directories()
        .iter()
        .flat_map(|directory| objects(directory))
    {
        if object["kind"] == "Secret" {
            continue;
        }
        object["spec"]["unknownField"] = Value::from(1);
        let noticed = match through_its_type(&object) {
            Ok(read) => missing(&object, &read, "").is_some(),
            Err(_) => true,
        };
        assert!(noticed, "{}", file.display());
    }
}

#[test]
fn the_readmes_show_what_the_manifests_say() {
    for directory in directories() {
        let shown = shown_in(&directory.join("README.md"));
        let objects: Vec<Value> = objects(&directory)
            .into_iter()
            .map(|(_, object)| object)
            .collect();
        for kind in ["DirectorPair", "VirtualService", "RealServer"] {
            assert!(
                shown.iter().any(|object| object["kind"] == kind),
                "{directory:?} shows no {kind}"
            );
        }
        for object in shown {
            assert!(
                objects.contains(&object),
                "{directory:?} has no such object:\n{object:?}"
            );
        }
    }
}
