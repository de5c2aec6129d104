//! No client: the `DaemonSet`s, from the pod templates that the chart puts into a `ConfigMap`.

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet},
        core::v1::{
            Affinity, ConfigMap, NodeAffinity, NodeSelector, NodeSelectorRequirement,
            NodeSelectorTerm, PodTemplateSpec,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
        util::intstr::IntOrString,
    },
};

use crate::{
    digest,
    node::compile::{DIRECTOR_LABEL, REAL_SERVER_LABEL},
};

/// Annotation of a pod: digest of the template that it was made from.
pub const TEMPLATE_ANNOTATION: &str = "lvs-operator.dev/template";
/// Label of a pod: which agent it is.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// Labels by which a `DaemonSet` knows its pods. They never change with a version.
const SELECTOR_LABELS: [&str; 3] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    COMPONENT_LABEL,
];

/// The two kinds of agent pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agent {
    /// On nodes that are directors, also when they are real servers. Restarted by the operator,
    /// one at a time.
    Director,
    /// On nodes that are real servers alone. Restarted by Kubernetes: a restart does no harm there.
    RealServer,
}

impl Agent {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Director, Self::RealServer];

    /// Name of its `DaemonSet` and its `app.kubernetes.io/component`.
    #[must_use]
    pub fn component(self) -> &'static str {
        match self {
            Self::Director => "director-agent",
            Self::RealServer => "real-server-agent",
        }
    }

    /// Name of its `DaemonSet`.
    #[must_use]
    pub fn daemon_set(self) -> String {
        format!("lvs-{}", self.component())
    }

    /// Key of its template in the `ConfigMap`.
    #[must_use]
    pub fn template_key(self) -> &'static str {
        match self {
            Self::Director => "director.yaml",
            Self::RealServer => "real-server.yaml",
        }
    }

    fn requirements(self) -> Vec<NodeSelectorRequirement> {
        let requirement =
            |key: &str, operator: &str, values: Option<Vec<String>>| NodeSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values,
            };
        match self {
            Self::Director => vec![requirement(DIRECTOR_LABEL, "Exists", None)],
            Self::RealServer => vec![
                requirement(REAL_SERVER_LABEL, "In", Some(vec!["true".to_owned()])),
                requirement(DIRECTOR_LABEL, "DoesNotExist", None),
            ],
        }
    }

    fn update_strategy(self) -> DaemonSetUpdateStrategy {
        match self {
            Self::Director => DaemonSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            },
            Self::RealServer => DaemonSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDaemonSet {
                    max_surge: None,
                    max_unavailable: Some(IntOrString::String("10%".to_owned())),
                }),
            },
        }
    }
}

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The `ConfigMap` lacks the key.
    #[error("ConfigMap {config_map} has no key {key}; the chart writes it")]
    Missing {
        /// Name of the `ConfigMap`.
        config_map: String,
        /// The key.
        key: &'static str,
    },
    /// It is not a pod template.
    #[error("key {key} of ConfigMap {config_map} is not a PodTemplateSpec: {source}")]
    Invalid {
        /// Name of the `ConfigMap`.
        config_map: String,
        /// The key.
        key: &'static str,
        /// Where it is wrong.
        source: serde_yaml::Error,
    },
    /// It has no pod specification.
    #[error("key {key} of ConfigMap {config_map} has no spec")]
    NoSpec {
        /// Name of the `ConfigMap`.
        config_map: String,
        /// The key.
        key: &'static str,
    },
    /// It cannot be written as JSON.
    #[error("the pod template cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The `DaemonSet` of an agent, owned by the `ConfigMap`, and the digest of its template.
///
/// # Errors
/// When the template is missing or is none.
pub fn daemon_set(
    agent: Agent,
    config_map: &ConfigMap,
    namespace: &str,
) -> Result<(DaemonSet, String), TemplateError> {
    let key = agent.template_key();
    let name = || config_map.metadata.name.clone().unwrap_or_default();
    let text = config_map
        .data
        .as_ref()
        .and_then(|data| data.get(key))
        .ok_or_else(|| TemplateError::Missing {
            config_map: name(),
            key,
        })?;
    let mut template: PodTemplateSpec =
        serde_yaml::from_str(text).map_err(|source| TemplateError::Invalid {
            config_map: name(),
            key,
            source,
        })?;
    let spec = template
        .spec
        .as_mut()
        .ok_or_else(|| TemplateError::NoSpec {
            config_map: name(),
            key,
        })?;
    require(spec.affinity.get_or_insert_default(), &agent.requirements());
    let metadata = template.metadata.get_or_insert_default();
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(COMPONENT_LABEL.to_owned(), agent.component().to_owned());
    let selector = labels
        .iter()
        .filter(|(label, _)| SELECTOR_LABELS.contains(&label.as_str()))
        .map(|(label, value)| (label.clone(), value.clone()))
        .collect();
    let labels = labels.clone();
    let digest = digest::of(&template)?;
    template
        .metadata
        .get_or_insert_default()
        .annotations
        .get_or_insert_default()
        .insert(TEMPLATE_ANNOTATION.to_owned(), digest.clone());
    let daemon_set = DaemonSet {
        metadata: ObjectMeta {
            name: Some(agent.daemon_set()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels),
            owner_references: owner(config_map).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(DaemonSetSpec {
            selector: LabelSelector {
                match_labels: Some(selector),
                match_expressions: None,
            },
            template,
            update_strategy: Some(agent.update_strategy()),
            ..DaemonSetSpec::default()
        }),
        status: None,
    };
    Ok((daemon_set, digest))
}

/// The `ConfigMap` as the owner of the `DaemonSet`s, so that they go with the release. The operator
/// itself is none: made anew, it would take all agents with it.
fn owner(config_map: &ConfigMap) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: config_map.metadata.name.clone()?,
        uid: config_map.metadata.uid.clone()?,
        controller: None,
        block_owner_deletion: Some(false),
    })
}

/// Adds requirements to every way in which the template lets a node be chosen.
fn require(affinity: &mut Affinity, requirements: &[NodeSelectorRequirement]) {
    let selector = affinity
        .node_affinity
        .get_or_insert_with(NodeAffinity::default)
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_with(NodeSelector::default);
    if selector.node_selector_terms.is_empty() {
        selector
            .node_selector_terms
            .push(NodeSelectorTerm::default());
    }
    for term in &mut selector.node_selector_terms {
        term.match_expressions
            .get_or_insert_default()
            .extend(requirements.iter().cloned());
    }
}
