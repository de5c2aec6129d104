use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bundle::slices_digest;
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
    let bundle = director(
        &json!([web(
            &json!({"pools": ["a", "b"], "forwarding": {"method": "NAT"}})
        )]),
        &pools,
    );
    let services = resolve(&bundle);
    let vip = only(&services).keys().next().expect("a key");
    let members: Vec<_> = only(&services)
        .members_of(&vip)
        .iter()
        .map(|placed| (placed.key.port, placed.member.weight))
        .collect();
    assert_eq!(members, [(80, 5), (81, 1)]);
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
    assert!(only(&services).pools[0].members.is_empty());
    let messages: Vec<&str> = services
        .problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert!(messages[0].contains("address nonsense"), "{messages:?}");
    assert!(messages[1].contains("member 10.0.0.1:0"), "{messages:?}");
}

fn placed(changes: &Value, pools: &Value) -> Vec<String> {
    let services = resolve(&director(&json!([web(changes)]), pools));
    let mut placed = Vec::new();
    for (key, owner) in &services.owners {
        let members = owner.members_of(key);
        placed.extend(members.iter().map(|it| format!("{key} {}", it.key)));
    }
    placed
}

#[test]
fn only_nat_translates_ports_and_only_a_tunnel_takes_the_other_family() {
    let pools = json!([{"name": "web", "members": [
        {"address": "10.0.0.1", "port": 8080, "weight": 1},
        {"address": "2001:db8::1", "weight": 1},
    ]}]);
    for (method, expected) in [
        ("DR", vec!["-t 192.168.1.222:80 10.0.0.1:80"]),
        ("NAT", vec!["-t 192.168.1.222:80 10.0.0.1:8080"]),
        (
            "TUN",
            vec![
                "-t 192.168.1.222:80 10.0.0.1:80",
                "-t 192.168.1.222:80 [2001:db8::1]:80",
            ],
        ),
    ] {
        let changes = json!({"forwarding": {"method": method}});
        assert_eq!(placed(&changes, &pools), expected);
    }
    let both = json!({
        "forwarding": {"method": "TUN"}, "addresses": ["192.168.1.222", "2001:db8::222"],
    });
    assert_eq!(
        placed(&both, &pools),
        [
            "-t 192.168.1.222:80 10.0.0.1:80",
            "-t [2001:db8::222]:80 [2001:db8::1]:80",
        ]
    );
}

#[test]
fn a_mark_is_one_service_whatever_its_vips_and_ports() {
    let changes = json!({
        "addresses": ["192.168.1.222", "192.168.1.223"],
        "firewallMark": {"mark": 99, "family": "IPv4", "managed": true},
        "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 443}],
    });
    assert_eq!(
        placed(&changes, &pool()),
        ["-f 99 192.168.1.130:0", "-f 99 192.168.1.131:0"]
    );
    let nat = json!({
        "firewallMark": {"mark": 99, "family": "IPv6", "managed": false}, "addresses": [], "ports": [],
        "forwarding": {"method": "NAT"},
    });
    let pools = json!([{"name": "web", "members": [
        {"address": "10.0.0.1", "weight": 1},
        {"address": "2001:db8::1", "port": 8080, "weight": 1},
    ]}]);
    assert_eq!(placed(&nat, &pools), ["-f 99 -6 [2001:db8::1]:8080"]);
}

#[test]
fn a_range_is_a_service_for_each_port() {
    let changes = json!({"ports": [
        {"name": "passive", "port": 10000, "endPort": 10002, "protocol": "UDP"},
    ]});
    let services = resolve(&web_director(&changes));
    let keys: Vec<String> = services.owners.keys().map(ToString::to_string).collect();
    assert_eq!(
        keys,
        [
            "-u 192.168.1.222:10000",
            "-u 192.168.1.222:10001",
            "-u 192.168.1.222:10002",
        ]
    );
    let all = json!({"ports": [{"name": "all", "port": 1, "endPort": 65535}]});
    assert_eq!(resolve(&web_director(&all)).owners.len(), 1024);
}

#[test]
fn what_has_not_changed_is_shared() {
    let services = json!([
        web(&json!({})),
        web(&json!({"name": "default/b", "addresses": ["192.168.1.223"], "pools": ["b"]})),
    ]);
    let pools = |weight| {
        json!([
            {"name": "web", "members": [{"address": "10.0.0.1", "weight": 1}]},
            {"name": "b", "members": [{"address": "10.0.0.1", "weight": weight}]},
        ])
    };
    let before = resolve(&director(&services, &pools(1)));
    let after = Services::resolve(&director(&services, &pools(2)), &before);
    let changed: Vec<&str> = after
        .changed_since(&before)
        .map(|service| service.name.as_ref())
        .collect();
    assert_eq!(changed, ["default/b"]);
}

#[test]
fn a_node_that_is_no_director_balances_nothing() {
    let mut bundle = web_director(&json!({}));
    bundle.plan.director = None;
    let services = resolve(&bundle);
    assert!(services.resolved.is_empty() && services.owners.is_empty());
    assert_eq!(services.problems, []);
}

/// A director whose slices have these services and pools, two of each in a slice.
fn in_slices(services: &[Value], pools: &[Value]) -> PlanBundle {
    let mut bundle = director(&json!([]), &json!([]));
    bundle.slices.clear();
    let mut add = |name: String, slice: Value| {
        let mut slice: PlanSliceSpec = serde_json::from_value(slice).expect("a slice");
        slice.digest = format!("{slice:?}");
        bundle.slices.insert(name, Arc::new(slice));
    };
    for (number, pools) in pools.chunks(2).enumerate() {
        add(
            format!("edge-p{number}"),
            json!({"digest": "", "services": [], "pools": pools}),
        );
    }
    for (number, services) in services.chunks(2).enumerate() {
        add(
            format!("edge-s{number}"),
            json!({"digest": "", "services": services, "pools": []}),
        );
    }
    let role = bundle.plan.director.as_mut().expect("a director");
    role.slices_digest = slices_digest(&bundle.slices);
    bundle
}

/// Shares with `before` the slices that are as they were there.
fn share(bundle: &mut PlanBundle, before: &PlanBundle) {
    for (name, slice) in &mut bundle.slices {
        if let Some(known) = before.slices.get(name)
            && known == slice
        {
            *slice = Arc::clone(known);
        }
    }
}

prop_compose! {
    /// A pool of few members of few weights, so that two of them are often the same.
    fn some_pool()(weights in vec(0..3_u32, 1..3), valid in prop::bool::weighted(0.9)) -> Value {
        let address = |number: usize| if valid { format!("10.0.0.{number}") } else { "no".to_owned() };
        let members = weights.iter().enumerate();
        members.map(|(number, weight)| json!({"address": address(number), "weight": weight})).collect()
    }
}

prop_compose! {
    fn some_service()(
        address in 1..4_u8, port in 80..82_u16, wrr in any::<bool>(), pool in 0..5_usize, is_there in prop::bool::weighted(0.9),
    ) -> Option<Value> {
        is_there.then(|| json!({
            "addresses": [format!("192.168.1.{address}")], "ports": [{"name": "http", "port": port}],
            "scheduler": {"name": if wrr { "wrr" } else { "rr" }}, "pools": [format!("p{pool}")],
        }))
    }
}

prop_compose! {
    fn some_bundle()(
        pools in vec(some_pool(), 4..6), services in vec(some_service(), 6),
    ) -> (Vec<Value>, Vec<Option<Value>>) {
        (pools, services)
    }
}

fn bundle_of((pools, services): &(Vec<Value>, Vec<Option<Value>>)) -> PlanBundle {
    let pools: Vec<Value> = pools
        .iter()
        .enumerate()
        .map(|(number, members)| json!({"name": format!("p{number}"), "members": members}))
        .collect();
    let services: Vec<Value> = services
        .iter()
        .enumerate()
        .filter_map(|(number, service)| {
            let mut service = web(service.as_ref()?);
            service["name"] = json!(format!("default/s{number}"));
            Some(service)
        })
        .collect();
    in_slices(&services, &pools)
}

proptest! {
    /// However a plan changes, what follows from the change is what follows from the plan.
    #[test]
    fn a_changed_plan_resolves_as_a_new_one_does(
        first in some_bundle(), other in some_bundle(), mix in vec(prop::bool::weighted(0.2), 11),
    ) {
        let mut second = first.clone();
        for (number, is_other) in mix.iter().enumerate() {
            let (pools, services) = (&other.0, &other.1);
            if !is_other {
                continue;
            }
            if let (Some(pool), Some(other)) = (second.0.get_mut(number), pools.get(number)) {
                pool.clone_from(other);
            } else if let (Some(service), Some(other)) = (
                second.1.get_mut(number.saturating_sub(5)), services.get(number.saturating_sub(5)),
            ) {
                service.clone_from(other);
            }
        }
        let first = bundle_of(&first);
        let mut second = bundle_of(&second);
        share(&mut second, &first);
        let before = resolve(&first);
        let after = Services::resolve(&second, &before);
        let anew = resolve(&second);
        // What waits for a pool stays as it was; of the others nothing may be left of before.
        if anew.untouched.is_empty() {
            prop_assert_eq!(&after, &anew);
        }
        let changed: Vec<&ServiceKey> = after.keys_changed_since(&before).map(|(key, _)| key).collect();
        let differing: Vec<&ServiceKey> = after
            .owners
            .iter()
            .filter(|(key, owner)| before.owners.get(key) != Some(owner))
            .map(|(key, _)| key)
            .collect();
        prop_assert_eq!(changed, differing);
    }
}

#[test]
fn a_weight_is_a_change_of_weights_only_and_a_scheduler_is_not() {
    let pools = |weight: u32, port: u16| {
        [
            json!({"name": "web", "members": [{"address": "10.0.0.1", "port": port, "weight": weight}]}),
        ]
    };
    let of = |changes: Value, pools: &[Value]| {
        let services = resolve(&in_slices(&[web(&changes)], pools));
        services.resolved.into_values().next().expect("a service")
    };
    let before = of(json!({}), &pools(1, 80));
    assert!(of(json!({}), &pools(2, 80)).differs_in_weights_only(&before));
    assert!(!of(json!({}), &pools(1, 81)).differs_in_weights_only(&before));
    assert!(
        !of(json!({"scheduler": {"name": "wrr"}}), &pools(1, 80)).differs_in_weights_only(&before)
    );
}

/// The second way, which the property above cannot tell from the first, is taken.
#[test]
fn a_weight_is_patched_in() {
    let pools = |weight: u32| {
        [json!({"name": "web", "members": [{"address": "10.0.0.1", "weight": weight}]})]
    };
    let first = in_slices(&[web(&json!({}))], &pools(1));
    let mut second = in_slices(&[web(&json!({}))], &pools(2));
    share(&mut second, &first);
    let patched = resolve(&first)
        .patched(&second)
        .expect("values alone differ");
    assert_eq!(patched, resolve(&second));
}
