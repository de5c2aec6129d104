use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::*;
use crate::bundle::PlanBundle;
use crate::fixture::{director, pool, web, web_director};
use crate::plan::services::Services;

/// The services of a bundle, with these members down.
fn planned(bundle: &PlanBundle, down: &[&str], was_without_quorum: bool) -> Vec<PlannedService> {
    let services = Services::resolve(bundle, &Services::default());
    let mut drains = Drains::default();
    drains.follow(&services, 0);
    let down: BTreeSet<IpAddr> = down
        .iter()
        .map(|address| address.parse().expect("an address"))
        .collect();
    let is_up = |member: &MemberKey| !down.contains(&member.destination.address);
    let conditions = Conditions {
        is_up: &is_up,
        drains: &drains,
        was_without_quorum,
        now_unix_seconds: 10,
    };
    let planned = services
        .owners
        .iter()
        .map(|(key, owner)| plan(owner, key, conditions));
    planned.map(|planned| planned.expect("a service")).collect()
}

/// The table as `ipvsadm-save -n` would print it, with these members down.
fn saved(bundle: &PlanBundle, down: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for planned in planned(bundle, down, false) {
        lines.push(format!("-A {}", planned.service));
        for it in &planned.destinations {
            let leaves = if it.leaves { " leaves" } else { "" };
            lines.push(format!(
                "-a {} {}{leaves}",
                planned.service.key, it.destination
            ));
        }
    }
    lines
}

fn weights_of(bundle: &PlanBundle, down: &[&str]) -> Vec<String> {
    saved(bundle, down)
        .into_iter()
        .filter_map(|line| line.split_once(" -w ").map(|(_, weight)| weight.to_owned()))
        .collect()
}

fn weights(changes: &Value, down: &[&str]) -> Vec<String> {
    weights_of(&web_director(changes), down)
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
fn a_drained_service_has_weight_0_everywhere_until_the_time_is_over() {
    assert_eq!(
        weights(&json!({"drain": {}}), &[]),
        ["0 leaves", "0 leaves"]
    );
    let checked = json!({"drain": {}, "healthCheck": {"onFailure": "Remove"}});
    assert_eq!(
        weights(&checked, &["192.168.1.131"]),
        ["0 leaves", "0 leaves"]
    );
    let over = json!({"drain": {"timeoutSeconds": 10}});
    assert_eq!(weights(&over, &[]), [""; 0]);
    let kept = json!({"drain": {"timeoutSeconds": 10, "onTimeout": "Keep"}});
    assert_eq!(weights(&kept, &[]), ["0 leaves", "0 leaves"]);
}

#[test]
fn a_member_has_its_own_forwarding_limits_and_way_of_leaving() {
    let pools = json!([{"name": "web", "members": [
        {"address": "10.0.0.1", "weight": 1, "connectionLimits": {"upper": 100, "lower": 50}},
        {"address": "10.0.0.2", "port": 8080, "weight": 2, "forwarding": {"method": "NAT"}},
        {"address": "10.0.0.3", "weight": 3, "forwarding": {"method": "TUN", "tunnel":
            {"type": "GUE", "port": 6080, "checksum": "RemoteChecksum"}}},
        {"address": "10.0.0.4", "weight": 4, "forwarding": {"method": "TUN", "tunnel":
            {"type": "GRE", "checksum": "Checksum"}}},
        {"address": "10.0.0.5", "weight": 5, "forwarding": {"method": "TUN"}},
        {"address": "10.0.0.6", "weight": 6, "drain": {"timeoutSeconds": 11}},
        {"address": "10.0.0.7", "weight": 7, "drain": {"timeoutSeconds": 10}},
    ]}]);
    let lines = saved(&director(&json!([web(&json!({}))]), &pools), &[]);
    let vip = "-a -t 192.168.1.222:80 -r";
    assert_eq!(
        lines,
        [
            "-A -t 192.168.1.222:80 -s rr".to_owned(),
            format!("{vip} 10.0.0.1:80 -g -w 1 -x 100 -y 50"),
            format!("{vip} 10.0.0.2:8080 -m -w 2"),
            format!("{vip} 10.0.0.3:80 -i -w 3 --tun-type gue --tun-port 6080 --tun-remcsum"),
            format!("{vip} 10.0.0.4:80 -i -w 4 --tun-type gre --tun-csum"),
            format!("{vip} 10.0.0.5:80 -i -w 5 --tun-type ipip"),
            format!("{vip} 10.0.0.6:80 -g -w 0 leaves"),
        ]
    );
}

fn with_fallback(quorum: i32, fallback: &Value) -> Value {
    json!({"healthCheck": {}, "quorum": {"minimumWeight": quorum}, "fallback": fallback})
}

#[test]
fn the_fallback_serves_alone_while_the_quorum_is_lost() {
    let fallback = with_fallback(
        2,
        &json!({"address": "127.0.0.1", "forwarding": {"method": "Local"}}),
    );
    let bundle = web_director(&fallback);
    let vip = "-a -t 192.168.1.222:80 -r";
    assert_eq!(
        saved(&bundle, &["192.168.1.131"])[1..],
        [
            format!("{vip} 127.0.0.1:80 --local -w 1"),
            format!("{vip} 192.168.1.130:80 -g -w 0"),
            format!("{vip} 192.168.1.131:80 -g -w 0"),
        ]
    );
    assert_eq!(
        saved(&bundle, &["192.168.1.130"])[1..],
        [
            format!("{vip} 127.0.0.1:80 --local -w 0 leaves"),
            format!("{vip} 192.168.1.130:80 -g -w 0"),
            format!("{vip} 192.168.1.131:80 -g -w 2"),
        ]
    );
}

#[test]
fn without_a_fallback_a_lost_quorum_is_only_told() {
    let bundle = web_director(&json!({"healthCheck": {}, "quorum": {"minimumWeight": 4}}));
    let planned = planned(&bundle, &[], false);
    assert!(planned[0].is_without_quorum);
    assert_eq!(saved(&bundle, &[])[2].rsplit(' ').next(), Some("2"));
}

#[test]
fn between_the_bounds_all_stays_as_it_was() {
    let changes = json!({"quorum": {"minimumWeight": 3, "hysteresis": 1}});
    for was in [true, false] {
        assert_eq!(
            planned(&web_director(&changes), &[], was)[0].is_without_quorum,
            was
        );
    }
}

#[test]
fn a_fallback_that_is_a_member_is_one_until_it_is_needed() {
    let bundle = web_director(&with_fallback(2, &json!({"address": "192.168.1.130"})));
    assert_eq!(weights_of(&bundle, &[]), ["1", "2"]);
    assert_eq!(weights_of(&bundle, &["192.168.1.131"]), ["1", "0"]);
}

#[test]
fn a_new_agent_learns_from_the_fallbacks_weight_whether_the_quorum_is_lost() {
    let bundle = web_director(&with_fallback(2, &json!({"address": "10.0.0.9"})));
    let services = Services::resolve(&bundle, &Services::default());
    let (key, owner) = services.owners.iter().next().expect("a service");
    let fallback = fallback_destination(owner, key).expect("a fallback").key;
    for (weight, is_lost) in [(1, true), (0, false)] {
        assert_eq!(shows_lost_quorum(owner, key, [(fallback, weight)]), is_lost);
    }
    assert!(!shows_lost_quorum(owner, key, []));
}

#[test]
fn one_packet_and_the_engine_of_sip_are_those_of_ipvsadm() {
    let changes = json!({
        "ports": [{"name": "sip", "port": 5060, "protocol": "UDP"}],
        "scheduler": {"name": "rr", "onePacket": true},
        "persistence": {"timeoutSeconds": 60, "engine": "SIP"},
    });
    let sctp = json!({"ports": [{"name": "m3ua", "port": 2905, "protocol": "SCTP"}]});
    assert_eq!(
        saved(&web_director(&changes), &[])[0],
        "-A -u 192.168.1.222:5060 -s rr -p 60 --pe sip -o"
    );
    assert_eq!(
        saved(&web_director(&sctp), &[])[0],
        "-A --sctp-service 192.168.1.222:2905 -s rr"
    );
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
