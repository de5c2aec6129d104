use serde_json::json;

use super::*;
use crate::fixture::{facts, web_director};

fn role(sync: serde_json::Value) -> DirectorRole {
    let mut role = web_director(&json!({})).plan.director.expect("a director");
    role.connection_sync = serde_json::from_value(sync).expect("connection sync");
    role
}

#[test]
fn both_roles_run_with_every_option_named() {
    let role = role(json!({"syncID": 7}));
    let daemons = plan(Some(&role), &facts(&["192.168.1.129/24"])).expect("daemons");
    let lines: Vec<String> = daemons.iter().map(ToString::to_string).collect();
    let options = "--mcast-interface eth0 --syncid 7 --sync-maxlen 1400 --mcast-group 224.0.0.81 \
                   --mcast-port 8848 --mcast-ttl 1";
    assert_eq!(
        lines,
        [format!("master {options}"), format!("backup {options}")]
    );
}

#[test]
fn lengths_are_what_the_kernel_makes_of_them() {
    for (bytes, group, master, backup) in [
        (64, "224.0.0.81", 64, 1024),
        (65507, "224.0.0.81", 65507, 65507),
        (65507, "ff02::81", 65487, 65487),
    ] {
        let role = role(json!({"syncID": 7, "maxPacketBytes": bytes, "group": group}));
        let daemons = plan(Some(&role), &facts(&["192.168.1.129/24"])).expect("daemons");
        let lengths: Vec<_> = daemons
            .iter()
            .map(|daemon| daemon.max_length_bytes)
            .collect();
        assert_eq!(lengths, [Some(master), Some(backup)], "{bytes} {group}");
    }
}

#[test]
fn an_unknown_interface_is_a_problem_and_not_an_empty_plan() {
    let facts = facts(&["10.0.0.1/8"]);
    let problem = plan(Some(&role(json!({"syncID": 7}))), &facts).expect_err("a problem");
    assert!(problem.message.contains("192.168.1.0/24"), "{problem:?}");
    let named = role(json!({"syncID": 7, "interface": "eth9"}));
    let problem = plan(Some(&named), &facts).expect_err("a problem");
    assert!(problem.message.contains("eth9"), "{problem:?}");
}

#[test]
fn no_director_and_no_synchronisation_mean_no_daemon() {
    let facts = facts(&[]);
    assert_eq!(plan(None, &facts), Ok(Vec::new()));
    assert_eq!(
        plan(Some(&role(json!({"mode": "Disabled"}))), &facts),
        Ok(Vec::new())
    );
}
