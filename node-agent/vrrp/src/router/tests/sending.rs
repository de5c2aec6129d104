//! Where advertisements go.

use super::*;

fn destinations(outputs: &[Output]) -> Vec<IpAddr> {
    let destination = |output: &Output| match output {
        Output::SendAdvertisement { destination, .. } => Some(*destination),
        _ => None,
    };
    outputs.iter().filter_map(destination).collect()
}

#[test]
fn advertisements_go_to_the_group_of_the_family() {
    let outputs = Bench::backup(config()).until_deadline();
    assert_eq!(destinations(&outputs), [IpAddr::from([224, 0, 0, 18])]);
    let ipv6 = Config {
        own_address: "fe80::2".parse().unwrap(),
        virtual_addresses: vec!["2001:db8::10".parse().unwrap()],
        ..config()
    };
    let outputs = Bench::backup(ipv6).until_deadline();
    let group: IpAddr = "ff02::12".parse().unwrap();
    assert_eq!(destinations(&outputs), [group]);
}

#[test]
fn unicast_advertisements_go_to_every_peer_and_to_nobody_else() {
    let unicast = Config {
        transport: Transport::Unicast {
            peers: vec![LOWER, HIGHER],
            minimum_ttl: 255,
        },
        ..config()
    };
    let mut bench = Bench::backup(unicast);
    assert_eq!(destinations(&bench.until_deadline()), [LOWER, HIGHER]);
    let outputs = bench.does(Input::Stop);
    assert_eq!(destinations(&outputs), [LOWER, HIGHER]);
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE; 2]);
}

#[test]
fn a_unicast_ipv6_peer_need_not_be_link_local() {
    let own_address = "2001:db8::2".parse().unwrap();
    let peer = "2001:db8::1".parse().unwrap();
    let unicast = Config {
        own_address,
        virtual_addresses: vec!["2001:db8::10".parse().unwrap()],
        transport: Transport::Unicast {
            peers: vec![peer],
            minimum_ttl: 255,
        },
        ..config()
    };
    let mut bench = Bench::backup(unicast);
    assert_eq!(bench.hears(peer, 200), []);
    assert_eq!(bench.deadline_in(), DOWN);
}
