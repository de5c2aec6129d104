use lvs_ipvs::{Command, Destination, Forwarding, Name, Protocol, Service};
use serde_json::{Value, json};

use super::*;
use crate::fixture::apply;
use crate::fixture::{director, pool, web};
use lvs_ipvs::Table;

fn kernel(weights: &[(&str, u32)]) -> Table {
    let mut table = Table::default();
    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: "192.168.1.222".parse().expect("an address"),
        port: 80,
    };
    let service = Service::new(key, Name::new("rr").expect("a name"));
    apply(&mut table, &Command::AddService(service));
    for (address, weight) in weights {
        let address = address.parse().expect("an address");
        let destination = Destination::new(
            DestinationKey { address, port: 80 },
            Forwarding::DirectRouting,
            *weight,
        );
        apply(
            &mut table,
            &Command::AddDestination {
                service: key,
                destination,
            },
        );
    }
    table
}

fn of(changes: &Value, pools: &Value, kernel: &Table) -> Vec<Target<MemberKey>> {
    let bundle = director(&json!([web(changes)]), pools);
    let services = Services::resolve(&bundle, &Services::default());
    let weight = |key: &ServiceKey, destination: &DestinationKey| {
        let found = kernel.get(key)?.destination(destination)?;
        Some(found.destination.weight)
    };
    let states: BTreeMap<MemberKey, bool> = services
        .resolved
        .values()
        .flat_map(|service| initial_states(service, &weight))
        .collect();
    targets(&services, &|member| states[member])
}

fn states(targets: &[Target<MemberKey>]) -> Vec<(String, bool)> {
    targets
        .iter()
        .map(|target| (target.key.destination.to_string(), target.initially_up))
        .collect()
}

#[test]
fn members_begin_in_the_state_that_the_kernel_shows() {
    let known = kernel(&[("192.168.1.130", 1), ("192.168.1.131", 0)]);
    for (initial_state, second) in [("Down", false), ("Up", true)] {
        let check = json!({"healthCheck": {"initialState": initial_state}});
        let states = states(&of(&check, &pool(), &known));
        let expected = [
            ("192.168.1.130:80".to_owned(), true),
            ("192.168.1.131:80".to_owned(), second),
        ];
        assert_eq!(states, expected, "{initial_state}");
    }
}

#[test]
fn a_member_that_is_new_begins_in_the_initial_state() {
    for (initial_state, up) in [("Down", false), ("Up", true)] {
        let check = json!({"healthCheck": {"initialState": initial_state}});
        let targets = of(&check, &pool(), &Table::default());
        assert!(
            states(&targets).iter().all(|(_, is_up)| *is_up == up),
            "{initial_state}"
        );
        assert_eq!(targets.len(), 2);
    }
}

#[test]
fn a_drained_members_weight_says_nothing_about_its_checks() {
    let known = kernel(&[("192.168.1.130", 0), ("192.168.1.131", 0)]);
    let drained = json!({"healthCheck": {}, "drain": {}});
    assert!(
        states(&of(&drained, &pool(), &known))
            .iter()
            .all(|(_, up)| *up)
    );
}

#[test]
fn two_vips_share_a_target_and_two_ports_do_not() {
    let changes = json!({
        "healthCheck": {}, "addresses": ["192.168.1.222", "192.168.1.223"],
        "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}],
    });
    let known = kernel(&[("192.168.1.130", 1)]);
    let states = states(&of(&changes, &pool(), &known));
    assert_eq!(states.len(), 4);
    assert_eq!(states[0], ("192.168.1.130:80".to_owned(), true));
    assert_eq!(states[1], ("192.168.1.130:81".to_owned(), false));
}

#[test]
fn checks_go_to_the_members_port_unless_they_name_one() {
    let changes = json!({"forwarding": {"method": "NAT"}, "healthCheck": {"checks": [
        {"name": "ping", "type": "Ping"},
        {"name": "own", "type": "TCP", "send": "HELO\\r\\n", "expect": "250"},
        {"name": "other", "type": "TCP", "port": 9000},
    ]}});
    let pools = json!([{"name": "web", "members": [
        {"address": "192.168.1.130", "port": 8080, "weight": 1},
    ]}]);
    let targets = of(&changes, &pools, &Table::default());
    let probes: Vec<Probe> = targets[0]
        .checks
        .iter()
        .map(|check| check.probe.as_ref().clone())
        .collect();
    let to = |port| SocketAddr::new([192, 168, 1, 130].into(), port);
    assert_eq!(
        probes,
        [
            Probe::Ping { to: to(0).ip() },
            Probe::Tcp {
                to: to(8080),
                send: b"HELO\r\n".to_vec(),
                expect: b"250".to_vec()
            },
            Probe::Tcp {
                to: to(9000),
                send: Vec::new(),
                expect: Vec::new()
            },
        ]
    );
}

#[test]
fn what_is_not_checked_has_no_target() {
    let unchecked = json!([{"name": "web", "members": [
        {"address": "192.168.1.130", "weight": 1, "checked": false},
    ]}]);
    assert_eq!(
        of(&json!({"healthCheck": {}}), &unchecked, &Table::default()),
        []
    );
    assert_eq!(of(&json!({}), &pool(), &Table::default()), []);
    let disabled = json!({"healthCheck": {"mode": "Disabled"}});
    assert_eq!(of(&disabled, &pool(), &Table::default()), []);
}

#[test]
fn default_settings_notice_a_dead_server_within_six_seconds() {
    let targets = of(&json!({"healthCheck": {}}), &pool(), &Table::default());
    // Half a second is left for a late timer and for the kernel.
    assert_eq!(
        targets[0].checks[0].policy.detection_bound(),
        Duration::from_millis(5500)
    );
}
