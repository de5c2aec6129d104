//! Structure of an object: types, bounds, patterns, required and unknown fields, keys of lists.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

/// Everything in which `value` differs from what `schema` allows, as `PATH: TEXT`.
pub(crate) fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    check(schema, value, "", &mut errors);
    errors
}

fn check(schema: &Value, value: &Value, path: &str, errors: &mut Vec<String>) {
    let expected = schema["type"].as_str().unwrap_or_default();
    let is_of_type = match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        other => {
            panic!("{path}: the schema has the type {other:?}, which this check does not know")
        }
    };
    if !is_of_type {
        errors.push(format!("{path}: {value} must be of type {expected}"));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        errors.push(format!("{path}: {value} is not one of {}", schema["enum"]));
    }
    match value {
        Value::Number(number) => check_range(schema, number.as_f64().unwrap(), path, errors),
        Value::String(text) => check_text(schema, text, path, errors),
        Value::Array(items) => check_list(schema, items, path, errors),
        Value::Object(fields) => check_fields(schema, fields, path, errors),
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_range(schema: &Value, number: f64, path: &str, errors: &mut Vec<String>) {
    if let Some(minimum) = schema["minimum"].as_f64()
        && number < minimum
    {
        errors.push(format!(
            "{path}: {number} should be greater than or equal to {minimum}"
        ));
    }
    if let Some(maximum) = schema["maximum"].as_f64()
        && number > maximum
    {
        errors.push(format!(
            "{path}: {number} should be less than or equal to {maximum}"
        ));
    }
}

fn check_text(schema: &Value, text: &str, path: &str, errors: &mut Vec<String>) {
    check_size(
        schema,
        ["minLength", "maxLength"],
        text.chars().count(),
        path,
        errors,
    );
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).unwrap().is_match(text)
    {
        errors.push(format!("{path}: {text:?} should match {pattern}"));
    }
}

fn check_list(schema: &Value, items: &[Value], path: &str, errors: &mut Vec<String>) {
    check_size(schema, ["minItems", "maxItems"], items.len(), path, errors);
    for (index, item) in items.iter().enumerate() {
        check(&schema["items"], item, &format!("{path}[{index}]"), errors);
    }
    let keys: Option<Vec<String>> = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(items.iter().map(Value::to_string).collect()),
        Some("map") => {
            let names = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
            let key = |item: &Value| {
                names
                    .iter()
                    .map(|name| item[name.as_str().unwrap()].to_string())
                    .collect::<Vec<_>>()
                    .join(",")
            };
            Some(items.iter().map(key).collect())
        }
        _ => None,
    };
    let mut seen = BTreeSet::new();
    for (index, key) in keys.into_iter().flatten().enumerate() {
        if !seen.insert(key.clone()) {
            errors.push(format!("{path}[{index}]: Duplicate value {key}"));
        }
    }
}

fn check_fields(
    schema: &Value,
    fields: &serde_json::Map<String, Value>,
    path: &str,
    errors: &mut Vec<String>,
) {
    check_size(
        schema,
        ["minProperties", "maxProperties"],
        fields.len(),
        path,
        errors,
    );
    for required in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !fields.contains_key(required) {
            errors.push(format!("{path}.{required}: Required value"));
        }
    }
    for (name, value) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        // The API server's own, described by no definition.
        if ["apiVersion", "kind", "metadata"].contains(&path.as_str()) {
            continue;
        }
        let property = &schema["properties"][name];
        let schema = if property.is_object() {
            property
        } else {
            &schema["additionalProperties"]
        };
        if schema.is_object() {
            check(schema, value, &path, errors);
        } else {
            errors.push(format!("{path}: unknown field"));
        }
    }
}

fn check_size(
    schema: &Value,
    bounds: [&str; 2],
    size: usize,
    path: &str,
    errors: &mut Vec<String>,
) {
    let [least, most] = bounds.map(|name| {
        schema[name]
            .as_u64()
            .map(|bound| usize::try_from(bound).unwrap())
    });
    if let Some(least) = least
        && size < least
    {
        errors.push(format!("{path}: should have at least {least}, has {size}"));
    }
    if let Some(most) = most
        && size > most
    {
        errors.push(format!("{path}: should have at most {most}, has {size}"));
    }
}
