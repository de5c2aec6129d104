use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::bundle::PlanBundle;
use crate::fixture::{director, pool, web, web_director};

/// The table as `ipvsadm-save -n` would print it, with these members down.
fn saved(bundle: &PlanBundle, down: &[&str]) -> Vec<String> {
    let services = Services::resolve(bundle, &Services::default());
    let down: BTreeSet<IpAddr> = down
        .iter()
        .map(|address| address.parse().expect("an address"))
        .collect();
    let table = table(&services, &|member| {
        !down.contains(&member.destination.address)
    });
    let mut lines = Vec::new();
    for planned in table.values() {
        lines.push(format!("-A {}", planned.service));
        let destinations = planned.destinations.values();
        lines.extend(destinations.map(|it| format!("-a {} {it}", planned.service.key)));
    }
    lines
}

fn weights(changes: &Value, down: &[&str]) -> Vec<String> {
    saved(&web_director(changes), down)
        .into_iter()
        .filter_map(|line| line.split_once(" -w ").map(|(_, weight)| weight.to_owned()))
        .collect()
}

#[test]
fn a_service_becomes_one_of_the_kernel_for_each_vip_and_port() {
    let changes = json!({
        "addresses": ["192.168.1.222", "192.168.1.223"],
        "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}],
    });
    let pools = json!([{"name": "web", "members": [{"address": "192.168.1.130", "weight": 3}]}]);
    assert_eq!(
        saved(&director(&json!([web(&changes)]), &pools), &[]),
        [
            "-A -t 192.168.1.222:80 -s rr",
            "-a -t 192.168.1.222:80 -r 192.168.1.130:80 -g -w 3",
            "-A -t 192.168.1.222:443 -s rr",
            "-a -t 192.168.1.222:443 -r 192.168.1.130:443 -g -w 3",
            "-A -t 192.168.1.223:80 -s rr",
            "-a -t 192.168.1.223:80 -r 192.168.1.130:80 -g -w 3",
            "-A -t 192.168.1.223:443 -s rr",
            "-a -t 192.168.1.223:443 -r 192.168.1.130:443 -g -w 3",
        ]
    );
}

#[test]
fn schedulers_flags_and_persistence_are_those_of_ipvsadm() {
    for (changes, service) in [
        (
            json!({"scheduler": {"name": "sh", "flags": ["SHFallback", "SHPort"]}}),
            "-A -t 192.168.1.222:80 -s sh -b sh-fallback,sh-port",
        ),
        (
            json!({"scheduler": {"name": "mh", "flags": ["MHPort"]}}),
            "-A -t 192.168.1.222:80 -s mh -b mh-port",
        ),
        (
            json!({"persistence": {"timeoutSeconds": 50}}),
            "-A -t 192.168.1.222:80 -s rr -p 50",
        ),
        (
            json!({"persistence": {"timeoutSeconds": 50, "ipv4PrefixLength": 24}}),
            "-A -t 192.168.1.222:80 -s rr -p 50 -M 255.255.255.0",
        ),
        (
            json!({"addresses": ["2001:db8::222"], "persistence": {"ipv6PrefixLength": 64}}),
            "-A -t [2001:db8::222]:80 -s rr -p 300 -M 64",
        ),
    ] {
        assert_eq!(saved(&web_director(&changes), &[])[0], service);
    }
}

#[test]
fn a_member_whose_checks_fail_gets_weight_0_or_leaves() {
    let check = |action| json!({"healthCheck": {"onFailure": action}});
    assert_eq!(weights(&check("Quiesce"), &["192.168.1.130"]), ["0", "2"]);
    assert_eq!(weights(&check("Remove"), &["192.168.1.130"]), ["2"]);
    assert_eq!(weights(&check("Quiesce"), &[]), ["1", "2"]);
    // Without checks nothing can fail.
    assert_eq!(weights(&json!({}), &["192.168.1.130"]), ["1", "2"]);
    let disabled = json!({"healthCheck": {"mode": "Disabled"}});
    assert_eq!(weights(&disabled, &["192.168.1.130"]), ["1", "2"]);
}

#[test]
fn a_drained_service_has_weight_0_everywhere() {
    assert_eq!(weights(&json!({"drain": true}), &[]), ["0", "0"]);
    let checked = json!({"drain": true, "healthCheck": {"onFailure": "Remove"}});
    assert_eq!(weights(&checked, &["192.168.1.131"]), ["0"]);
}

#[test]
fn an_unchecked_member_keeps_the_plans_weight() {
    let pools = json!([{"name": "web", "members": [
        {"address": "192.168.1.130", "weight": 7, "checked": false},
    ]}]);
    let bundle = director(&json!([web(&json!({"healthCheck": {}}))]), &pools);
    assert!(saved(&bundle, &["192.168.1.130"])[1].ends_with("-w 7"));
}

#[test]
fn of_two_services_with_one_key_the_first_by_name_counts() {
    let services = json!([
        web(&json!({"name": "default/b", "scheduler": {"name": "wlc"}})),
        web(&json!({"name": "default/a"})),
    ]);
    let lines = saved(&director(&services, &pool()), &[]);
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("-A")).count(),
        1
    );
    assert_eq!(lines[0], "-A -t 192.168.1.222:80 -s rr");
}
