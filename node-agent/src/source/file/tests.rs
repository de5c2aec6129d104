use std::time::Duration;

use super::super::channel;
use super::*;
use crate::store::Store;

const PLAN: &str = "\
# What lb-1 does.
---
apiVersion: lvs-operator.dev/v1alpha1
kind: NodePlan
metadata: {name: lb-1}
spec:
  formatVersion: 1
  director:
    pair: edge
    interface: {name: eth0}
    vrrp: {}
    connectionSync: {mode: Disabled}
    instances: []
---
apiVersion: lvs-operator.dev/v1alpha1
kind: PlanSlice
metadata: {name: edge-0}
spec:
  services: []
---
apiVersion: lvs-operator.dev/v1alpha1
kind: PlanSlice
metadata: {name: inner-0, labels: {lvs-operator.dev/pair: inner}}
spec: {digest: other}
";

#[test]
fn what_only_machines_write_is_filled_in() {
    let bundle = parse(PLAN, "lb-1", 7).expect("a bundle");
    assert_eq!(bundle.generation, 7);
    assert_eq!(bundle.slices.keys().collect::<Vec<_>>(), ["edge-0"]);
    let slice = &bundle.slices["edge-0"];
    assert_eq!(slice.digest, slice_digest(slice).expect("a digest"));
    let director = bundle.plan.director.as_ref().expect("a director");
    let expected = slices_digest([("edge-0", slice.digest.as_str())]);
    assert_eq!(director.slices_digest, expected);
    assert_eq!(
        bundle.plan.revision,
        node_revision(&bundle.plan).expect("a revision")
    );
}

#[test]
fn what_is_written_is_kept() {
    let text = "kind: NodePlan\nmetadata: {name: web-1, generation: 5}\n\
                spec: {formatVersion: 1, revision: mine}\n";
    let bundle = parse(text, "web-1", 1).expect("a bundle");
    assert_eq!(
        (bundle.generation, bundle.plan.revision.as_str()),
        (5, "mine")
    );
}

#[test]
fn a_list_is_as_good_as_documents() {
    let text = "kind: List\nitems:\n\
                - {kind: NodePlan, metadata: {name: web-1}, spec: {formatVersion: 1}}\n\
                - {kind: NodePlan, metadata: {name: web-2}, spec: {formatVersion: 1}}\n";
    assert_eq!(parse(text, "web-2", 1).expect("a bundle").name, "web-2");
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("a: [", "document 1 is not YAML"),
        (
            "kind: Pod\nmetadata: {name: x}",
            "document 1 is of kind Pod",
        ),
        (
            "kind: NodePlan",
            "document 1 (NodePlan) has no metadata.name",
        ),
        ("", "no NodePlan is called lb-1; it has none"),
        (
            "kind: NodePlan\nmetadata: {name: lb-2}\nspec: {formatVersion: 1}",
            "no NodePlan is called lb-1; it has lb-2",
        ),
        (
            "kind: NodePlan\nmetadata: {name: lb-1}",
            "spec.formatVersion is none",
        ),
        (
            "kind: NodePlan\nmetadata: {name: lb-1}\nspec: {formatVersion: 1, director: {}}",
            "spec does not decode: missing field",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(text, "lb-1", 1).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_changed_file_is_handed_on_and_a_wrong_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("plan.yaml");
    let (store, from_disk) = Store::open(&directory.path().join("state")).expect("the store");
    let (sender, mut plans) = channel(store, from_disk);
    std::fs::write(&path, "kind: Pod\nmetadata: {name: x}").expect("written");
    let task = tokio::spawn({
        let path = path.clone();
        async move { run(&path, "lb-1", sender).await }
    });
    let patience = Duration::from_secs(10);
    let refused = plans.refusal.wait_for(Option::is_some);
    tokio::time::timeout(patience, refused)
        .await
        .expect("in time")
        .expect("refused");
    assert!(plans.bundle.borrow().is_none());

    // As editors do it: another file takes the name.
    let successor = directory.path().join("plan.yaml~");
    std::fs::write(&successor, PLAN).expect("written");
    std::fs::rename(&successor, &path).expect("renamed");
    let handed_on = plans.bundle.wait_for(Option::is_some);
    tokio::time::timeout(patience, handed_on)
        .await
        .expect("in time")
        .expect("handed on");
    assert!(plans.refusal.borrow().is_none());

    std::fs::write(&path, "not a plan").expect("written");
    let refused = plans.refusal.wait_for(Option::is_some);
    tokio::time::timeout(patience, refused)
        .await
        .expect("in time")
        .expect("refused");
    let kept = plans
        .bundle
        .borrow()
        .as_ref()
        .map(|bundle| bundle.name.clone());
    assert_eq!(kept.as_deref(), Some("lb-1"));
    let (_, on_disk) = Store::open(&directory.path().join("state")).expect("the store");
    assert_eq!(on_disk.map(|bundle| bundle.name).as_deref(), Some("lb-1"));
    task.abort();
}
