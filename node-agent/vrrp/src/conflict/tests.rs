use proptest::prelude::*;

use super::*;
use crate::announcement::{
    arp_probe, gratuitous_arp, neighbor_probe, unsolicited_neighbor_advertisement,
};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const OTHER_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11));
const STRANGER: HardwareAddress = [2, 0, 0, 0, 0, 9];
const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

const START: Monotonic = Monotonic::from_epoch(Duration::from_secs(1000));

fn seconds(count: u64) -> Monotonic {
    START + Duration::from_secs(count)
}

/// The watch of a router that became Active a minute before [`START`], and has probed.
fn watch() -> ConflictWatch {
    let mut watch = ConflictWatch::default();
    watch.begin(Monotonic::from_epoch(Duration::from_secs(940)));
    assert_eq!(
        watch.tick(Monotonic::from_epoch(Duration::from_secs(945))),
        [Defence::Probe]
    );
    watch
}

fn conflict(address: IpAddr, since: Monotonic) -> Conflict {
    Conflict {
        address,
        hardware: STRANGER,
        since,
    }
}

#[test]
fn an_active_router_probes_again_and_again() {
    let mut watch = ConflictWatch::default();
    assert_eq!(watch.next_deadline(), None);
    assert_eq!(watch.tick(START), []);
    watch.begin(START);
    for at in [START + FIRST_PROBE, START + FIRST_PROBE + PROBE_INTERVAL] {
        assert_eq!(watch.next_deadline(), Some(at));
        assert_eq!(watch.tick(at), [Defence::Probe]);
        assert_eq!(watch.tick(at), []);
    }
    assert_eq!(watch.end(), []);
    assert_eq!(watch.next_deadline(), None);
}

#[test]
fn a_host_that_goes_on_claiming_an_address_is_told_of_once() {
    let mut watch = watch();
    assert_eq!(
        watch.claimed(VIP, STRANGER, START),
        [Defence::Announce(VIP)]
    );
    assert_eq!(watch.conflicts().count(), 0);
    assert_eq!(watch.next_deadline(), Some(seconds(1)));
    assert_eq!(watch.tick(seconds(1)), [Defence::Probe]);
    let found = conflict(VIP, START);
    assert_eq!(
        watch.claimed(VIP, STRANGER, seconds(1)),
        [Defence::Found(found)]
    );
    assert_eq!(watch.conflicts().collect::<Vec<_>>(), [found]);
    // It answers every probe, and is answered at most every ten seconds.
    let mut announced = Vec::new();
    for second in 2..40 {
        if watch.tick(seconds(second)).contains(&Defence::Probe) {
            let defences = watch.claimed(VIP, STRANGER, seconds(second));
            assert!(defences.iter().all(|it| *it == Defence::Announce(VIP)));
            announced.extend(defences.iter().map(|_| second));
        }
    }
    assert_eq!(announced, [10, 22, 34]);
}

#[test]
fn one_that_falls_silent_is_a_conflict_no_more() {
    let mut watch = watch();
    watch.claimed(VIP, STRANGER, START);
    watch.claimed(VIP, STRANGER, seconds(2));
    watch.tick(seconds(11));
    assert_eq!(watch.conflicts().count(), 1);
    assert_eq!(
        watch.tick(seconds(12)),
        [Defence::Announce(VIP), Defence::Over(conflict(VIP, START))]
    );
    assert_eq!(watch.conflicts().count(), 0);
    // The next one is told of anew.
    watch.claimed(VIP, STRANGER, seconds(20));
    let again = watch.claimed(VIP, STRANGER, seconds(22));
    assert_eq!(again, [Defence::Found(conflict(VIP, seconds(20)))]);
}

#[test]
fn a_single_claim_is_answered_and_not_told_of() {
    let mut watch = watch();
    watch.claimed(VIP, STRANGER, START);
    for second in 1..30 {
        for defence in watch.tick(seconds(second)) {
            assert_eq!(defence, Defence::Probe);
        }
    }
    assert_eq!(watch.claims.len(), 0);
}

#[test]
fn conflicts_end_with_the_role_and_with_the_address() {
    let mut watch = watch();
    for address in [VIP, OTHER_VIP] {
        watch.claimed(address, STRANGER, START);
        watch.claimed(address, STRANGER, seconds(1));
    }
    let gone = watch.keep(&[VIP]);
    assert_eq!(gone, [Defence::Over(conflict(OTHER_VIP, START))]);
    assert_eq!(watch.end(), [Defence::Over(conflict(VIP, START))]);
    assert_eq!(watch.claimed(VIP, STRANGER, seconds(2)), []);
}

/// The reply of Linux 6.1 to a probe, captured from its interface.
const REPLY: [u8; ARP_BYTES] = [
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, // Ethernet, IPv4, lengths, reply
    0x02, 0x00, 0xc0, 0xa8, 0x9f, 0x78, 0xc0, 0xa8, 0x9f, 0x78, // sender
    0x02, 0x00, 0xc0, 0xa8, 0x9f, 0x14, 0x00, 0x00, 0x00, 0x00, // target
];

#[test]
fn requests_and_replies_claim_the_address_of_their_sender() {
    let hardware = [0x02, 0x00, 0xc0, 0xa8, 0x9f, 0x78];
    let address = Ipv4Addr::new(192, 168, 159, 120);
    assert_eq!(arp_claim(&REPLY), Some((address, hardware)));
    // A network card fills a short frame up.
    let padded = [REPLY.as_slice(), &[0; 18]].concat();
    assert_eq!(arp_claim(&padded), Some((address, hardware)));
    let frame = gratuitous_arp(hardware, address);
    assert_eq!(
        arp_claim(&frame[ETHERNET_HEADER..]),
        Some((address, hardware))
    );
}

#[test]
fn what_claims_nothing_is_passed_over() {
    let probe = arp_probe(STRANGER, Ipv4Addr::new(192, 0, 2, 10));
    assert_eq!(arp_claim(&probe[ETHERNET_HEADER..]), None);
    for length in 0..ARP_BYTES {
        assert_eq!(arp_claim(&REPLY[..length]), None, "{length} octets");
    }
    // Another hardware, protocol, length of either, operation (8: InARP).
    for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 8)] {
        let mut packet = REPLY;
        packet[at] = value;
        assert_eq!(arp_claim(&packet), None, "{value} at {at}");
    }
}

/// The Neighbor Advertisement of keepalived 2.2.7 to all nodes, captured.
const ADVERTISEMENT: [u8; 32] = [
    0x88, 0x00, 0x8e, 0xd0, 0x20, 0x00, 0x00, 0x00, // type, code, checksum, Override
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, // target
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, //
    0x02, 0x01, 0x8e, 0x42, 0x58, 0x95, 0x85, 0x65, // its hardware address
];

#[test]
fn a_neighbor_advertisement_claims_its_target() {
    let hardware = [0x8e, 0x42, 0x58, 0x95, 0x85, 0x65];
    let address = "2001:db8::10".parse().unwrap();
    assert_eq!(neighbor_claim(&ADVERTISEMENT), Some((address, hardware)));
    // An option that nobody knows (14: nonce) before and behind it.
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let (message, option) = ADVERTISEMENT.split_at(24);
    let longer = [message, &nonce, option, &nonce].concat();
    assert_eq!(neighbor_claim(&longer), Some((address, hardware)));
}

#[test]
fn other_messages_of_neighbor_discovery_claim_nothing() {
    let probe = neighbor_probe(STRANGER, "2001:db8::10".parse().unwrap());
    assert_eq!(
        neighbor_claim(&probe[ETHERNET_HEADER + IPV6_HEADER..]),
        None
    );
    for length in 0..ADVERTISEMENT.len() {
        assert_eq!(
            neighbor_claim(&ADVERTISEMENT[..length]),
            None,
            "{length} octets"
        );
    }
    // Another type or code, a multicast target, another option, one without a length, one that is too long.
    for (at, value) in [(0, 135), (1, 1), (8, 0xff), (24, 1), (25, 0), (25, 2)] {
        let mut message = ADVERTISEMENT;
        message[at] = value;
        assert_eq!(neighbor_claim(&message), None, "{value} at {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = arp_claim(&packet);
        let _ = neighbor_claim(&packet);
    }

    #[test]
    fn what_is_announced_is_read_as_a_claim(hardware: [u8; 6], address in 1_u32..) {
        let address = Ipv4Addr::from(address);
        let frame = gratuitous_arp(hardware, address);
        prop_assert_eq!(arp_claim(&frame[ETHERNET_HEADER..]), Some((address, hardware)));
    }

    #[test]
    fn what_is_announced_of_ipv6_is_read_as_a_claim(hardware: [u8; 6], address in 1_u128..0xff << 120) {
        let address = Ipv6Addr::from(address);
        let frame = unsolicited_neighbor_advertisement(hardware, address);
        let message = &frame[ETHERNET_HEADER + IPV6_HEADER..];
        prop_assert_eq!(neighbor_claim(message), Some((address, hardware)));
    }

    /// Whatever is heard when: what is told begins and ends in turn, probes and announcements stay rare, and a
    /// deadline is never passed without effect.
    #[test]
    fn everything_told_is_ended_and_nothing_storms(
        steps in proptest::collection::vec((0_u64..4000, any::<bool>(), 0_u8..10), 1..200),
    ) {
        let mut watch = ConflictWatch::default();
        let mut now = START;
        let (mut active, mut told) = (false, Vec::new());
        let mut announced_at = BTreeMap::new();
        for (milliseconds, is_first, event) in steps {
            now = now + Duration::from_millis(milliseconds);
            let address = if is_first { VIP } else { OTHER_VIP };
            let defences = match event {
                0 if active => { active = false; watch.end() }
                0 => { active = true; watch.begin(now); Vec::new() }
                1 => watch.keep(&[address]),
                2..5 => watch.tick(now),
                _ => watch.claimed(address, STRANGER, now),
            };
            prop_assert!(active || defences.iter().all(|it| matches!(it, Defence::Over(_))));
            for defence in defences {
                match defence {
                    Defence::Found(conflict) => {
                        prop_assert!(!told.contains(&conflict.address));
                        told.push(conflict.address);
                    }
                    Defence::Over(conflict) => {
                        prop_assert!(told.contains(&conflict.address));
                        told.retain(|address| *address != conflict.address);
                        announced_at.remove(&conflict.address);
                    }
                    Defence::Announce(address) => {
                        if told.contains(&address) && let Some(last) = announced_at.insert(address, now) {
                            prop_assert!(now.saturating_since(last) >= DEFEND_INTERVAL);
                        }
                    }
                    Defence::Probe => {}
                }
            }
            let mut open: Vec<_> = watch.conflicts().map(|conflict| conflict.address).collect();
            open.sort();
            told.sort();
            prop_assert_eq!(&open, &told);
            if active {
                prop_assert!(watch.next_deadline().is_some());
            }
        }
    }
}
