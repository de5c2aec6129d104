//! Every CEL rule accepts one object and refuses another that differs from it in nothing else.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::api_server::{Kind, Rule};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: String,
    /// An object that is right.
    base: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the rule wants.
    rule: String,
    /// Merge patch (RFC 7396) on the base that the rule accepts.
    accept: Value,
    /// Merge patch on the base that this rule refuses, and no other.
    reject: Value,
    /// Merge patch on the base that makes the object which is replaced, for rules about changes.
    #[serde(default)]
    old: Option<Value>,
    /// Words of the message.
    says: Vec<String>,
}

const TABLES: [&str; 3] = [
    include_str!("rules/director_pair.yaml"),
    include_str!("rules/virtual_service.yaml"),
    include_str!("rules/real_server.yaml"),
];

fn tables() -> impl Iterator<Item = Table> {
    TABLES
        .iter()
        .map(|text| serde_yaml::from_str(text).unwrap())
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else {
        return;
    };
    for (name, change) in patch {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

fn patched(base: &Value, patch: &Value) -> Value {
    let mut object = base.clone();
    merge(&mut object, patch);
    object
}

/// `spec.instances[3].name` is `spec.instances[].name` in the schema.
fn without_indices(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|&character| {
            inside = match character {
                '[' => true,
                ']' => false,
                _ => return !inside,
            };
            true
        })
        .collect()
}

/// Checks a case and returns the rule that it is about.
fn check(kind: &Kind, base: &Value, case: &Case) -> Rule {
    let name = format!("{}, {:?}", kind.name, case.rule);
    let old = case.old.as_ref().map(|patch| patched(base, patch));

    let accepted = patched(base, &case.accept);
    assert_eq!(
        kind.structure_errors(&accepted),
        [] as [String; 0],
        "{name}: accept"
    );
    assert_eq!(
        kind.rule_errors(&accepted, old.as_ref()),
        [],
        "{name}: accept"
    );

    let rejected = patched(base, &case.reject);
    assert_eq!(
        kind.structure_errors(&rejected),
        [] as [String; 0],
        "{name}: reject"
    );
    let errors = kind.rule_errors(&rejected, old.as_ref());
    let [error] = errors.as_slice() else {
        panic!(
            "{name}: reject breaks {} rules instead of one: {errors:?}",
            errors.len()
        );
    };
    for words in &case.says {
        assert!(
            error.message.contains(words),
            "{name}: {words:?} is not in {:?}",
            error.message
        );
    }
    Rule {
        path: without_indices(&error.field_path),
        expression: error.rule.clone(),
    }
}

#[test]
fn every_rule_accepts_and_refuses() {
    for table in tables() {
        let kind = Kind::named(&table.kind);
        let covered: BTreeSet<Rule> = table
            .cases
            .iter()
            .map(|case| check(&kind, &table.base, case))
            .collect();
        let missing: Vec<Rule> = kind
            .rules()
            .into_iter()
            .filter(|rule| !covered.contains(rule))
            .collect();
        assert!(
            missing.is_empty(),
            "{}: rules without a case: {missing:#?}",
            table.kind
        );
    }
}

#[test]
fn every_kind_that_has_rules_has_a_table() {
    let tables: BTreeSet<String> = tables().map(|table| table.kind).collect();
    let kinds: BTreeSet<String> = super::api_server::kinds()
        .into_iter()
        .filter(|kind| !kind.rules().is_empty())
        .map(|kind| kind.name)
        .collect();
    assert_eq!(tables, kinds);
}
