use lvs_crds::v1alpha1::revision;

use super::*;

/// Reads a file for the first time.
fn read(text: &str, node: &str, load: i64) -> Result<PlanBundle, FileError> {
    let bundle = Reader::default().read(text, node, load)?;
    Ok(bundle.expect("a version that is new"))
}

pub(in crate::source::file) const PLAN: &str = "\
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
    let bundle = read(PLAN, "lb-1", 7).expect("a bundle");
    assert_eq!(bundle.generation, 7);
    assert_eq!(bundle.slices.keys().collect::<Vec<_>>(), ["edge-0"]);
    let slice = &bundle.slices["edge-0"];
    assert_eq!(slice.digest, slice_digest(slice).expect("a digest"));
    let director = bundle.plan.director.as_ref().expect("a director");
    let expected = revision::slices_digest([("edge-0", slice.digest.as_str())]);
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
    let bundle = read(text, "web-1", 1).expect("a bundle");
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
    assert_eq!(read(text, "web-2", 1).expect("a bundle").name, "web-2");
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
        let error = read(text, "lb-1", 1).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn documents_begin_with_three_dashes_at_the_margin() {
    let text =
        "%YAML 1.2\n# nothing\n---\na: 1\n--- {b: 2}\n---\n...\n---- c\n  ---\n---\r\nd\n---";
    let found: Vec<_> = documents(text).map(str::trim).collect();
    assert_eq!(found, ["a: 1", "{b: 2}", "...\n---- c\n  ---", "d"]);
}

#[test]
fn what_stands_in_both_versions_is_the_same_in_memory() {
    let slice = |name: &str, weight: u32| {
        format!(
            "---\nkind: PlanSlice\nmetadata: {{name: {name}}}\nspec:\n  pools:\n  - name: p-{name}\n    \
             members: [{{address: 10.0.0.1, weight: {weight}}}]\n"
        )
    };
    let head = PLAN
        .split("---\napiVersion: lvs-operator.dev/v1alpha1\nkind: PlanSlice")
        .next()
        .expect("a plan");
    let mut reader = Reader::default();
    let mut read = |text: String| reader.read(&text, "lb-1", 1).expect("a plan file");
    let first = format!("{head}{}{}", slice("a", 1), slice("b", 1));
    let before = read(first.clone()).expect("a version that is new");
    assert_eq!(read(first), None);
    let after = read(format!("{head}{}{}", slice("a", 1), slice("b", 2))).expect("a new version");
    assert!(Arc::ptr_eq(&before.slices["a"], &after.slices["a"]));
    assert_eq!(after.slices["b"].pools[0].members[0].weight, 2);
    assert_ne!(before.plan.revision, after.plan.revision);
}

#[test]
fn json_and_yaml_say_the_same() {
    let json = json!({
        "kind": "NodePlan", "metadata": {"name": "web-1"}, "spec": {"formatVersion": 1, "revision": "r"},
    });
    let yaml = serde_yaml::to_string(&json).expect("YAML");
    let read = |text: &str| read(text, "web-1", 1).expect("a bundle");
    assert_eq!(read(&json.to_string()), read(&yaml));
    assert_eq!(
        read("{kind: NodePlan, metadata: {name: web-1}, spec: {formatVersion: 1, revision: r}}"),
        read(&yaml)
    );
}

#[test]
fn a_slice_that_does_not_decode_matters_to_its_pair_alone() {
    let wrong = |pair: &str| {
        format!(
            "{PLAN}---\nkind: PlanSlice\nmetadata: {{name: w, labels: {{lvs-operator.dev/pair: {pair}}}}}\n\
             spec: {{services: 1}}\n"
        )
    };
    assert!(read(&wrong("inner"), "lb-1", 1).is_ok());
    let refused = read(&wrong("edge"), "lb-1", 1).expect_err("refused");
    assert!(refused.to_string().contains("PlanSlice/w"), "{refused}");
}
