//! The part of an API server that decides on one object.

use kube::core::cel::{ValidationError, Validator};
use lvs_crds::definition;
use serde_json::Value;

use super::structure;

/// Schema of a kind.
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// A rule of a schema, with what tells it from every other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    /// Where a failure is reported, as `spec.instances[].interface`.
    pub(crate) path: String,
    /// The expression.
    pub(crate) expression: String,
}

pub(crate) fn kinds() -> Vec<Kind> {
    definition::all()
        .into_iter()
        .map(|crd| Kind {
            schema: serde_json::to_value(
                crd.spec.versions[0]
                    .schema
                    .as_ref()
                    .unwrap()
                    .open_api_v3_schema
                    .as_ref()
                    .unwrap(),
            )
            .unwrap(),
            name: crd.spec.names.kind,
        })
        .collect()
}

impl Kind {
    pub(crate) fn named(name: &str) -> Self {
        kinds()
            .into_iter()
            .find(|kind| kind.name == name)
            .unwrap_or_else(|| panic!("there is no kind {name}"))
    }

    /// What is wrong with the object's structure, as `PATH: TEXT`.
    pub(crate) fn structure_errors(&self, object: &Value) -> Vec<String> {
        structure::errors(&self.schema, &self.with_defaults(object))
    }

    /// The rules that the object breaks.
    pub(crate) fn rule_errors(&self, object: &Value, old: Option<&Value>) -> Vec<ValidationError> {
        let old = old.map(|old| self.with_defaults(old));
        match Validator::new().validate(&self.schema, object, old.as_ref()) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.into_vec(),
        }
    }

    /// Everything that is wrong: structure first, and rules only where the structure is right, as
    /// the API server does it.
    pub(crate) fn errors(&self, object: &Value) -> Vec<String> {
        let structure = self.structure_errors(object);
        if !structure.is_empty() {
            return structure;
        }
        self.rule_errors(object, None)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn with_defaults(&self, object: &Value) -> Value {
        kube::core::cel::apply_defaults(&self.schema, object)
    }

    /// Every rule of the schema.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        collect(&self.schema, "", &mut rules);
        rules
    }
}

fn collect(schema: &Value, path: &str, rules: &mut Vec<Rule>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        rules.push(Rule {
            path: format!("{path}{}", rule["fieldPath"].as_str().unwrap_or_default()),
            expression: rule["rule"].as_str().unwrap().to_owned(),
        });
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let separator = if path.is_empty() { "" } else { "." };
        collect(property, &format!("{path}{separator}{name}"), rules);
    }
    collect_if_object(&schema["items"], &format!("{path}[]"), rules);
    collect_if_object(&schema["additionalProperties"], &format!("{path}.*"), rules);
}

fn collect_if_object(schema: &Value, path: &str, rules: &mut Vec<Rule>) {
    if schema.is_object() {
        collect(schema, path, rules);
    }
}
