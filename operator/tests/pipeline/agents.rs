//! The agents' `DaemonSet`s, and the order in which directors' agents are restarted.

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{ConfigMap, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;
use lvs_operator::agents::template::{TEMPLATE_ANNOTATION, TemplateError};
use serde_json::Value;

use crate::sim::{Sim, WEB};

fn templates(image: &str) -> Arc<ConfigMap> {
    let template = |component: &str| {
        format!(
            "
metadata:
  labels:
    app.kubernetes.io/name: lvs-operator
    app.kubernetes.io/instance: lvs
    app.kubernetes.io/component: {component}
    app.kubernetes.io/version: 1.2.3
spec:
  hostNetwork: true
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/arch, operator: In, values: [amd64]}}]
  containers: [{{name: agent, image: '{image}'}}]
"
        )
    };
    let mut config_map = ConfigMap::default();
    config_map.metadata.name = Some("lvs-agent-templates".to_owned());
    config_map.metadata.uid = Some("templates-uid".to_owned());
    config_map.data = Some(
        [
            ("director.yaml", "director-agent"),
            ("real-server.yaml", "real-server-agent"),
        ]
        .map(|(key, component)| (key.to_owned(), template(component)))
        .into(),
    );
    Arc::new(config_map)
}

fn daemon_set(sim: &mut Sim, name: &str) -> Value {
    let decision = sim.decide();
    assert!(
        decision.template_errors.is_empty(),
        "{:?}",
        decision.template_errors
    );
    decision
        .daemon_sets
        .into_iter()
        .find(|(found, _)| found == name)
        .unwrap()
        .1
}

/// A pod of the directors' agent, made from the present template.
fn pod(sim: &mut Sim, node: &str, ready: bool) -> Arc<Pod> {
    let template = daemon_set(sim, "lvs-director-agent")["spec"]["template"].clone();
    let mut pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": template["metadata"],
        "spec": {"nodeName": node, "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    }))
    .unwrap();
    pod.metadata.name = Some(format!(
        "agent-{node}-{}",
        pod.annotations()[TEMPLATE_ANNOTATION]
    ));
    Arc::new(pod)
}

fn with_agents(yaml: &str) -> Sim {
    let mut sim = Sim::converged(yaml);
    sim.world.agent_templates = Some(templates("agent:1"));
    sim.world.agent_pods = vec![pod(&mut sim, "lb-1", true), pod(&mut sim, "lb-2", true)];
    sim
}

#[test]
fn daemon_sets_select_nodes_by_label_alone() {
    let mut sim = Sim::new("");
    sim.world.agent_templates = Some(templates("agent:1"));
    let terms = |daemon_set: &Value| {
        let affinity = &daemon_set["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
        let terms =
            &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
        assert_eq!(terms.as_array().unwrap().len(), 1);
        serde_json::to_string(&terms[0]["matchExpressions"]).unwrap()
    };
    let director = daemon_set(&mut sim, "lvs-director-agent");
    assert_eq!(director["spec"]["updateStrategy"]["type"], "OnDelete");
    assert!(
        terms(&director).contains(r#"{"key":"lvs-operator.dev/director","operator":"Exists"}"#)
    );
    assert!(
        terms(&director).contains("amd64"),
        "what the chart says stays"
    );
    let real_server = daemon_set(&mut sim, "lvs-real-server-agent");
    assert_eq!(
        real_server["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"],
        "10%"
    );
    assert!(
        terms(&real_server)
            .contains(r#"{"key":"lvs-operator.dev/director","operator":"DoesNotExist"}"#)
    );
    assert!(terms(&real_server).contains("lvs-operator.dev/real-server"));
    assert_eq!(
        director["metadata"]["ownerReferences"],
        serde_json::json!([{
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "lvs-agent-templates",
            "uid": "templates-uid",
            "blockOwnerDeletion": false,
        }]),
        "not the operator, which may be made anew"
    );
    let selector = director["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap();
    assert_eq!(selector.len(), 3, "no version: it could never change");

    // A node that gets a role changes neither.
    sim.apply(WEB);
    sim.converge();
    assert_eq!(director, daemon_set(&mut sim, "lvs-director-agent"));
    assert_eq!(real_server, daemon_set(&mut sim, "lvs-real-server-agent"));
}

#[test]
fn a_template_that_is_none_is_reported_and_stops_nothing_else() {
    let mut sim = Sim::new(WEB);
    let config_map = ConfigMap {
        data: Some([("director.yaml".to_owned(), "spec: 7".to_owned())].into()),
        ..ConfigMap::default()
    };
    sim.world.agent_templates = Some(Arc::new(config_map));
    let decision = sim.decide();
    assert!(matches!(
        decision.template_errors.as_slice(),
        [TemplateError::Invalid { .. }, TemplateError::Missing { .. }]
    ));
    assert!(!decision.nodes.plans.is_empty());
}

#[test]
fn backups_first_and_the_active_one_last() {
    let mut sim = with_agents(WEB);
    assert!(sim.decide().restarts.is_empty(), "all are up to date");
    sim.world.agent_templates = Some(templates("agent:2"));
    let name = |sim: &Sim, index: usize| sim.world.agent_pods[index].name_any();
    assert_eq!(sim.decide().restarts, [name(&sim, 1)], "lb-2 is Backup");

    // It is on its way out: nobody else goes meanwhile.
    let mut leaving = (*sim.world.agent_pods[1]).clone();
    leaving.metadata.deletion_timestamp = Some(Time(sim.now));
    sim.world.agent_pods[1] = Arc::new(leaving);
    assert!(sim.decide().restarts.is_empty());
    // Its successor is not ready.
    sim.world.agent_pods[1] = pod(&mut sim, "lb-2", false);
    assert!(sim.decide().restarts.is_empty());
    // Now it can take over.
    sim.world.agent_pods[1] = pod(&mut sim, "lb-2", true);
    assert_eq!(sim.decide().restarts, [name(&sim, 0)]);
    sim.world.agent_pods[0] = pod(&mut sim, "lb-1", true);
    assert!(sim.decide().restarts.is_empty());
}

#[test]
fn the_active_one_stays_while_the_backup_has_not_its_plan() {
    let mut sim = with_agents(WEB);
    sim.world.agent_templates = Some(templates("agent:2"));
    sim.world.agent_pods[1] = pod(&mut sim, "lb-2", true);
    let plan = Arc::make_mut(sim.world.node_plans.get_mut("lb-2").unwrap());
    plan.status.as_mut().unwrap().applied_revision = Some("older".to_owned());
    assert!(sim.decide().restarts.is_empty());
}

#[test]
fn one_that_does_not_run_is_replaced_at_once() {
    let mut sim = with_agents(WEB);
    sim.world.agent_pods[0] = pod(&mut sim, "lb-1", false);
    sim.world.agent_templates = Some(templates("agent:2"));
    let broken = sim.world.agent_pods[0].name_any();
    assert_eq!(sim.decide().restarts, [broken]);
}

#[test]
fn the_active_one_stays_while_the_backup_has_no_pod() {
    let mut sim = with_agents(WEB);
    sim.world.agent_templates = Some(templates("agent:2"));
    let active = sim.world.agent_pods[0].name_any();
    // The old pod is gone and its successor has not been made.
    sim.world.agent_pods.truncate(1);
    assert!(sim.decide().restarts.is_empty());
    // It has been made and waits for its node.
    let successor = pod(&mut sim, "lb-2", true);
    let mut unscheduled = (*successor).clone();
    unscheduled.spec.as_mut().unwrap().node_name = None;
    sim.world.agent_pods.push(Arc::new(unscheduled));
    assert!(sim.decide().restarts.is_empty());
    sim.world.agent_pods[1] = successor;
    assert_eq!(sim.decide().restarts, [active]);
}
