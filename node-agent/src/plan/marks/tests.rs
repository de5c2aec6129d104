use serde_json::{Value, json};

use super::*;
use crate::bundle::PlanBundle;
use crate::fixture::{director, pool, web};

fn marks(services: &Value) -> (Vec<String>, Vec<Problem>) {
    let services = Services::resolve(&director(services, &pool()), &Services::default());
    let mut problems = Vec::new();
    let plan = plan(&services, &mut problems);
    assert!(plan.is_whole);
    let rules = plan.rules.iter();
    let rules = rules.map(|(address, ports, mark)| format!("{address} {ports} {mark}"));
    (rules.collect(), problems)
}

fn https(managed: bool) -> Value {
    web(&json!({
        "addresses": ["192.168.159.110", "2001:db8::110"],
        "firewallMark": {"mark": 99, "family": "IPv4", "managed": managed},
        "ports": [
            {"name": "http", "port": 80}, {"name": "https", "port": 443},
            {"name": "ftp", "port": 10000, "endPort": 10100},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
        "persistence": {"timeoutSeconds": 300},
    }))
}

#[test]
fn managed_marks_are_of_the_marks_family_and_of_every_port() {
    let (rules, problems) = marks(&json!([https(true)]));
    assert_eq!(
        rules,
        [
            "192.168.159.110 tcp port 80 99",
            "192.168.159.110 tcp port 443 99",
            "192.168.159.110 tcp ports 10000-10100 99",
            "192.168.159.110 udp port 53 99",
        ]
    );
    assert_eq!(problems, []);
}

#[test]
fn marks_of_others_and_services_without_are_none_of_ours() {
    assert_eq!(marks(&json!([https(false)])), (vec![], vec![]));
    assert_eq!(marks(&json!([web(&json!({}))])), (vec![], vec![]));
}

#[test]
fn port_0_is_every_port_of_the_protocol() {
    let (rules, _) = marks(&json!([web(&json!({
        "firewallMark": {"mark": 7, "family": "IPv4", "managed": true},
        "ports": [{"name": "all", "port": 0}],
    }))]));
    assert_eq!(rules, ["192.168.1.222 every tcp port 7"]);
}

#[test]
fn of_two_marks_for_a_port_the_first_service_has_its_own_and_the_other_is_told() {
    let mut other = https(true);
    other["name"] = json!("default/web-2");
    other["firewallMark"]["mark"] = json!(100);
    let (rules, problems) = marks(&json!([https(true), other]));
    assert!(rules.iter().all(|rule| rule.ends_with(" 99")), "{rules:?}");
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(problem.message.contains("default/web-2"), "{problem:?}");
}

#[test]
fn while_a_service_waits_for_its_pool_the_marks_are_not_whole() {
    let bundle: PlanBundle = director(&json!([https(true)]), &json!([]));
    let services = Services::resolve(&bundle, &Services::default());
    let plan = plan(&services, &mut Vec::new());
    assert!(plan.rules.is_empty() && !plan.is_whole);
}
