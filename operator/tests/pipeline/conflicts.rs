//! Of two objects that want the same, one gets it, and it is always the same one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::sim::{Sim, WEB, condition_of};

fn service(name: &str, vip: &str, port: u16) -> String {
    format!(
        "
---
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {{name: {name}, namespace: default}}
spec:
  directorPairRef: {{name: edge}}
  frontend: {{addresses: ['{vip}'], ports: [{{name: p, port: {port}}}]}}
  backends: [{{name: web, realServerSelector: {{matchLabels: {{app: web}}}}}}]
"
    )
}

fn accepted(sim: &Sim, name: &str) -> (String, String) {
    let conditions = sim.service(name).status.clone().unwrap().conditions;
    let (status, reason, _) = condition_of(&conditions, "Accepted");
    (status.to_owned(), reason.to_owned())
}

#[test]
fn the_younger_of_two_new_ones_loses_and_gets_it_when_the_older_goes() {
    let yaml = service("older", "192.168.1.50", 80) + &service("a-younger", "192.168.1.50", 80);
    let mut sim = Sim::converged(&(WEB.to_owned() + &yaml));
    assert_eq!(accepted(&sim, "default/older").0, "True");
    assert_eq!(accepted(&sim, "default/a-younger").1, "VIPConflict");
    sim.delete("default/older");
    sim.converge();
    assert_eq!(accepted(&sim, "default/a-younger").0, "True");
    assert!(sim.service_plan("default/a-younger").is_some());
}

#[test]
fn one_that_runs_does_not_lose_to_an_older_one_that_changes_its_mind() {
    let yaml = service("older", "192.168.1.50", 80) + &service("younger", "192.168.1.51", 80);
    let mut sim = Sim::converged(&(WEB.to_owned() + &yaml));
    sim.edit_service("default/older", |older| {
        older.spec.frontend.addresses = vec!["192.168.1.51".to_owned()];
    });
    sim.converge();
    assert_eq!(accepted(&sim, "default/younger").0, "True");
    assert_eq!(accepted(&sim, "default/older").1, "VIPConflict");
    assert_eq!(
        sim.service_plan("default/older").unwrap().addresses,
        ["192.168.1.50"]
    );
    // Its old address is still in use, so that nobody else gets it.
    sim.apply(&service("third", "192.168.1.50", 80));
    sim.converge();
    assert_eq!(accepted(&sim, "default/third").1, "VIPConflict");
}

#[test]
fn another_spelling_is_the_same_address() {
    let yaml = "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: edge}
spec:
  directors: [{nodeName: lb-1}]
  interface: {name: eth0}
"
    .to_owned()
        + &service("one", "2001:db8::1", 80)
        + &service("two", "2001:DB8:0:0::1", 80);
    let sim = Sim::converged(&yaml);
    assert_eq!(accepted(&sim, "default/two").1, "VIPConflict");
}

#[test]
fn a_vip_moves_with_one_instance() {
    let yaml = WEB.replace(
        "instances: [{name: default, virtualRouterID: 51, preferredDirector: lb-1}]",
        "instances: [{name: default, addresses: [{address: 192.168.1.60}]}, {name: other}]",
    ) + &service("beside", "192.168.1.60", 80)
        + &service("same-vip", "192.168.1.222", 443)
        + &service("wrong", "192.168.1.222", 22);
    let mut sim = Sim::new(&yaml);
    sim.edit_service("default/wrong", |wrong| {
        wrong.spec.instance = "other".to_owned();
    });
    sim.converge();
    assert_eq!(
        accepted(&sim, "default/beside").0,
        "True",
        "the instance's own address"
    );
    assert_eq!(accepted(&sim, "default/same-vip").0, "True", "another port");
    assert_eq!(accepted(&sim, "default/wrong").1, "VIPConflict");
}

#[test]
fn an_address_of_an_instance_is_nobody_elses() {
    let pair = |name: &str, addresses: [&str; 2]| {
        format!(
            "
---
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {{name: {name}}}
spec:
  directors: [{{nodeName: web-1}}]
  interface: {{name: eth0}}
  instances:
  - {{name: a, addresses: [{{address: {}}}]}}
  - {{name: b, addresses: [{{address: {}}}]}}
",
            addresses[0], addresses[1]
        )
    };
    for (addresses, accepted) in [
        (["10.0.0.1", "10.0.0.2"], "Accepted"),
        (["10.0.0.1", "10.0.0.1"], "VIPConflict"),
        (["10.0.0.1", "192.168.1.222"], "VIPConflict"),
    ] {
        let mut sim = Sim::converged(WEB);
        sim.apply(&pair("second", addresses));
        sim.converge();
        let conditions = sim.pair("second").status.clone().unwrap().conditions;
        assert_eq!(
            condition_of(&conditions, "Accepted").1,
            accepted,
            "{addresses:?}"
        );
        assert_eq!(
            self::accepted(&sim, "default/web").0,
            "True",
            "the one that runs"
        );
    }
}

#[test]
fn pairs_on_networks_that_do_not_meet_may_use_one_virtual_router_id() {
    let pair = |name: &str, node: &str, subnet: &str| {
        format!(
            "
---
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {{name: {name}}}
spec:
  directors: [{{nodeName: {node}}}]
  interface: {{subnet: {subnet}}}
  instances: [{{name: default, virtualRouterID: 7}}]
"
        )
    };
    let sim = Sim::converged(
        &(pair("one", "lb-1", "10.0.0.0/24")
            + &pair("two", "lb-2", "10.0.1.0/24")
            + &pair("three", "web-1", "10.0.0.0/16")),
    );
    let reasons = ["one", "two", "three"].map(|name| {
        let conditions = sim.pair(name).status.clone().unwrap().conditions;
        condition_of(&conditions, "Accepted").1.to_owned()
    });
    assert_eq!(reasons, ["Accepted", "Accepted", "VRIDConflict"]);
}

#[test]
fn an_hmac_key_that_is_missing_too_short_or_too_long_is_refused() {
    let mut sim = Sim::converged(WEB);
    let long = "A".repeat(88);
    let right = "A".repeat(43) + "=";
    sim.apply(&format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: right, namespace: lvs-system}}
data: {{'1': {right}, '2': {right}, '0': MQ==, note: MQ==}}
---
apiVersion: v1
kind: Secret
metadata: {{name: short, namespace: lvs-system}}
data: {{'1': {right}, '2': MTIz}}
---
apiVersion: v1
kind: Secret
metadata: {{name: long, namespace: lvs-system}}
data: {{'1': {right}, '2': {long}}}
"
    ));
    for (name, id, reason, words) in [
        ("right", 1, "Accepted", ""),
        (
            "right",
            3,
            "SecretNotFound",
            "right --namespace lvs-system --from-literal=3=$(openssl",
        ),
        ("right", 2, "Accepted", ""),
        (
            "short",
            1,
            "SecretTooShort",
            "key 2 of Secret lvs-system/short has 3 bytes",
        ),
        (
            "long",
            1,
            "SecretTooLong",
            "key 2 of Secret lvs-system/long has more than 64",
        ),
        ("none", 1, "SecretNotFound", "no Secret none"),
    ] {
        sim.edit_pair("edge", |pair| {
            pair.spec.vrrp = serde_yaml::from_str(&format!(
                "{{authentication: {{type: HMACSHA256, secretRef: {{name: {name}}}, activeKeyID: {id}}}}}"
            ))
            .unwrap();
        });
        sim.converge();
        let conditions = sim.pair("edge").status.clone().unwrap().conditions;
        let (_, found, message) = condition_of(&conditions, "Accepted");
        assert_eq!(found, reason, "{name} {id}");
        assert!(message.contains(words), "{message}");
        let role = sim.decide().secrets_role;
        assert_eq!(role["rules"][0]["resourceNames"][0], name);
    }
}

#[test]
fn a_password_that_is_too_long_is_refused() {
    let mut sim = Sim::converged(WEB);
    sim.apply(
        "
apiVersion: v1
kind: Secret
metadata: {name: vrrp, namespace: lvs-system}
data: {password: MTIzNDU2Nzg5, short: MTIzNDU2Nzg=, empty: ''}
",
    );
    for (key, reason) in [
        ("password", "SecretTooLong"),
        ("short", "Accepted"),
        ("empty", "SecretNotFound"),
    ] {
        sim.edit_pair("edge", |pair| {
            pair.spec.vrrp = serde_yaml::from_str(&format!(
                "{{version: 2, authentication: {{type: Simple, secretRef: {{name: vrrp, key: {key}}}}}}}"
            ))
            .unwrap();
        });
        sim.converge();
        let conditions = sim.pair("edge").status.clone().unwrap().conditions;
        let (_, found, message) = condition_of(&conditions, "Accepted");
        assert_eq!(found, reason, "{key}");
        assert!(
            found == "Accepted" || message.contains("lvs-system/vrrp"),
            "{message}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever people apply, change and delete, in whatever order: no two services in the plans
    /// have the same VIP and port, and every accepted service is in the plans as it asks.
    #[test]
    fn plans_hold_no_conflict(
        steps in prop::collection::vec((0..6_u8, 0..4_u8, 0..2_u16, any::<bool>()), 1..24),
    ) {
        let mut sim = Sim::converged(WEB);
        for (name, vip, port, keep) in steps {
            let name = format!("s{name}");
            if keep {
                sim.apply(&service(&name, &format!("192.168.1.{}", 50 + vip), 80 + port));
            } else {
                sim.delete(&format!("default/{name}"));
            }
            sim.operate();
            let mut owners = BTreeMap::new();
            for plan in sim.world.slices.values().flat_map(|slice| &slice.spec.services) {
                for address in &plan.addresses {
                    for port in &plan.ports {
                        let other = owners.insert((address.clone(), port.port), plan.name.clone());
                        prop_assert!(other.is_none(), "{other:?} and {}", plan.name);
                    }
                }
            }
        }
        sim.converge();
        for service in &sim.world.services {
            let name = lvs_operator::world::key(&**service);
            if accepted(&sim, &name).0 == "True" {
                let plan = sim.service_plan(&name).unwrap();
                prop_assert_eq!(&plan.addresses, &service.spec.frontend.addresses);
                prop_assert_eq!(&plan.ports, &service.spec.frontend.ports);
            }
        }
    }
}

#[test]
fn an_instance_cannot_name_the_vrid_that_its_sibling_was_given() {
    let mut sim = Sim::converged(&WEB.replace(", virtualRouterID: 51", ""));
    let given = sim.pair("edge").status.as_ref().unwrap().instances[0].virtual_router_id;
    for (number, expected) in [(given, "False"), (given % 255 + 1, "True")] {
        sim.edit_pair("edge", |pair| {
            pair.spec.instances.truncate(1);
            let mut second = pair.spec.instances[0].clone();
            second.name = "second".to_owned();
            second.virtual_router_id = Some(number);
            pair.spec.instances.push(second);
        });
        sim.converge();
        let status = sim.pair("edge").status.as_ref().unwrap();
        let (accepted, reason, _) = condition_of(&status.conditions, "Accepted");
        assert_eq!(accepted, expected);
        assert_eq!(reason == "VRIDConflict", expected == "False");
    }
}
