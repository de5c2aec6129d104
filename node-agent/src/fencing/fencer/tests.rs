use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::fixture;
use crate::vrrp::{LostPeer, RouterReport};

fn at(second: u64) -> Monotonic {
    Monotonic::from_epoch(Duration::from_secs(second))
}

fn role(fencing: &Value, others: &Value) -> DirectorRole {
    let bundle = fixture::director(&json!([]), &json!([]));
    let mut role = bundle.plan.director.expect("a director");
    role.fencing = serde_json::from_value(fencing.clone()).expect("fencing");
    role.other_directors = serde_json::from_value(others.clone()).expect("directors");
    role
}

fn hook() -> Value {
    json!({"hook": {"name": "fence"}})
}

fn one_other() -> Value {
    json!([{"nodeName": "lb-1", "addresses": ["192.168.1.11", "fe80::11"]}])
}

fn fencer(others: &Value) -> Fencer {
    let mut fencer = Fencer::default();
    assert!(fencer.configure(Some(&role(&hook(), others))));
    fencer
}

/// A router that took over from `address`, last heard and given up at these seconds.
fn router(instance: &str, lost: Option<(&str, u64, u64)>) -> RouterReport {
    RouterReport {
        lost_peer: lost.map(|(address, heard, lost)| LostPeer {
            address: address.parse().expect("an address"),
            heard_at: at(heard),
            lost_at: at(lost),
        }),
        ..fixture::active_router(instance)
    }
}

fn report(routers: Vec<RouterReport>) -> VrrpReport {
    VrrpReport {
        routers,
        ..VrrpReport::default()
    }
}

fn told(runs: &[Run]) -> Vec<(String, &str)> {
    let told = |run: &Run| (run.peer.to_string(), "fence");
    assert!(runs.iter().all(|run| run.hook.name == "fence"));
    runs.iter().map(told).collect()
}

#[test]
fn a_lost_peer_is_fenced_once_however_many_instances_took_over() {
    let mut fencer = fencer(&one_other());
    assert_eq!(fencer.look(&report(vec![router("a", None)])), []);
    let first = report(vec![router("a", Some(("192.168.1.11", 10, 13)))]);
    let runs = fencer.look(&first);
    let expected = Run {
        pair: "edge".into(),
        instance: "a".into(),
        peer: Peer::Node("lb-1".into()),
        address: "192.168.1.11".parse().expect("an address"),
        directors: vec!["lb-1".into()],
        hook: FencingHook {
            name: "fence".into(),
            timeout_seconds: 30,
        },
    };
    assert_eq!(runs, std::slice::from_ref(&expected));
    assert_eq!(fencer.look(&first), [], "the same report again");
    assert_eq!(fencer.has_ended(&expected.peer), None);
    // The other family and another instance, whose timers are longer.
    let both = report(vec![
        router("a", Some(("192.168.1.11", 10, 13))),
        router("a", Some(("fe80::11", 11, 14))),
        router("b", Some(("192.168.1.11", 12, 16))),
    ]);
    assert_eq!(fencer.look(&both), []);
}

#[test]
fn a_peer_that_was_heard_again_is_fenced_again() {
    let mut fencer = fencer(&one_other());
    let lost = |heard, lost| report(vec![router("a", Some(("192.168.1.11", heard, lost)))]);
    let runs = fencer.look(&lost(10, 13));
    assert_eq!(told(&runs), [("lb-1".to_owned(), "fence")]);
    // While the first hook runs the second waits.
    assert_eq!(fencer.look(&lost(20, 23)), []);
    let next = fencer.has_ended(&runs[0].peer).expect("the next");
    assert_eq!(next.peer, runs[0].peer);
    assert_eq!(fencer.has_ended(&next.peer), None);
    assert_eq!(fencer.look(&lost(30, 33)).len(), 1);
}

#[test]
fn what_was_lost_without_fencing_is_not_fenced_later() {
    let mut fencer = Fencer::default();
    assert!(!fencer.configure(Some(&role(&Value::Null, &one_other()))));
    let lost = report(vec![router("a", Some(("192.168.1.11", 10, 13)))]);
    assert_eq!(fencer.look(&lost), []);
    assert!(fencer.configure(Some(&role(&hook(), &one_other()))));
    assert_eq!(fencer.look(&lost), []);
    let again = report(vec![router("a", Some(("192.168.1.11", 20, 23)))]);
    assert_eq!(fencer.look(&again).len(), 1);
    assert!(!fencer.configure(Some(&role(&hook(), &json!([])))));
}

#[test]
fn only_directors_are_fenced_and_are_told_apart_by_their_addresses() {
    let peer = |others: &Value, address: &str| {
        identify(&role(&hook(), others), address.parse().expect("an address"))
            .map(|peer| (peer.to_string(), peer.node().is_some()))
    };
    let node = |name: &str| Some((name.to_owned(), true));
    let address = |address: &str| Some((address.to_owned(), false));
    let three = json!([
        {"nodeName": "lb-1", "addresses": ["192.168.1.11"]},
        {"nodeName": "lb-2", "addresses": ["192.168.1.12"]},
    ]);
    assert_eq!(peer(&three, "192.168.1.12"), node("lb-2"));
    assert_eq!(peer(&three, "192.168.1.99"), None, "a foreign router");
    let one_unknown =
        json!([{"nodeName": "lb-1", "addresses": ["192.168.1.11"]}, {"nodeName": "lb-2"}]);
    assert_eq!(peer(&one_unknown, "192.168.1.12"), node("lb-2"));
    let unknown = json!([{"nodeName": "lb-1"}, {"nodeName": "lb-2"}]);
    assert_eq!(peer(&unknown, "192.168.1.12"), address("192.168.1.12"));
    assert_eq!(peer(&json!([]), "192.168.1.12"), address("192.168.1.12"));
}

#[test]
fn two_peers_are_fenced_at_the_same_time() {
    let mut fencer = fencer(&json!([
        {"nodeName": "lb-1", "addresses": ["192.168.1.11"]},
        {"nodeName": "lb-2", "addresses": ["192.168.1.12"]},
    ]));
    let runs = fencer.look(&report(vec![
        router("a", Some(("192.168.1.11", 10, 13))),
        router("b", Some(("192.168.1.12", 10, 13))),
    ]));
    let peers = ["lb-1", "lb-2"].map(|name| (name.to_owned(), "fence"));
    assert_eq!(told(&runs), peers);
    assert_eq!(runs[0].directors, ["lb-1", "lb-2"]);
}
