//! Fencing: what directors are told, and what they tell.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use lvs_crds::v1alpha1::{FencingReport, FencingRun};

use super::sim::{Sim, WEB, condition_of};

fn fenced_pair() -> Sim {
    let mut sim = Sim::converged(WEB);
    let source =
        |node: &str, address: &str| (node.to_owned(), "default".to_owned(), address.to_owned());
    sim.sources = vec![
        source("lb-1", "192.168.1.128"),
        source("lb-2", "192.168.1.129"),
    ];
    sim.edit_pair("edge", |pair| {
        pair.spec.fencing =
            serde_yaml::from_str("{hook: {name: ipmi, timeoutSeconds: 60}}").unwrap();
    });
    sim.fencing = ["lb-1", "lb-2"]
        .map(|node| (node.to_owned(), FencingReport::default()))
        .into();
    sim.converge();
    sim.events.clear();
    sim
}

fn condition(sim: &Sim, type_: &str) -> (String, String, String) {
    let conditions = sim.pair("edge").status.clone().unwrap().conditions;
    let (status, reason, message) = condition_of(&conditions, type_);
    (status.to_owned(), reason.to_owned(), message.to_owned())
}

fn run(problem: Option<&str>, ended: bool) -> FencingReport {
    FencingReport {
        problem: None,
        last: Some(FencingRun {
            peer: "lb-1".to_owned(),
            peer_address: "192.168.1.128".to_owned(),
            instance: "default".to_owned(),
            since: Time(Timestamp::UNIX_EPOCH),
            problem: problem.map(str::to_owned),
            ended,
        }),
    }
}

#[test]
fn a_director_knows_whom_it_may_have_to_fence_and_by_what_address() {
    let mut sim = fenced_pair();
    for (node, other, address) in [
        ("lb-1", "lb-2", "192.168.1.129"),
        ("lb-2", "lb-1", "192.168.1.128"),
    ] {
        let role = sim.world.node_plans[node].spec.director.clone().unwrap();
        let hook = role.fencing.unwrap().hook.unwrap();
        assert_eq!((hook.name.as_str(), hook.timeout_seconds), ("ipmi", 60));
        assert_eq!(role.other_directors.len(), 1);
        assert_eq!(role.other_directors[0].node_name, other);
        assert_eq!(role.other_directors[0].addresses, [address]);
        assert!(role.instances[0].peers.is_empty(), "by multicast");
    }
    sim.edit_pair("edge", |pair| pair.spec.fencing = None);
    sim.converge();
    let role = sim.world.node_plans["lb-1"].spec.director.clone().unwrap();
    assert_eq!((role.fencing, role.other_directors), (None, Vec::new()));
    let conditions = sim.pair("edge").status.clone().unwrap().conditions;
    assert!(conditions.iter().all(|it| it.type_ != "FencingHealthy"));
}

#[test]
fn a_peer_that_was_fenced_is_told_and_the_pair_stays_ready() {
    let mut sim = fenced_pair();
    let (status, reason, _) = condition(&sim, "FencingHealthy");
    assert_eq!((&*status, &*reason), ("True", "AsExpected"));
    sim.fencing.insert("lb-2".to_owned(), run(None, false));
    sim.converge();
    assert_eq!(
        condition(&sim, "FencingHealthy").1,
        "AsExpected",
        "it runs still"
    );
    sim.fencing.insert("lb-2".to_owned(), run(None, true));
    sim.converge();
    let (status, reason, message) = condition(&sim, "FencingHealthy");
    assert_eq!((&*status, &*reason), ("True", "PeerFenced"));
    let told = "lb-1 (192.168.1.128) fell silent in instance default at 1970-01-01T00:00:00Z and was \
                fenced by lb-2";
    assert_eq!(message, told);
    let (status, reason, _) = condition(&sim, "Ready");
    assert_eq!((&*status, &*reason), ("True", "AsExpected"));
    assert_eq!(sim.events, [format!("PeerFenced: {told}")]);
}

#[test]
fn a_hook_that_fails_or_would_fail_is_seen_on_the_pair() {
    let mut sim = fenced_pair();
    let problem = FencingReport {
        problem: Some("hook ipmi: no such file".to_owned()),
        last: None,
    };
    sim.fencing.insert("lb-1".to_owned(), problem);
    sim.converge();
    let (status, reason, message) = condition(&sim, "FencingHealthy");
    assert_eq!((&*status, &*reason), ("False", "FencingProblem"));
    assert_eq!(message, "lb-1: hook ipmi: no such file");

    let failed = run(Some("hook ipmi: exit status: 1: no route to host"), true);
    sim.fencing.insert("lb-2".to_owned(), failed);
    sim.converge();
    let (status, reason, message) = condition(&sim, "FencingHealthy");
    assert_eq!((&*status, &*reason), ("False", "FencingFailed"));
    let words = "lb-2 could not fence it: hook ipmi: exit status: 1: no route to host";
    assert!(message.contains(words), "{message}");
    let (status, reason, message) = condition(&sim, "Ready");
    assert_eq!((&*status, &*reason), ("True", "FencingFailed"));
    assert!(message.contains(words), "{message}");
    assert!(
        sim.events
            .iter()
            .any(|event| event.starts_with("FencingProblem: lb-1")),
        "{:?}",
        sim.events
    );
}
