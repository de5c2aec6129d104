//! Nodes get roles and lose them; the label, and with it the agent, stays until all is released.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use lvs_crds::v1alpha1::{AdminState, Director, RealServerAdminState};

use crate::sim::{Sim, WEB, condition_of};

fn labels(sim: &Sim, node: &str) -> Vec<String> {
    let labels = sim.world.nodes[node]
        .metadata
        .labels
        .clone()
        .unwrap_or_default();
    labels
        .into_iter()
        .filter(|(label, _)| label.starts_with("lvs-operator.dev/"))
        .map(|(label, value)| format!("{label}={value}"))
        .collect()
}

#[test]
fn roles_are_labelled() {
    let sim = Sim::converged(WEB);
    assert_eq!(labels(&sim, "lb-1"), ["lvs-operator.dev/director=edge"]);
    assert_eq!(labels(&sim, "web-1"), ["lvs-operator.dev/real-server=true"]);
    assert!(labels(&sim, "spare-1").is_empty());
    assert!(!sim.world.node_plans.contains_key("spare-1"));
}

#[test]
fn a_director_that_leaves_releases_before_its_agent_goes() {
    let mut sim = Sim::converged(WEB);
    sim.edit_pair("edge", |pair| {
        pair.spec
            .directors
            .retain(|director| director.node_name == "lb-1");
    });
    sim.operate();
    sim.operate();
    let plan = &sim.world.node_plans["lb-2"];
    assert!(plan.spec.director.is_none(), "told to release");
    assert_eq!(
        labels(&sim, "lb-2"),
        ["lvs-operator.dev/director=edge"],
        "the agent is still needed"
    );
    sim.agent("lb-2");
    sim.operate();
    assert!(labels(&sim, "lb-2").is_empty());
    assert!(!sim.world.node_plans.contains_key("lb-2"));
    sim.converge();
}

#[test]
fn a_node_whose_agent_has_never_run_is_let_go_at_once() {
    let running = "{name: node-agent, image: i, imageID: i, ready: false, restartCount: 0, state: {running: {}}}";
    for (containers, let_go) in [("", true), (running, false)] {
        let mut sim = Sim::new(WEB);
        sim.operate();
        let pod: Pod = serde_yaml::from_str(&format!(
            "{{metadata: {{name: agent}}, spec: {{nodeName: web-1, containers: []}}, \
             status: {{containerStatuses: [{containers}]}}}}"
        ))
        .unwrap();
        sim.world.agent_pods.push(Arc::new(pod));
        sim.delete("default/web-1");
        for node in ["lb-1", "lb-2"] {
            sim.operate();
            sim.agent(node);
        }
        sim.operate();
        sim.operate();
        sim.operate();
        assert_eq!(
            !sim.world.node_plans.contains_key("web-1"),
            let_go,
            "{containers}"
        );
        assert_eq!(labels(&sim, "web-1").is_empty(), let_go, "{containers}");
    }
}

#[test]
fn a_node_with_both_roles_keeps_the_one_that_stays() {
    let mut sim = Sim::new(&WEB.replace("nodeName: lb-2}", "nodeName: web-2}"));
    sim.converge();
    assert_eq!(
        labels(&sim, "web-2"),
        [
            "lvs-operator.dev/director=edge",
            "lvs-operator.dev/real-server=true"
        ]
    );
    sim.edit_pair("edge", |pair| {
        pair.spec
            .directors
            .retain(|director| director.node_name == "lb-1");
    });
    sim.operate();
    assert_eq!(labels(&sim, "web-2").len(), 2, "not released yet");
    sim.converge();
    assert_eq!(labels(&sim, "web-2"), ["lvs-operator.dev/real-server=true"]);
    assert_eq!(
        sim.loopback("web-2"),
        ["192.168.1.222"],
        "now it can be a real server of the pair"
    );
}

#[test]
fn deleting_everything_leaves_nothing() {
    let mut sim = Sim::converged(WEB);
    for name in ["default/web", "default/web-1", "edge", "default/web-2"] {
        sim.delete(name);
        sim.converge();
    }
    assert!(
        sim.world.node_plans.is_empty(),
        "{:#?}",
        sim.world.node_plans
    );
    assert!(sim.world.slices.is_empty());
    assert!(
        sim.world
            .nodes
            .keys()
            .all(|node| labels(&sim, node).is_empty())
    );
}

#[test]
fn the_plan_of_a_node_that_is_gone_is_deleted() {
    let mut sim = Sim::converged(WEB);
    sim.world.nodes.remove("lb-2");
    sim.converge();
    assert!(!sim.world.node_plans.contains_key("lb-2"));
    let pair = sim.pair("edge").status.clone().unwrap();
    let (accepted, reason, message) = condition_of(&pair.conditions, "Accepted");
    assert_eq!((accepted, reason), ("False", "NodeNotFound"));
    assert!(message.contains("lb-2"), "{message}");
    // The other director goes on taking changes.
    sim.edit_real_server("default/web-1", |web| web.spec.weight = Some(9));
    sim.converge();
    assert_eq!(sim.members("default/web")["192.168.1.130"].weight, 9);
}

#[test]
fn a_disabled_director_is_released_and_not_waited_for() {
    let mut sim = Sim::converged(WEB);
    sim.edit_pair("edge", |pair| {
        pair.spec.directors[1].admin_state = AdminState::Disabled;
    });
    sim.converge();
    assert!(labels(&sim, "lb-2").is_empty());
    let pair = sim.pair("edge").status.clone().unwrap();
    assert_eq!(condition_of(&pair.conditions, "Programmed").0, "True");
    assert_eq!(condition_of(&pair.conditions, "Ready").0, "True");
}

#[test]
fn a_disabled_pair_releases_its_directors() {
    let mut sim = Sim::converged(WEB);
    sim.edit_pair("edge", |pair| pair.spec.admin_state = AdminState::Disabled);
    sim.converge();
    assert!(labels(&sim, "lb-1").is_empty());
    let service = sim.service("default/web").status.clone().unwrap();
    assert_eq!(
        condition_of(&service.conditions, "Programmed").1,
        "Disabled"
    );
    assert_eq!(condition_of(&service.conditions, "Ready").0, "False");
}

#[test]
fn an_object_that_turns_bad_keeps_its_last_good_plan() {
    let mut sim = Sim::converged(WEB);
    let before = (
        sim.service_plan("default/web").cloned(),
        sim.members("default/web"),
    );
    sim.edit_service("default/web", |web| {
        web.spec.instance = "outside".to_owned();
    });
    sim.converge();
    assert_eq!(
        before,
        (
            sim.service_plan("default/web").cloned(),
            sim.members("default/web")
        )
    );
    assert_eq!(sim.loopback("web-1"), ["192.168.1.222"]);
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    assert_eq!(condition_of(&conditions, "Accepted").1, "InstanceNotFound");
    sim.edit_service("default/web", |web| {
        web.spec.instance = "default".to_owned();
    });
    sim.converge();
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    assert_eq!(condition_of(&conditions, "Ready").0, "True");
}

#[test]
fn a_pair_that_turns_bad_keeps_its_last_good_plan() {
    let mut sim = Sim::converged(WEB);
    sim.apply(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: other}
spec:
  directors: [{nodeName: spare-1}]
  interface: {name: eth0}
  instances: [{name: default, virtualRouterID: 52}]
",
    );
    sim.converge();
    let plans = ["lb-1", "lb-2"].map(|node| sim.world.node_plans[node].spec.clone());
    let slices = sim.slices();
    sim.edit_pair("edge", |pair| {
        pair.spec.directors.push(Director {
            node_name: "spare-1".to_owned(),
            interface: None,
            source_address: None,
            admin_state: AdminState::Enabled,
        });
    });
    sim.converge();
    assert_eq!(
        plans,
        ["lb-1", "lb-2"].map(|node| sim.world.node_plans[node].spec.clone())
    );
    assert_eq!(slices, sim.slices());
    assert_eq!(sim.loopback("web-1"), ["192.168.1.222"]);
    let pair = sim.pair("edge").status.clone().unwrap();
    assert_eq!(
        condition_of(&pair.conditions, "Accepted").1,
        "NodeInAnotherPair"
    );
    assert_eq!(
        sim.world.node_plans["spare-1"]
            .spec
            .director
            .as_ref()
            .unwrap()
            .pair,
        "other"
    );
}

#[test]
fn the_last_real_server_of_a_family_leaves_a_running_service() {
    let mut sim = Sim::converged(
        &WEB.replace(
            "addresses: [192.168.1.222]",
            "addresses: [192.168.1.222, 2001:db8::222]",
        )
        .replace(
            "spec: {nodeName: web-2}",
            "spec: {address: '2001:db8::131'}",
        ),
    );
    assert!(sim.members("default/web").contains_key("2001:db8::131"));
    sim.edit_real_server("default/web-2", |real_server| {
        real_server.spec.admin_state = RealServerAdminState::Disabled;
    });
    sim.converge();
    let members = sim.members("default/web");
    assert_eq!(members.keys().collect::<Vec<_>>(), ["192.168.1.130"]);
    let status = sim.service("default/web").status.as_ref().unwrap();
    let (accepted, ..) = condition_of(&status.conditions, "Accepted");
    assert_eq!(accepted, "True");
    let (resolved, reason, message) = condition_of(&status.conditions, "ResolvedRefs");
    assert_eq!((resolved, reason), ("False", "MixedFamily"));
    assert!(message.contains("2001:db8::222"), "{message}");
}

#[test]
fn a_real_server_is_drained_when_its_directors_have_confirmed_it() {
    let mut sim = Sim::converged(WEB);
    sim.edit_real_server("default/web-2", |real_server| {
        real_server.spec.admin_state = RealServerAdminState::Drain;
    });
    let drained = |sim: &Sim| {
        let status = sim.real_server("default/web-2").status.as_ref().unwrap();
        let (status, reason, _) = condition_of(&status.conditions, "Drained");
        (status.to_owned(), reason.to_owned())
    };
    let pending = ("False".to_owned(), "Pending".to_owned());
    sim.operate();
    assert_eq!(drained(&sim), pending, "its weight is in the slices");
    sim.operate();
    assert_eq!(drained(&sim), pending, "the directors are at work");
    sim.agent("lb-2");
    sim.operate();
    assert_eq!(drained(&sim), pending, "one of two has confirmed");
    sim.agent("lb-1");
    sim.operate();
    assert_eq!(drained(&sim), ("True".to_owned(), "Draining".to_owned()));
}
