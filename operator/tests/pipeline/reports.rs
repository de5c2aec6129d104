//! What agents report of single virtual services and members, on the objects of users.

use k8s_openapi::jiff::SignedDuration;
use lvs_crds::v1alpha1::{
    AdminState, DrainingServer, RealServerAdminState, ServiceProblem, VirtualServiceStatus,
};

use crate::sim::{Sim, WEB, condition_of, is_empty};

fn status(sim: &Sim, name: &str) -> VirtualServiceStatus {
    sim.service(name).status.clone().unwrap()
}

const BESIDE: &str = "
---
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: beside, namespace: default}
spec:
  directorPairRef: {name: edge}
  frontend: {addresses: [192.168.1.50], ports: [{name: p, port: 80}]}
  backends: [{name: web, realServerSelector: {matchLabels: {app: web}}}]
";

#[test]
fn what_a_kernel_lacks_is_said_on_the_service_that_needs_it() {
    let mut sim = Sim::converged(&(WEB.to_owned() + BESIDE));
    let problem = ServiceProblem {
        virtual_service: "default/web".to_owned(),
        reason: "UnsupportedByKernel".to_owned(),
        message: "no scheduler twos: modprobe ip_vs_twos".to_owned(),
    };
    sim.problems.insert("lb-2".to_owned(), vec![problem]);
    sim.missing_modules
        .insert("lb-2".to_owned(), vec!["ip_vs_twos".to_owned()]);
    sim.converge();
    let conditions = status(&sim, "default/web").conditions;
    for type_ in ["Programmed", "Ready"] {
        let (status, reason, message) = condition_of(&conditions, type_);
        assert_eq!(
            (status, reason),
            ("False", "UnsupportedByKernel"),
            "{type_}"
        );
        assert!(
            message.contains("lb-2") && message.contains("modprobe ip_vs_twos"),
            "{message}"
        );
    }
    let beside = status(&sim, "default/beside").conditions;
    assert_eq!(condition_of(&beside, "Ready").0, "True");
    let pair = sim.pair("edge").status.clone().unwrap().conditions;
    assert_eq!(condition_of(&pair, "Ready").0, "True");
    let (programmed, _, message) = condition_of(&pair, "Programmed");
    assert_eq!(programmed, "True");
    assert!(
        message.contains("1 virtual service has a problem: default/web")
            && message.contains("lb-2 lacks ip_vs_twos"),
        "{message}"
    );
    assert!(is_empty(&sim.decide()), "said once");
    sim.problems.clear();
    sim.missing_modules.clear();
    sim.converge();
    let conditions = status(&sim, "default/web").conditions;
    assert_eq!(condition_of(&conditions, "Ready").0, "True");
}

#[test]
fn a_lost_quorum_is_no_readiness_and_says_who_serves() {
    let fallback =
        "healthCheck: {}\n  quorum: {minimumWeight: 2}\n  fallback: {address: 192.168.1.9}";
    for (rest, serves) in [
        (fallback, "the fallback 192.168.1.9 serves"),
        (
            "healthCheck: {}\n  quorum: {minimumWeight: 3}",
            "the 2 that are up go on",
        ),
    ] {
        let mut sim = Sim::converged(&WEB.replace("healthCheck: {}", rest));
        sim.without_quorum = vec!["default/web".to_owned()];
        sim.converge();
        let conditions = status(&sim, "default/web").conditions;
        let (healthy, reason, message) = condition_of(&conditions, "BackendsHealthy");
        assert_eq!((healthy, reason), ("False", "QuorumLost"));
        assert!(message.contains(serves), "{message}");
        let (ready, reason, _) = condition_of(&conditions, "Ready");
        assert_eq!((ready, reason), ("False", "QuorumLost"));
        sim.without_quorum.clear();
        sim.converge();
        let conditions = status(&sim, "default/web").conditions;
        assert_eq!(condition_of(&conditions, "Ready").0, "True");
    }
}

fn leaving(service: &str, address: &str) -> DrainingServer {
    DrainingServer {
        virtual_service: service.to_owned(),
        address: address.to_owned(),
        port: 80,
    }
}

#[test]
fn a_real_server_is_drained_when_no_director_has_connections_to_it() {
    let mut sim = Sim::converged(WEB);
    let drained = |sim: &Sim| {
        let status = sim.real_server("default/web-2").status.clone().unwrap();
        let (status, reason, _) = condition_of(&status.conditions, "Drained");
        (status.to_owned(), reason.to_owned())
    };
    let remain = ("False".to_owned(), "ConnectionsRemain".to_owned());
    let done = ("True".to_owned(), "Draining".to_owned());
    sim.edit_real_server("default/web-2", |web| {
        web.spec.admin_state = RealServerAdminState::Drain;
    });
    let listed = vec![leaving("default/web", "192.168.1.131")];
    sim.draining.insert("lb-2".to_owned(), listed);
    sim.converge();
    assert_eq!(drained(&sim), remain, "also the Backup's connections count");
    // Somebody else's of the same address, and another member.
    let others = vec![
        leaving("other/web", "192.168.1.131"),
        leaving("default/web", "192.168.1.130"),
    ];
    sim.draining.insert("lb-2".to_owned(), others);
    sim.converge();
    assert_eq!(drained(&sim), done);
    // Directors that are busy with something else are no news.
    sim.edit_real_server("default/web-1", |web| web.spec.weight = Some(3));
    sim.operate();
    sim.operate();
    assert_eq!(drained(&sim), done);
    sim.converge();
    // A list that is cut says nothing of those that are not in it.
    sim.draining_unlisted.insert("lb-1".to_owned(), 1);
    sim.converge();
    assert_eq!(drained(&sim), remain);
    sim.draining_unlisted.clear();
    sim.edit_real_server("default/web-2", |web| {
        web.spec.admin_state = RealServerAdminState::Enabled;
    });
    sim.converge();
    let status = sim.real_server("default/web-2").status.clone().unwrap();
    assert!(!status.conditions.iter().any(|it| it.type_ == "Drained"));
}

#[test]
fn a_service_is_drained_when_no_director_has_connections_of_it() {
    let mut sim = Sim::converged(&(WEB.to_owned() + BESIDE));
    sim.edit_service("default/web", |web| {
        web.spec.admin_state = AdminState::Drain;
    });
    let listed = vec![leaving("default/web", "192.168.1.131")];
    sim.draining.insert("lb-1".to_owned(), listed);
    sim.converge();
    let conditions = status(&sim, "default/web").conditions;
    let (drained, reason, message) = condition_of(&conditions, "Drained");
    assert_eq!((drained, reason), ("False", "ConnectionsRemain"));
    assert!(
        message.contains("lb-1") && message.contains("192.168.1.131"),
        "{message}"
    );
    sim.draining.clear();
    sim.converge();
    let conditions = status(&sim, "default/web").conditions;
    assert_eq!(condition_of(&conditions, "Drained").0, "True");
    let beside = status(&sim, "default/beside").conditions;
    assert!(!beside.iter().any(|it| it.type_ == "Drained"));
}

#[test]
fn a_service_made_anew_is_ready_when_the_directors_have_its_members() {
    let mut sim = Sim::converged(WEB);
    let web = sim.service("default/web").clone();
    sim.delete("default/web");
    sim.converge();
    assert!(sim.loopback("web-1").is_empty());
    sim.now += SignedDuration::from_secs(60);
    let yaml = WEB.split("---").nth(1).unwrap();
    sim.apply(yaml);
    sim.edit_service("default/web", |new| {
        new.metadata.uid = Some("another".to_owned());
        assert_eq!(new.spec, web.spec);
    });
    // The real servers are as quick as can be, the directors slow.
    for _ in 0..3 {
        sim.operate();
        sim.agent("lb-1");
        sim.agent("lb-2");
    }
    let ready = |sim: &Sim| {
        condition_of(&status(sim, "default/web").conditions, "Ready")
            .0
            .to_owned()
    };
    assert_eq!(ready(&sim), "False", "no member is ready");
    sim.agent("web-1");
    sim.agent("web-2");
    for _ in 0..3 {
        sim.operate();
        assert_eq!(sim.members("default/web")["192.168.1.130"].weight, 1);
        assert_eq!(
            ready(&sim),
            "False",
            "the directors do not have the weights"
        );
    }
    sim.agent("lb-1");
    sim.agent("lb-2");
    sim.operate();
    assert_eq!(ready(&sim), "True");
}

#[test]
fn a_service_of_a_pair_that_is_refused_says_so() {
    let mut sim = Sim::converged(WEB);
    sim.edit_pair("edge", |pair| {
        pair.spec.vrrp = serde_yaml::from_str(
            "{version: 2, authentication: {type: Simple, secretRef: {name: none}}}",
        )
        .unwrap();
    });
    sim.converge();
    let conditions = status(&sim, "default/web").conditions;
    assert_eq!(condition_of(&conditions, "Accepted").0, "True");
    for type_ in ["Programmed", "Ready"] {
        let (status, reason, message) = condition_of(&conditions, type_);
        assert_eq!((status, reason), ("False", "NotAccepted"), "{type_}");
        assert!(
            message.contains("DirectorPair edge is not accepted"),
            "{message}"
        );
    }
}

#[test]
fn a_pair_does_not_turn_to_version_2_under_ipv6() {
    let yaml = WEB
        .replace("addresses: [192.168.1.222]", "addresses: ['2001:db8::222']")
        .replace("spec: {nodeName: web-1}", "spec: {address: '2001:db8::1'}");
    let mut sim = Sim::converged(&yaml);
    let before = sim.service_plan("default/web").cloned();
    sim.edit_pair("edge", |pair| {
        pair.spec.vrrp = serde_yaml::from_str("{version: 2}").unwrap();
    });
    sim.converge();
    let pair = |sim: &Sim| {
        let conditions = sim.pair("edge").status.clone().unwrap().conditions;
        let (_, reason, message) = condition_of(&conditions, "Accepted");
        (reason.to_owned(), message.to_owned())
    };
    let (reason, message) = pair(&sim);
    assert_eq!(reason, "IPv6NeedsVersion3");
    assert!(
        message.contains("default/web") && message.contains("2001:db8::222"),
        "{message}"
    );
    assert_eq!(sim.service_plan("default/web").cloned(), before);
    let conditions = status(&sim, "default/web").conditions;
    assert_eq!(
        condition_of(&conditions, "Accepted").0,
        "True",
        "it is not at fault"
    );
    // The way out.
    sim.delete("default/web");
    sim.converge();
    assert_eq!(pair(&sim).0, "Accepted");
    assert!(sim.service_plan("default/web").is_none());
}
