//! From the JSON of a `NodePlan` or `PlanSlice` to its type. Pure.
//!
//! The version is looked at before the rest is decoded, so that a plan of a later format is refused
//! by name and not by whichever field happens to be new.

use lvs_crds::v1alpha1::node_plan::FORMAT_VERSION;
use lvs_crds::v1alpha1::{NodePlanSpec, PlanSliceSpec};
use serde::Deserialize as _;
use serde_json::Value;

/// Features that a plan may require of this agent.
pub const FEATURES: &[&str] = &[];

/// Why a plan is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object} is not carried out: {message}")]
pub struct Refusal {
    /// The object, as `NodePlan/name`.
    pub object: String,
    /// Its generation, if it is the `NodePlan`.
    pub generation: Option<i64>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Decodes the spec of the `NodePlan` called `name`.
///
/// # Errors
/// When the format or a required feature is unknown, or the spec does not decode.
pub fn node_plan(name: &str, generation: i64, spec: &Value) -> Result<NodePlanSpec, Refusal> {
    let refuse = |message: String| Refusal {
        object: format!("NodePlan/{name}"),
        generation: Some(generation),
        message,
    };
    let version = spec.get("formatVersion").and_then(Value::as_i64);
    if version != Some(i64::from(FORMAT_VERSION)) {
        let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        return Err(refuse(format!(
            "spec.formatVersion is {found}, this agent ({}) knows {FORMAT_VERSION}; \
             upgrade the agent",
            env!("CARGO_PKG_VERSION"),
        )));
    }
    let required = spec.get("requiredFeatures").and_then(Value::as_array);
    let missing: Vec<_> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|feature| !FEATURES.contains(feature))
        .collect();
    if !missing.is_empty() {
        return Err(refuse(format!(
            "spec.requiredFeatures names {}, which this agent ({}) lacks; upgrade the agent",
            missing.join(", "),
            env!("CARGO_PKG_VERSION"),
        )));
    }
    NodePlanSpec::deserialize(spec)
        .map_err(|error| refuse(format!("spec does not decode: {error}")))
}

/// Decodes the spec of the `PlanSlice` called `name`.
///
/// # Errors
/// When the spec does not decode.
pub fn plan_slice(name: &str, spec: &Value) -> Result<PlanSliceSpec, Refusal> {
    PlanSliceSpec::deserialize(spec).map_err(|error| slice_refusal(name, &error.to_string()))
}

/// Refuses the `PlanSlice` called `name`, whose spec does not decode.
#[must_use]
pub fn slice_refusal(name: &str, reason: &str) -> Refusal {
    Refusal {
        object: format!("PlanSlice/{name}"),
        generation: None,
        message: format!("spec does not decode: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_of_this_version_decodes() {
        let spec = json!({"formatVersion": 1, "revision": "r1"});
        let plan = node_plan("lb-1", 3, &spec).expect("a plan");
        assert_eq!(plan.revision, "r1");
        assert_eq!(plan.director, None);
    }

    #[test]
    fn an_unknown_version_is_named_even_if_the_rest_is_unreadable() {
        for (spec, found) in [
            (
                json!({"formatVersion": 2, "director": "of another shape"}),
                "2",
            ),
            (json!({}), "none"),
            (json!(null), "none"),
        ] {
            let refusal = node_plan("lb-1", 3, &spec).expect_err("refused");
            assert_eq!(refusal.generation, Some(3));
            let expected = format!("formatVersion is {found}");
            assert!(refusal.message.contains(&expected), "{refusal}");
        }
    }

    #[test]
    fn features_that_are_lacking_are_named() {
        let spec = json!({
            "formatVersion": 1, "revision": "r", "requiredFeatures": ["Tunnel", "FirewallMark"],
        });
        let refusal = node_plan("lb-1", 1, &spec).expect_err("refused");
        assert!(
            refusal.message.contains("Tunnel, FirewallMark"),
            "{refusal}"
        );
    }

    #[test]
    fn a_field_of_the_wrong_type_is_refused() {
        let spec = json!({"formatVersion": 1, "revision": 7});
        let refusal = node_plan("lb-1", 1, &spec).expect_err("refused");
        assert!(refusal.message.contains("does not decode"), "{refusal}");
        let refusal = plan_slice("edge-0", &json!({"services": 1})).expect_err("refused");
        assert_eq!(refusal.object, "PlanSlice/edge-0");
    }
}
