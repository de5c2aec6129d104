use serde_json::{Value, json};

use super::*;
use crate::fixture::{director, web};

fn services(members: &Value, changes: &Value) -> Services {
    let pools = json!([{"name": "web", "members": members}]);
    let bundle = director(&json!([web(changes)]), &pools);
    Services::resolve(&bundle, &Services::default())
}

fn departures(drains: &Drains, services: &Services, now: i64) -> Vec<Option<Departure>> {
    let service = services.resolved.values().next().expect("a service");
    let members = service.pools[0].members.iter();
    members
        .map(|member| drains.departure(service, member, now))
        .collect()
}

#[test]
fn a_member_leaves_until_its_time_is_over_and_returns_at_once() {
    let member = |drain: Value| json!([{"address": "10.0.0.1", "weight": 1, "drain": drain}]);
    let removed = services(&member(json!({"timeoutSeconds": 300})), &json!({}));
    let mut drains = Drains::default();
    drains.follow(&removed, 1000);
    for (now, expected) in [
        (1000, Departure::WhileConnected),
        (1299, Departure::WhileConnected),
        (1300, Departure::Now),
        // A clock that is put back.
        (10, Departure::WhileConnected),
    ] {
        assert_eq!(
            departures(&drains, &removed, now),
            [Some(expected)],
            "{now}"
        );
    }
    // Another plan of the same member does not begin its time anew.
    drains.follow(&removed, 1200);
    assert_eq!(departures(&drains, &removed, 1300), [Some(Departure::Now)]);
    let kept = services(
        &member(json!({"timeoutSeconds": 300, "onTimeout": "Keep"})),
        &json!({}),
    );
    drains.follow(&kept, 1250);
    assert_eq!(
        departures(&drains, &kept, 9999),
        [Some(Departure::WhileConnected)]
    );

    let stays = services(&member(Value::Null), &json!({}));
    drains.follow(&stays, 1400);
    assert_eq!(departures(&drains, &stays, 1400), [None]);
    drains.follow(&removed, 1500);
    assert_eq!(
        departures(&drains, &removed, 1500),
        [Some(Departure::WhileConnected)]
    );
}

#[test]
fn time_0_is_over_at_once() {
    let now = services(
        &json!([{"address": "10.0.0.1", "weight": 1, "drain": {"timeoutSeconds": 0}}]),
        &json!({}),
    );
    let mut drains = Drains::default();
    drains.follow(&now, 5);
    assert_eq!(departures(&drains, &now, 5), [Some(Departure::Now)]);
}

#[test]
fn a_members_own_way_comes_before_that_of_the_service() {
    let members = json!([
        {"address": "10.0.0.1", "weight": 1},
        {"address": "10.0.0.2", "weight": 1, "drain": {"timeoutSeconds": 5}},
    ]);
    let services = services(&members, &json!({"drain": {"timeoutSeconds": 300}}));
    let mut drains = Drains::default();
    drains.follow(&services, 100);
    assert_eq!(
        departures(&drains, &services, 110),
        [Some(Departure::WhileConnected), Some(Departure::Now)]
    );
}

#[test]
fn nobody_is_forgotten_while_something_of_the_plan_is_missing() {
    let whole = services(
        &json!([{"address": "10.0.0.1", "weight": 1, "drain": {"timeoutSeconds": 300}}]),
        &json!({}),
    );
    let incomplete = director(&json!([web(&json!({}))]), &json!([]));
    let incomplete = Services::resolve(&incomplete, &Services::default());
    let mut drains = Drains::default();
    drains.follow(&whole, 100);
    drains.follow(&incomplete, 200);
    drains.follow(&whole, 300);
    assert_eq!(departures(&drains, &whole, 400), [Some(Departure::Now)]);
}
