//! The order in which direct routing is put into service and taken out: no packet may reach a real
//! server that does not have the VIP, or one that would answer ARP for it.

use lvs_crds::v1alpha1::{AdminState, ForwardingMethod, RealServerAdminState};

use crate::sim::{Sim, WEB, condition_of, is_empty};

#[test]
fn a_real_server_gets_its_weight_when_its_loopback_is_ready() {
    let mut sim = Sim::new(WEB);
    sim.operate();
    let weights = |sim: &Sim| -> Vec<i32> {
        sim.members("default/web")
            .values()
            .map(|member| member.weight)
            .collect()
    };
    assert_eq!(weights(&sim), [0, 0], "nobody has confirmed a loopback");
    assert_eq!(sim.loopback("web-1"), ["192.168.1.222"]);
    let status = sim.service("default/web").status.clone().unwrap();
    let (healthy, reason, message) = condition_of(&status.conditions, "BackendsHealthy");
    assert_eq!((healthy, reason), ("False", "AllBackendsDraining"));
    assert!(message.contains("default/web-1"), "{message}");

    sim.agent("web-2");
    sim.operate();
    assert_eq!(weights(&sim), [0, 1], "web-2 has confirmed its own");

    sim.converge();
    assert_eq!(weights(&sim), [1, 1]);
}

#[test]
fn a_report_on_an_older_plan_does_not_count() {
    let mut sim = Sim::converged(WEB);
    sim.apply(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: second, namespace: default}
spec:
  directorPairRef: {name: edge}
  frontend: {addresses: [192.168.1.223], ports: [{name: http, port: 80}]}
  backends: [{name: web, realServerSelector: {matchLabels: {app: web}}}]
",
    );
    sim.operate();
    // Written, and nobody has answered yet.
    sim.operate();
    assert!(
        sim.members("default/second")
            .values()
            .all(|member| member.weight == 0)
    );
    assert!(
        sim.members("default/web")
            .values()
            .all(|member| member.weight == 1),
        "the service that shares the pool goes on"
    );
    sim.converge();
    assert_eq!(
        sim.service_plan("default/second").unwrap().pools,
        sim.service_plan("default/web").unwrap().pools,
        "one pool, once both are ready"
    );
}

#[test]
fn once_admitted_a_real_server_stays() {
    let mut sim = Sim::converged(WEB);
    let plan = sim.world.node_plans.get_mut("web-1").unwrap();
    std::sync::Arc::make_mut(plan).status = None;
    let decision = sim.operate();
    assert!(decision.slices.gaining.is_empty() && decision.slices.others.is_empty());
    assert_eq!(sim.members("default/web")["192.168.1.130"].weight, 1);
}

#[test]
fn a_vip_leaves_the_loopback_after_the_directors_have_let_go() {
    let mut sim = Sim::converged(WEB);
    sim.delete("default/web-1");
    sim.operate();
    sim.operate();
    assert!(!sim.members("default/web").contains_key("192.168.1.130"));
    assert_eq!(
        sim.loopback("web-1"),
        ["192.168.1.222"],
        "a director may still send to it"
    );
    sim.agent("lb-1");
    sim.operate();
    assert_eq!(
        sim.loopback("web-1"),
        ["192.168.1.222"],
        "the other one too"
    );
    sim.agent("lb-2");
    sim.operate();
    assert!(sim.loopback("web-1").is_empty());
    assert!(
        sim.world.nodes["web-1"]
            .metadata
            .labels
            .as_ref()
            .unwrap()
            .contains_key("lvs-operator.dev/real-server")
    );
    sim.converge();
    assert!(!sim.world.node_plans.contains_key("web-1"));
}

#[test]
fn a_dead_director_is_not_waited_for() {
    let mut sim = Sim::converged(WEB);
    sim.set_ready("lb-2", false);
    sim.delete("default/web-1");
    sim.converge();
    assert!(!sim.world.node_plans.contains_key("web-1"));
}

#[test]
fn a_director_that_is_stuck_holds_up_its_own_pair_alone() {
    let mut sim = Sim::converged(
        &(WEB.to_owned()
            + "
---
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: other}
spec:
  directors: [{nodeName: spare-1}]
  interface: {name: eth0}
  instances: [{name: default, virtualRouterID: 52}]
---
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: other, namespace: default}
spec:
  directorPairRef: {name: other}
  frontend: {addresses: [192.168.1.60], ports: [{name: http, port: 80}]}
  backends: [{name: web, realServerSelector: {matchLabels: {app: web}}}]
"),
    );
    assert_eq!(sim.loopback("web-1"), ["192.168.1.60", "192.168.1.222"]);
    sim.delete("default/web");
    sim.delete("default/other");
    sim.operate();
    sim.operate();
    for node in ["lb-1", "lb-2", "web-1", "web-2"] {
        sim.agent(node);
    }
    sim.operate();
    sim.operate();
    assert_eq!(
        sim.loopback("web-1"),
        ["192.168.1.60"],
        "spare-1 says nothing"
    );
    sim.agent("spare-1");
    sim.operate();
    assert!(sim.loopback("web-1").is_empty());
    sim.converge();
}

#[test]
fn a_vip_comes_to_a_running_service_when_its_members_have_it() {
    let mut sim = Sim::converged(WEB);
    sim.edit_service("default/web", |web| {
        web.spec.frontend.addresses.push("192.168.1.223".to_owned());
    });
    let vips = |sim: &Sim| sim.service_plan("default/web").unwrap().addresses.clone();
    sim.operate();
    sim.agent("web-1");
    sim.operate();
    assert_eq!(vips(&sim), ["192.168.1.222"], "web-2 lacks it");
    assert!(
        sim.members("default/web")
            .values()
            .all(|member| member.weight == 1),
        "the old VIP goes on"
    );
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    let (programmed, _, message) = condition_of(&conditions, "Programmed");
    assert_eq!(programmed, "False");
    assert!(
        message.contains("192.168.1.223") && message.contains("web-2"),
        "{message}"
    );
    // Nobody waits for a node that cannot answer.
    let mut without = sim.world.clone();
    std::mem::swap(&mut sim.world, &mut without);
    sim.set_ready("web-2", false);
    sim.operate();
    assert_eq!(vips(&sim), ["192.168.1.222", "192.168.1.223"]);
    sim.world = without;
    sim.converge();
    assert_eq!(vips(&sim), ["192.168.1.222", "192.168.1.223"]);
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    assert_eq!(condition_of(&conditions, "Ready").0, "True");
}

#[test]
fn direct_routing_follows_nat_when_the_members_have_the_vip() {
    let mut sim = Sim::converged(&WEB.replace("healthCheck: {}", "forwarding: {method: NAT}"));
    sim.edit_service("default/web", |web| {
        web.spec.forwarding = serde_yaml::from_str("{method: DR}").unwrap();
    });
    sim.operate();
    let method = |sim: &Sim| sim.service_plan("default/web").unwrap().forwarding.method;
    assert_eq!(method(&sim), ForwardingMethod::NAT);
    assert_eq!(sim.loopback("web-1"), ["192.168.1.222"]);
    sim.converge();
    assert_eq!(method(&sim), ForwardingMethod::DR);
    assert!(
        sim.members("default/web")
            .values()
            .all(|member| member.weight == 1)
    );
}

#[test]
fn a_node_takes_no_more_vips_than_its_plan_can_hold() {
    let mut sim = Sim::converged(WEB);
    let template = sim.service("default/web").clone();
    for index in 0..65_u32 {
        let mut service = template.clone();
        service.metadata.name = Some(format!("s{index}"));
        service.metadata.uid = Some(format!("uid {index}"));
        service.metadata.creation_timestamp = None;
        service.status = None;
        service.spec.frontend.addresses =
            (0..64).map(|vip| format!("10.9.{index}.{vip}")).collect();
        sim.world.services.push(std::sync::Arc::new(service));
    }
    sim.world.sort();
    sim.operate();
    sim.operate();
    let vips = sim.loopback("web-1");
    assert_eq!(vips.len(), 4096);
    assert!(vips.contains(&"192.168.1.222"), "what is there stays");
    let conditions = sim
        .real_server("default/web-1")
        .status
        .clone()
        .unwrap()
        .conditions;
    let (configured, reason, message) = condition_of(&conditions, "LoopbackConfigured");
    assert_eq!((configured, reason), ("False", "TooManyAddresses"));
    assert!(
        message.contains("4161") && message.contains("4096"),
        "{message}"
    );
}

#[test]
fn a_service_that_is_disabled_leaves_directors_first() {
    let mut sim = Sim::converged(WEB);
    sim.edit_service("default/web", |web| {
        web.spec.admin_state = AdminState::Disabled;
    });
    sim.operate();
    assert!(sim.service_plan("default/web").is_none());
    assert_eq!(sim.loopback("web-1"), ["192.168.1.222"]);
    sim.converge();
    assert!(sim.loopback("web-1").is_empty());
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    assert_eq!(condition_of(&conditions, "Ready").1, "Disabled");
}

#[test]
fn admin_states_of_a_real_server() {
    for (state, weight, checked) in [
        (RealServerAdminState::Enabled, Some(7), true),
        (RealServerAdminState::Drain, Some(0), true),
        (RealServerAdminState::Maintenance, Some(0), false),
        (RealServerAdminState::Disabled, None, false),
    ] {
        let mut sim = Sim::converged(WEB);
        sim.edit_real_server("default/web-1", |web| {
            web.spec.weight = Some(7);
            web.spec.admin_state = state;
        });
        sim.converge();
        let members = sim.members("default/web");
        let member = members.get("192.168.1.130");
        assert_eq!(member.map(|member| member.weight), weight, "{state:?}");
        assert!(
            member.is_none_or(|member| member.checked == checked),
            "{state:?}"
        );
        let has_vip = sim.loopback("web-1") == ["192.168.1.222"];
        assert_eq!(
            has_vip,
            state != RealServerAdminState::Disabled,
            "{state:?}"
        );
    }
}

#[test]
fn a_director_of_the_pair_is_no_real_server_of_it() {
    let mut sim = Sim::converged(WEB);
    sim.apply(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: RealServer
metadata: {name: lb-2, namespace: default, labels: {app: web}}
spec: {nodeName: lb-2}
",
    );
    sim.converge();
    assert!(sim.loopback("lb-2").is_empty());
    assert_eq!(sim.members("default/web")["192.168.1.128"].weight, 0);
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    assert_eq!(
        condition_of(&conditions, "ResolvedRefs").1,
        "RealServerIsDirector"
    );
}

#[test]
fn nothing_is_written_when_nothing_has_changed() {
    let mut sim = Sim::converged(WEB);
    assert!(is_empty(&sim.decide()));
    // A report that says the same again changes nothing either.
    sim.agents();
    assert!(is_empty(&sim.decide()));
}
