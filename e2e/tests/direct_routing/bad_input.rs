//! Wrong manifests: each is refused by the API server or answered by `Accepted=False`, and names what is wrong.
//! The first line of each file in `e2e/bad-input` says what is expected.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lvs_e2e::cluster::{Cluster, repository};
use lvs_e2e::eventually::eventually;
use serde_yaml::Value;

use super::{OTHER, PREFERRED};

pub(crate) fn refused_with_a_remedy(cluster: &Cluster) -> Result<()> {
    let mut files: Vec<_> = fs::read_dir(repository().join("e2e/bad-input"))?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    ensure!(
        files.len() >= 25,
        "{} files, at least 25 are wanted",
        files.len()
    );
    let operations = || -> Result<Vec<usize>> {
        [PREFERRED, OTHER, "web-1", "web-2"]
            .iter()
            .map(|node| Ok(cluster.operations(node)?.len()))
            .collect()
    };
    let before = operations()?;
    let mut wrong = Vec::new();
    for file in &files {
        if let Err(reason) = one(cluster, file) {
            wrong.push(format!(
                "{}: {reason:#}",
                file.file_name().unwrap_or_default().to_string_lossy()
            ));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        files.len(),
        wrong.join("\n")
    );
    ensure!(
        operations()? == before,
        "a wrong manifest made an agent do something"
    );
    cluster.wait_ready(10)
}

fn one(cluster: &Cluster, file: &Path) -> Result<()> {
    let manifest = fs::read_to_string(file)?;
    let expectation = manifest
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# expect: "))
        .context("the first line must be `# expect: …`")?;
    let (kind, keywords) = expectation
        .split_once(' ')
        .context("keywords are missing")?;
    let answer = cluster.kubectl.apply(&manifest)?;
    if kind == "refused" {
        let outcome = if answer.success() {
            Err(anyhow::anyhow!("it was accepted"))
        } else {
            named(&answer.stderr, keywords)
        };
        if answer.success() {
            delete(cluster, &manifest)?;
        }
        return outcome;
    }
    if kind != "Accepted=False" {
        bail!("expectation {kind:?}: refused or Accepted=False is wanted");
    }
    answer.ok()?;
    let (reason, keywords) = keywords.split_once(' ').unwrap_or((keywords, ""));
    let object = last_object(&manifest)?;
    let object: Vec<&str> = object.iter().map(String::as_str).collect();
    let seen = eventually("Accepted=False", Duration::from_secs(20), || {
        let condition = cluster.kubectl.condition(&object, "Accepted")?;
        ensure!(condition.status == "False", "Accepted is {condition:?}");
        Ok(condition)
    });
    delete(cluster, &manifest)?;
    let (condition, _) = seen?;
    ensure!(
        condition.reason == reason,
        "the reason is {}, not {reason}",
        condition.reason
    );
    named(&condition.message, keywords)
}

fn named(message: &str, keywords: &str) -> Result<()> {
    let folded = message.to_lowercase();
    for word in keywords.split_whitespace() {
        ensure!(
            folded.contains(&word.to_lowercase()),
            "{word:?} is not in the message {message:?}"
        );
    }
    Ok(())
}

/// A manifest that changes an object of the example is undone by applying the example again.
fn delete(cluster: &Cluster, manifest: &str) -> Result<()> {
    let objects = documents(manifest)?;
    for object in objects.iter().rev() {
        let object: Vec<&str> = object.iter().map(String::as_str).collect();
        cluster
            .kubectl
            .ok(&[&["delete", "--ignore-not-found"], object.as_slice()].concat())?;
    }
    Ok(())
}

/// The object that the expectation is about stands last.
fn last_object(manifest: &str) -> Result<Vec<String>> {
    documents(manifest)?.pop().context("the file has no object")
}

/// Kind, name and namespace of every object, as arguments of kubectl.
fn documents(manifest: &str) -> Result<Vec<Vec<String>>> {
    serde_yaml::Deserializer::from_str(manifest)
        .map(|document| {
            let value = <Value as serde::Deserialize>::deserialize(document)?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut words = vec![text(&value["kind"]), text(&value["metadata"]["name"])];
            if value["kind"] != "DirectorPair" {
                let namespace = value["metadata"]["namespace"].as_str().unwrap_or("default");
                words.push(format!("--namespace={namespace}"));
            }
            Ok(words)
        })
        .collect()
}
