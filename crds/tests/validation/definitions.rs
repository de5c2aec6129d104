//! What holds for every definition.

use lvs_crds::definition;
use serde_json::Value;

use super::api_server::kinds;

/// `kubectl apply` keeps a copy in an annotation, of at most this many bytes.
const ANNOTATION_LIMIT_BYTES: usize = 256 * 1024;

/// Calls `look` with each part of a schema and its path.
fn visit(schema: &Value, path: &str, look: &mut impl FnMut(&Value, &str)) {
    look(schema, path);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        visit(property, &format!("{path}.{name}"), look);
    }
    for (part, suffix) in [("items", "[]"), ("additionalProperties", ".*")] {
        if schema[part].is_object() {
            visit(&schema[part], &format!("{path}{suffix}"), look);
        }
    }
}

fn visit_all(mut look: impl FnMut(&Value, &str)) {
    for kind in kinds() {
        for part in ["spec", "status"] {
            let schema = &kind.schema["properties"][part];
            if schema.is_object() {
                visit(schema, &format!("{}.{part}", kind.name), &mut look);
            }
        }
    }
}

#[test]
fn a_definition_fits_into_the_annotation_of_kubectl_apply() {
    for crd in definition::all() {
        let size = serde_json::to_vec(&crd).unwrap().len();
        assert!(
            size < ANNOTATION_LIMIT_BYTES,
            "{}: {size} bytes",
            crd.spec.names.plural
        );
    }
}

#[test]
fn every_list_has_a_bound_and_says_how_it_merges() {
    visit_all(|schema, path| {
        if schema["type"] == "array" {
            assert!(schema["maxItems"].is_u64(), "{path} has no maxItems");
            assert!(
                schema["x-kubernetes-list-type"].is_string(),
                "{path} has no list type"
            );
        }
    });
}

#[test]
fn every_map_has_a_bound() {
    visit_all(|schema, path| {
        if schema["additionalProperties"].is_object() {
            assert!(
                schema["maxProperties"].is_u64(),
                "{path} has no maxProperties"
            );
        }
    });
}

#[test]
fn every_string_of_a_spec_has_a_bound() {
    visit_all(|schema, path| {
        if schema["type"] == "string" && !path.contains(".status.conditions") {
            let is_time = schema["format"] == "date-time";
            assert!(
                schema["maxLength"].is_u64() || schema["enum"].is_array() || is_time,
                "{path} has neither maxLength nor enum, and is no time"
            );
        }
    });
}

#[test]
fn every_integer_of_a_spec_has_a_range() {
    visit_all(|schema, path| {
        if schema["type"] == "integer" && path.contains(".spec") {
            assert!(schema["minimum"].is_number(), "{path} has no minimum");
        }
    });
}

#[test]
fn every_format_is_one_that_api_servers_know() {
    visit_all(|schema, path| {
        if let Some(format) = schema["format"].as_str() {
            assert!(
                ["int32", "int64", "date-time"].contains(&format),
                "{path}: {format}"
            );
        }
    });
}

#[test]
fn every_field_is_described_in_plain_words() {
    visit_all(|schema, path| {
        if path.contains(".conditions") || path.ends_with("[]") || path.ends_with(".*") {
            return;
        }
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(!description.is_empty(), "{path} has no description");
        assert!(
            !description.contains("[`"),
            "{path}: a link of rustdoc in {description:?}"
        );
    });
}

#[test]
fn nothing_is_nullable() {
    visit_all(|schema, path| assert!(schema["nullable"].is_null(), "{path}"));
}

#[test]
fn a_new_object_says_that_nobody_has_looked_at_it() {
    for kind in kinds().iter().filter(|kind| kind.name != "PlanSlice") {
        assert_eq!(
            kind.schema["properties"]["status"]["default"]["observedGeneration"], -1,
            "{}",
            kind.name
        );
    }
}

#[test]
fn conditions_are_a_map_by_type() {
    for kind in kinds().iter().filter(|kind| kind.name != "PlanSlice") {
        let conditions = &kind.schema["properties"]["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map", "{}", kind.name);
        assert_eq!(
            conditions["x-kubernetes-list-map-keys"][0], "type",
            "{}",
            kind.name
        );
    }
}

#[test]
fn every_kind_has_a_short_name_and_the_category() {
    for crd in definition::all() {
        let names = &crd.spec.names;
        assert!(
            names
                .short_names
                .as_ref()
                .is_some_and(|names| names[0].starts_with("lvs"))
        );
        assert_eq!(
            names.categories.as_deref(),
            Some(["lvs".to_owned()].as_slice())
        );
    }
}

#[test]
fn what_the_operator_writes_is_not_checked_by_rules() {
    for kind in kinds()
        .iter()
        .filter(|kind| ["NodePlan", "PlanSlice"].contains(&kind.name.as_str()))
    {
        assert_eq!(kind.rules(), [], "{}", kind.name);
    }
}
