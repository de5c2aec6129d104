//! The custom resource definitions, as the chart installs them.
//!
//! The derive does nearly all; what it cannot say about a schema is added here, so that every user
//! of a definition must come through [`all`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::v1alpha1::{DirectorPair, NodePlan, PlanSlice, RealServer, VirtualService};

/// All definitions, the kinds that people write first.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        written_by_people(DirectorPair::crd()),
        written_by_people(VirtualService::crd()),
        written_by_people(RealServer::crd()),
        written_by_the_operator(NodePlan::crd()),
        written_by_the_operator(PlanSlice::crd()),
    ]
}

fn written_by_people(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for root in schemas(&mut crd) {
        default_status(root);
        visit(root, &mut refuse_null);
    }
    crd
}

fn written_by_the_operator(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for root in schemas(&mut crd) {
        default_status(root);
        visit(root, &mut |schema| {
            refuse_null(schema);
            // The operator compiles plans from objects that have passed the same rules. Here they
            // would run again for every plan, over lists that are far longer.
            schema.x_kubernetes_validations = None;
        });
    }
    crd
}

fn schemas(crd: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut JSONSchemaProps> {
    crd.spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
}

/// A new object says that nobody has looked at it yet.
fn default_status(root: &mut JSONSchemaProps) {
    if let Some(status) = root
        .properties
        .as_mut()
        .and_then(|properties| properties.get_mut("status"))
    {
        status.default = Some(JSON(
            json!({"observedGeneration": crate::v1alpha1::condition::unobserved()}),
        ));
    }
}

/// An `Option` is absent or has a value. An explicit null is dropped by the API server, so that a
/// rule's `has()` means what it says.
fn refuse_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
}

fn visit(schema: &mut JSONSchemaProps, change: &mut impl FnMut(&mut JSONSchemaProps)) {
    change(schema);
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        visit(property, change);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => visit(item, change),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            for item in items {
                visit(item, change);
            }
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        visit(value, change);
    }
}
