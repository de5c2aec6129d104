//! The wrong manifests of the end-to-end suite: those that the API server is to refuse are refused
//! here already, and those that it is to accept, for the operator to answer, are accepted.

use std::{fs, path::PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

use super::api_server::Kind;

fn manifests() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../e2e/bad-input");
    let mut manifests: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    manifests.sort();
    manifests
}

/// What is wrong with the objects of a manifest.
fn errors(text: &str) -> Vec<String> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|object| object["apiVersion"] == "lvs-operator.dev/v1alpha1")
        .flat_map(|object| Kind::named(object["kind"].as_str().unwrap()).errors(&object))
        .collect()
}

#[test]
fn every_manifest_is_answered_as_it_says() {
    let manifests = manifests();
    assert!(manifests.len() >= 25, "only {} manifests", manifests.len());
    for path in manifests {
        let name = path.display();
        let text = fs::read_to_string(&path).unwrap();
        let expectation = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# expect: "))
            .unwrap_or_else(|| panic!("{name}: the first line is not `# expect: …`"));
        let errors = errors(&text);
        if let Some(words) = expectation.strip_prefix("refused ") {
            assert!(!errors.is_empty(), "{name}: nothing is wrong with it");
            let answer = errors.join("\n").to_lowercase();
            for word in words.split_whitespace() {
                assert!(
                    answer.contains(&word.to_lowercase()),
                    "{name}: {word:?} is not in:\n{answer}"
                );
            }
        } else if expectation.starts_with("Accepted=False ") {
            assert_eq!(errors, [] as [String; 0], "{name}");
        } else {
            panic!("{name}: {expectation:?} begins with neither `refused` nor `Accepted=False`");
        }
    }
}
