use serde_json::json;

use super::*;
use crate::fixture::{director, pool, web, web_director};

fn resolve(bundle: &PlanBundle) -> Services {
    Services::resolve(bundle, &Services::default())
}

fn only(services: &Services) -> &ResolvedService {
    services.resolved.values().next().expect("a service")
}

#[test]
fn a_service_has_the_members_of_all_its_pools_once() {
    let pools = json!([
        {"name": "a", "members": [{"address": "10.0.0.1", "weight": 5}]},
        {"name": "b", "members": [
            {"address": "10.0.0.1", "weight": 9},
            {"address": "10.0.0.1", "port": 81, "weight": 1},
        ]},
    ]);
    let bundle = director(&json!([web(&json!({"pools": ["a", "b"]}))]), &pools);
    let services = resolve(&bundle);
    let members: Vec<_> = only(&services)
        .members
        .iter()
        .map(|member| (member.port, member.weight))
        .collect();
    assert_eq!(members, [(0, 5), (81, 1)]);
    assert_eq!(services.problems, []);
}

#[test]
fn a_service_without_its_pool_stays_as_it_was() {
    let before = resolve(&web_director(&json!({})));
    let incomplete = director(&json!([web(&json!({"pools": ["web", "more"]}))]), &pool());
    let after = Services::resolve(&incomplete, &before);
    assert_eq!(after.resolved, before.resolved);
    assert!(after.untouched.is_empty());
    let problem = after.problems.first().expect("a problem");
    assert_eq!(problem.reason, "Pending");
    assert!(
        problem.message.contains("default/web: pool more"),
        "{problem:?}"
    );
}

#[test]
fn a_service_is_gone_only_when_all_slices_are_there_to_say_so() {
    let before = resolve(&web_director(&json!({})));
    let mut gone = director(&json!([]), &pool());
    assert!(Services::resolve(&gone, &before).resolved.is_empty());
    gone.slices.clear();
    assert!(!gone.has_its_slices());
    let services = Services::resolve(&gone, &before);
    assert_eq!(services.resolved, before.resolved);
}

#[test]
fn a_new_service_without_its_pool_leaves_what_the_kernel_has() {
    let services = resolve(&director(&json!([web(&json!({}))]), &json!([])));
    assert!(services.resolved.is_empty());
    let keys: Vec<String> = services
        .untouched
        .iter()
        .map(|(key, instance)| format!("{key} {instance}"))
        .collect();
    assert_eq!(keys, ["-t 192.168.1.222:80 default"]);
}

#[test]
fn values_that_the_api_should_have_refused_are_left_out_and_named() {
    let changes = json!({"addresses": ["192.168.1.222", "nonsense"]});
    let pools = json!([{"name": "web", "members": [{"address": "10.0.0.1", "weight": -1}]}]);
    let services = resolve(&director(&json!([web(&changes)]), &pools));
    assert_eq!(only(&services).addresses.len(), 1);
    assert_eq!(only(&services).members, []);
    let messages: Vec<&str> = services
        .problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert!(messages[0].contains("address nonsense"), "{messages:?}");
    assert!(messages[1].contains("member 10.0.0.1:0"), "{messages:?}");
}

#[test]
fn only_nat_translates_ports_and_families_do_not_mix() {
    let pools = json!([{"name": "web", "members": [
        {"address": "10.0.0.1", "port": 8080, "weight": 1},
        {"address": "2001:db8::1", "weight": 1},
    ]}]);
    for (method, port) in [("DR", 80), ("NAT", 8080)] {
        let changes = json!({"forwarding": method});
        let services = resolve(&director(&json!([web(&changes)]), &pools));
        let vip = "192.168.1.222".parse().expect("an address");
        let destinations: Vec<String> = only(&services)
            .destinations(vip, 80)
            .map(|(key, _)| key.to_string())
            .collect();
        assert_eq!(destinations, [format!("10.0.0.1:{port}")]);
    }
}

#[test]
fn a_node_that_is_no_director_balances_nothing() {
    let mut bundle = web_director(&json!({}));
    bundle.plan.director = None;
    assert_eq!(resolve(&bundle), Services::default());
}
