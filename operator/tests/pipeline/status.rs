//! What people read: conditions, counts and Events.

use std::sync::Arc;

use k8s_openapi::jiff::SignedDuration;
use lvs_crds::v1alpha1::{AdminState, UnhealthyBackend, UnhealthyServer};

use crate::sim::{Sim, WEB, condition_of, is_empty};

fn down(address: &str) -> UnhealthyServer {
    UnhealthyServer {
        virtual_service: "default/web".to_owned(),
        backend: UnhealthyBackend {
            address: address.to_owned(),
            port: 80,
            reason: "check tcp: connection refused".to_owned(),
        },
    }
}

#[test]
fn all_is_well() {
    let sim = Sim::converged(WEB);
    let service = sim.service("default/web").status.clone().unwrap();
    assert_eq!(service.observed_generation, 1);
    assert_eq!(service.addresses, ["192.168.1.222"]);
    assert_eq!(service.active.as_deref(), Some("lb-1"));
    assert_eq!(service.up.as_deref(), Some("2/2"));
    for type_ in [
        "Accepted",
        "ResolvedRefs",
        "Programmed",
        "Advertised",
        "BackendsHealthy",
        "Ready",
    ] {
        assert_eq!(
            condition_of(&service.conditions, type_).0,
            "True",
            "{type_}"
        );
    }
    assert!(
        service
            .conditions
            .iter()
            .all(|condition| condition.observed_generation == Some(1))
    );
    assert!(
        !service
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Reconciling")
    );

    let pair = sim.pair("edge").status.clone().unwrap();
    assert_eq!(pair.instances[0].virtual_router_id, 51);
    assert_eq!(pair.instances[0].active.as_deref(), Some("lb-1"));
    for (type_, status) in [
        ("Ready", "True"),
        ("SplitBrain", "False"),
        ("PeersReachable", "True"),
        ("ConnectionSynced", "True"),
        ("VRRPHealthy", "True"),
    ] {
        assert_eq!(condition_of(&pair.conditions, type_).0, status, "{type_}");
    }
    let real_server = sim.real_server("default/web-1").status.clone().unwrap();
    assert_eq!(
        real_server.resolved_address.as_deref(),
        Some("192.168.1.130")
    );
    assert_eq!(real_server.virtual_services, 1);
    for type_ in [
        "Accepted",
        "Resolved",
        "LoopbackConfigured",
        "ARPSuppressed",
        "Healthy",
        "Ready",
    ] {
        assert_eq!(
            condition_of(&real_server.conditions, type_).0,
            "True",
            "{type_}"
        );
    }
}

#[test]
fn a_backend_goes_down_and_comes_back() {
    let mut sim = Sim::converged(WEB);
    sim.unhealthy = vec![down("192.168.1.130")];
    sim.converge();
    let status = sim.service("default/web").status.clone().unwrap();
    assert_eq!(status.up.as_deref(), Some("1/2"));
    assert_eq!(
        condition_of(&status.conditions, "BackendsHealthy").1,
        "SomeBackendsDown"
    );
    assert_eq!(
        condition_of(&status.conditions, "Ready").0,
        "True",
        "it still serves"
    );
    let real_server = sim.real_server("default/web-1").status.clone().unwrap();
    let (ready, _, message) = condition_of(&real_server.conditions, "Ready");
    assert_eq!(ready, "False");
    assert!(message.contains("connection refused"), "{message}");

    sim.unhealthy.push(down("192.168.1.131"));
    sim.converge();
    let status = sim.service("default/web").status.clone().unwrap();
    assert_eq!(
        condition_of(&status.conditions, "Ready").1,
        "AllBackendsDown"
    );

    sim.unhealthy.clear();
    sim.converge();
    assert_eq!(
        sim.service("default/web")
            .status
            .clone()
            .unwrap()
            .up
            .as_deref(),
        Some("2/2")
    );
    let about = |word: &str| {
        sim.events
            .iter()
            .filter(|event| event.starts_with(word))
            .count()
    };
    assert_eq!(
        (about("BackendDown"), about("BackendUp")),
        (2, 2),
        "{:#?}",
        sim.events
    );
}

#[test]
fn no_backends_is_said_in_so_many_words() {
    let mut sim = Sim::converged(WEB);
    sim.edit_service("default/web", |web| {
        let selector = web.spec.backends[0].real_server_selector.as_mut().unwrap();
        selector
            .match_labels
            .insert("app".to_owned(), "wbe".to_owned());
    });
    sim.converge();
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    assert_eq!(condition_of(&conditions, "ResolvedRefs").0, "True");
    assert_eq!(condition_of(&conditions, "BackendsHealthy").1, "NoBackends");
    let real_server = sim.real_server("default/web-1").status.clone().unwrap();
    assert_eq!(
        condition_of(&real_server.conditions, "Healthy").1,
        "NotInUse"
    );
}

#[test]
fn programmed_waits_for_both_directors_and_then_for_none() {
    let mut sim = Sim::converged(WEB);
    sim.edit_service("default/web", |web| {
        web.spec.scheduler.name = lvs_crds::v1alpha1::SchedulerName::Rr;
    });
    sim.operate();
    sim.agent("lb-1");
    sim.operate();
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    let (programmed, reason, message) = condition_of(&conditions, "Programmed");
    assert_eq!((programmed, reason), ("False", "Pending"));
    assert!(
        message.contains("lb-2") && !message.contains("lb-1"),
        "{message}"
    );
    assert_eq!(condition_of(&conditions, "Reconciling").0, "True");
    sim.converge();
    // A weight is another object's business: the service was programmed and stays so.
    sim.edit_real_server("default/web-1", |web| web.spec.weight = Some(5));
    let decision = sim.operate();
    assert!(decision.services.is_empty(), "{:#?}", decision.services);
    assert_eq!(
        decision.nodes.plans.len(),
        2,
        "but the directors get the weight"
    );
}

#[test]
fn a_director_that_is_off_holds_nobody_up() {
    let mut sim = Sim::converged(WEB);
    // lb-2 takes over at once; the cluster notices later that lb-1 is gone.
    sim.now += SignedDuration::from_secs(1);
    sim.active = Some("lb-2".to_owned());
    sim.agent("lb-2");
    sim.operate();
    sim.set_ready("lb-1", false);
    sim.converge();
    let pair = sim.pair("edge").status.clone().unwrap();
    assert_eq!(pair.instances[0].active.as_deref(), Some("lb-2"));
    assert_eq!(
        condition_of(&pair.conditions, "PeersReachable").1,
        "NodeNotReady"
    );
    assert_eq!(
        condition_of(&pair.conditions, "ConnectionSynced").1,
        "AgentNotReporting"
    );
    assert_eq!(condition_of(&pair.conditions, "Ready").0, "True");
    sim.edit_service("default/web", |web| {
        web.spec.admin_state = AdminState::Drain;
    });
    sim.converge();
    let status = sim.service("default/web").status.clone().unwrap();
    assert_eq!(condition_of(&status.conditions, "Programmed").0, "True");
    assert_eq!(status.backends.unwrap().draining, 2);
    let changed = "ActiveChanged: instance default: lb-2 is Active, it was lb-1";
    assert_eq!(
        sim.events.iter().filter(|event| *event == changed).count(),
        1,
        "{:#?}",
        sim.events
    );
}

#[test]
fn the_last_to_become_active_is_and_two_for_long_are_a_split_brain() {
    let mut sim = Sim::converged(WEB);
    // lb-1 dies, and its last report stays; its node still counts as ready.
    sim.now += SignedDuration::from_secs(10);
    sim.active = Some("lb-2".to_owned());
    sim.agent("lb-2");
    sim.operate();
    let active = |sim: &Sim| {
        sim.pair("edge").status.clone().unwrap().instances[0]
            .active
            .clone()
    };
    assert_eq!(active(&sim).as_deref(), Some("lb-2"));
    let split = |sim: &Sim| {
        let conditions = sim.pair("edge").status.clone().unwrap().conditions;
        condition_of(&conditions, "SplitBrain").0.to_owned()
    };
    assert_eq!(split(&sim), "False");
    // After a restart the operator knows only what it recorded.
    sim.memory = lvs_operator::decision::Memory::default();
    sim.now += SignedDuration::from_secs(50);
    sim.operate();
    assert_eq!(active(&sim).as_deref(), Some("lb-2"));
    sim.now += SignedDuration::from_secs(61);
    sim.operate();
    assert_eq!(split(&sim), "True");
    // One of them gives in.
    sim.agent("lb-1");
    sim.operate();
    assert_eq!(split(&sim), "False");
}

#[test]
fn a_split_that_a_director_hears_is_told_at_once_with_who_and_since_when() {
    let mut sim = Sim::converged(WEB);
    let condition = |sim: &Sim, type_: &str| {
        let conditions = sim.pair("edge").status.clone().unwrap().conditions;
        let (status, reason, message) = condition_of(&conditions, type_);
        (status.to_owned(), reason.to_owned(), message.to_owned())
    };
    let lb_2 = ("lb-2", "default", "192.168.1.129");
    sim.sources = vec![(lb_2.0.to_owned(), lb_2.1.to_owned(), lb_2.2.to_owned())];
    sim.splits = [("lb-1".to_owned(), lb_2.2.to_owned())].into();
    sim.converge();
    let (status, reason, message) = condition(&sim, "SplitBrain");
    assert_eq!((&*status, &*reason), ("True", "MultipleActiveRouters"));
    assert!(
        message.starts_with(
            "lb-1 is Active in instance default and has heard that lb-2 (192.168.1.129) is too since \
             1970-01-01T00:00:00Z; check that IP protocol 112"
        ),
        "{message}"
    );
    let (status, reason, _) = condition(&sim, "Ready");
    assert_eq!((&*status, &*reason), ("False", "MultipleActiveRouters"));

    sim.splits = [("lb-1".to_owned(), "192.168.1.7".to_owned())].into();
    sim.converge();
    let (_, _, message) = condition(&sim, "SplitBrain");
    assert!(
        message.contains("192.168.1.7, which is no director"),
        "{message}"
    );

    sim.splits.clear();
    sim.converge();
    assert_eq!(condition(&sim, "SplitBrain").0, "False");
    assert_eq!(condition(&sim, "Ready").0, "True");
}

#[test]
fn what_is_wrong_with_an_instance_of_one_director_is_told_on_the_pair() {
    let mut sim = Sim::converged(WEB);
    let problem = "another program keeps removing 192.168.1.222";
    sim.troubles = [("lb-2".to_owned(), problem.to_owned())].into();
    sim.converge();
    let conditions = sim.pair("edge").status.clone().unwrap().conditions;
    let expected = format!("lb-2, instance default: {problem}");
    for (type_, status) in [("VRRPHealthy", "False"), ("Ready", "True")] {
        let (found, reason, message) = condition_of(&conditions, type_);
        assert_eq!(
            (found, reason, message),
            (status, "InstanceProblem", &*expected),
            "{type_}"
        );
    }
    sim.troubles.clear();
    sim.converge();
    let conditions = sim.pair("edge").status.clone().unwrap().conditions;
    assert_eq!(condition_of(&conditions, "Ready").1, "AsExpected");
}

#[test]
fn what_was_written_a_moment_ago_is_neither_written_nor_told_again() {
    let mut sim = Sim::converged(WEB);
    sim.unhealthy = vec![down("192.168.1.130")];
    sim.agents();
    let decision = sim.decide();
    for write in &decision.services {
        let uid = write.object.uid.clone().unwrap();
        sim.memory
            .services
            .wrote(uid, write.status.clone(), sim.now);
    }
    for write in &decision.real_servers {
        let uid = write.object.uid.clone().unwrap();
        sim.memory
            .real_servers
            .wrote(uid, write.status.clone(), sim.now);
    }
    // The watch has not brought them back.
    assert!(is_empty(&sim.decide()));
    // It never does: somebody else overwrote them.
    sim.now += SignedDuration::from_secs(6);
    sim.memory.services.expire(sim.now);
    assert_eq!(sim.decide().services.len(), 1);
}

/// An agent reports that its conditions are False, for this reason.
fn report(sim: &mut Sim, node: &str, reason: &str, message: &str) {
    let plan = Arc::make_mut(sim.world.node_plans.get_mut(node).unwrap());
    let status = plan.status.as_mut().unwrap();
    status.applied_revision = None;
    for condition in &mut status.conditions {
        "False".clone_into(&mut condition.status);
        reason.clone_into(&mut condition.reason);
        message.clone_into(&mut condition.message);
    }
}

#[test]
fn an_agent_that_fails_is_quoted() {
    let mut sim = Sim::converged(WEB);
    report(&mut sim, "lb-2", "KernelError", "no module ip_vs_wlc");
    report(&mut sim, "web-1", "KernelError", "no interface lo");
    sim.operate();
    let service = sim.service("default/web").status.clone().unwrap();
    let (ready, reason, message) = condition_of(&service.conditions, "Ready");
    assert_eq!((ready, reason), ("False", "KernelError"));
    assert!(
        message.contains("lb-2") && message.contains("ip_vs_wlc"),
        "{message}"
    );
    let real_server = sim.real_server("default/web-1").status.clone().unwrap();
    let (ready, _, message) = condition_of(&real_server.conditions, "Ready");
    assert_eq!(ready, "False");
    assert!(message.contains("no interface lo"), "{message}");
    assert_eq!(
        sim.members("default/web")["192.168.1.130"].weight,
        1,
        "checks take it out, not a report"
    );
}

#[test]
fn an_agent_at_work_is_no_news() {
    let mut sim = Sim::converged(WEB);
    for node in ["lb-1", "lb-2", "web-1"] {
        report(&mut sim, node, "Pending", "the plan is being carried out");
    }
    let decision = sim.decide();
    assert!(decision.services.is_empty(), "{:#?}", decision.services);
    assert!(
        decision.real_servers.is_empty(),
        "{:#?}",
        decision.real_servers
    );
}
