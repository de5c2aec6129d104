//! The definitions as templates of the Helm chart.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
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
    let spec = serde_yaml::to_string(&crd.spec).map_err(|source| Error::Yaml {
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
