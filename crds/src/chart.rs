//! The definitions as templates of the Helm chart.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use thiserror::Error;

/// Why a template cannot be written.
#[derive(Debug, Error)]
pub enum Error {
    /// The definition has no form in YAML.
    #[error("the definition of {plural} cannot be written as YAML: {source}")]
    Yaml {
        /// Plural name of the kind.
        plural: String,
        /// What the serialiser says.
        source: serde_yaml::Error,
    },
    /// Helm would take a text of the definition for one of its actions.
    #[error(
        "the definition of {plural} has '{{{{' in a text, which begins an action of Helm: reword it"
    )]
    Action {
        /// Plural name of the kind.
        plural: String,
    },
}

/// A value as YAML that every parser reads alike.
///
/// Helm and kubectl read YAML 1.1, where `Off` without quotes is the boolean false; the serialiser
/// writes YAML 1.2, where it is a string and needs none.
///
/// # Errors
/// When the value cannot be written as YAML.
pub fn yaml(value: &impl Serialize) -> Result<String, serde_yaml::Error> {
    let text = serde_yaml::to_string(value)?;
    Ok(text.lines().fold(String::new(), |mut quoted, line| {
        let start = ["- ", ": "]
            .iter()
            .filter_map(|mark| line.rfind(mark))
            .max()
            .map_or(0, |at| at + 2);
        let (before, scalar) = line.split_at(start);
        // Writing to a String cannot fail.
        let _ = if BOOLEANS_OF_YAML_1_1.contains(&scalar.to_ascii_lowercase().as_str()) {
            writeln!(quoted, "{before}'{scalar}'")
        } else {
            writeln!(quoted, "{line}")
        };
        quoted
    }))
}

/// Words that are booleans in YAML 1.1 and strings in YAML 1.2.
const BOOLEANS_OF_YAML_1_1: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// File name of a definition's template.
#[must_use]
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}.yaml", crd.spec.names.plural)
}

/// Template of a definition: installed when `crds.enabled`, kept at uninstall when `crds.keep`.
///
/// # Errors
/// When the definition cannot be written as YAML, or has a text that Helm would interpret.
pub fn template(crd: &CustomResourceDefinition) -> Result<String, Error> {
    let plural = || crd.spec.names.plural.clone();
    let spec = yaml(&crd.spec).map_err(|source| Error::Yaml {
        plural: plural(),
        source,
    })?;
    if spec.contains("{{") {
        return Err(Error::Action { plural: plural() });
    }
    let mut template = format!(
        "\
{{{{- /* Written by `make crds` from the types in crds/; edit those. */ -}}}}
{{{{- if .Values.crds.enabled }}}}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {name}
  labels:
    {{{{- include \"lvs-operator.labels\" . | nindent 4 }}}}
  {{{{- if .Values.crds.keep }}}}
  annotations:
    # Deleting a definition deletes every object of its kind.
    helm.sh/resource-policy: keep
  {{{{- end }}}}
spec:
",
        name = crd.metadata.name.as_deref().unwrap_or_default(),
    );
    for line in spec.lines() {
        // Writing to a String cannot fail.
        let _ = if line.is_empty() {
            writeln!(template)
        } else {
            writeln!(template, "  {line}")
        };
    }
    template.push_str("{{- end }}\n");
    Ok(template)
}
