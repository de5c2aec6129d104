use netlink_packet_core::NetlinkBuffer;
use proptest::prelude::*;

use super::*;

fn vip(address: &str, prefix_length: u8) -> Vip {
    Vip {
        interface_index: 7,
        address: address.parse().expect("an address"),
        prefix_length,
    }
}

fn decode(buffer: &[u8]) -> NetlinkMessage<RouteNetlinkMessage> {
    NetlinkMessage::deserialize(buffer).expect("a message")
}

fn kernel_address(protocol: Option<u8>, permanent: bool, no_prefix_route: bool) -> KernelAddress {
    KernelAddress {
        vip: vip("192.0.2.10", 32),
        protocol,
        permanent,
        no_prefix_route,
        refreshed_centiseconds: 0,
    }
}

/// What `ip addr add 192.0.2.10/32 dev 7 valid_lft 4 preferred_lft 4 noprefixroute proto 0x76`
/// would send (`linux/rtnetlink.h`, `linux/if_addr.h`), byte by byte.
#[test]
fn an_ipv4_vip_is_added_with_lifetime_and_protocol() {
    let mut buffer = Vec::new();
    let change = Change::Add {
        vip: vip("192.0.2.10", 32),
        lifetime_seconds: 4,
    };
    change.encode(9, &mut buffer);
    #[rustfmt::skip]
    let expected = [
        76, 0, 0, 0,  20, 0,  0x01, 0x06,  9, 0, 0, 0,  0, 0, 0, 0, // RTM_NEWADDR, CREATE|EXCL
        2, 32, 0, 0,  7, 0, 0, 0,
        8, 0, 2, 0,  192, 0, 2, 10, // IFA_LOCAL
        8, 0, 1, 0,  192, 0, 2, 10, // IFA_ADDRESS
        20, 0, 6, 0,  4, 0, 0, 0,  4, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0, // IFA_CACHEINFO
        8, 0, 8, 0,  0, 2, 0, 0, // IFA_FLAGS: NOPREFIXROUTE
        5, 0, 11, 0,  0x76, 0, 0, 0, // IFA_PROTO
    ];
    assert_eq!(buffer, expected);
}

#[test]
fn an_ipv6_vip_is_never_a_source_and_is_not_probed_for() {
    let mut buffer = Vec::new();
    let change = Change::Refresh {
        vip: vip("2001:db8::10", 128),
        lifetime_seconds: 4,
    };
    change.encode(1, &mut buffer);
    let message = decode(&buffer);
    assert_eq!(
        message.header.flags,
        NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE
    );
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) = message.payload
    else {
        panic!("not a new address");
    };
    let flags = AddressFlags::Noprefixroute | AddressFlags::Nodad;
    assert!(message.attributes.contains(&AddressAttribute::Flags(flags)));
    let mut cache = CacheInfo::default();
    cache.ifa_valid = 4;
    assert!(
        message
            .attributes
            .contains(&AddressAttribute::CacheInfo(cache))
    );
}

#[test]
fn messages_of_a_batch_follow_each_other() {
    let mut buffer = Vec::new();
    for sequence in 1..=3 {
        let change = Change::Delete {
            vip: vip("192.0.2.10", 32),
        };
        change.encode(sequence, &mut buffer);
    }
    let mut rest = buffer.as_slice();
    for sequence in 1..=3 {
        let length = NetlinkBuffer::new(rest).length() as usize;
        assert_eq!(decode(&rest[..length]).header.sequence_number, sequence);
        rest = &rest[length.next_multiple_of(4)..];
    }
    assert!(rest.is_empty());
}

#[test]
fn ours_is_what_has_our_protocol_and_a_lifetime() {
    let cases = [
        // protocol, permanent, noprefixroute, planned, ours
        (Some(ADDRESS_PROTOCOL), false, true, false, true),
        (Some(ADDRESS_PROTOCOL), true, true, true, false), // a real server's VIP
        (Some(3), false, true, true, false),               // another program's
        (None, false, true, true, true),                   // kernel without IFA_PROTO
        (None, false, true, false, false),
        (None, false, false, true, false),
        (None, true, true, true, false),
    ];
    for (protocol, permanent, no_prefix_route, planned, ours) in cases {
        let address = kernel_address(protocol, permanent, no_prefix_route);
        assert_eq!(
            address.is_ours(planned),
            ours,
            "{address:?} planned {planned}"
        );
    }
}

#[test]
fn age_counts_in_the_kernels_time_and_over_its_end() {
    let mut address = kernel_address(None, false, true);
    address.refreshed_centiseconds = 1000;
    assert_eq!(
        address.age(Duration::from_millis(12_340)),
        Duration::from_millis(2340)
    );
    assert_eq!(address.age(Duration::from_millis(9_990)), Duration::ZERO);
    address.refreshed_centiseconds = u32::MAX - 9;
    let after_the_end = Duration::from_millis((1 << 32) * 10 + 200);
    assert_eq!(address.age(after_the_end), Duration::from_millis(300));
}

#[test]
fn a_vip_lives_until_the_slowest_peer_has_taken_over() {
    assert_eq!(lifetime_seconds(Duration::from_millis(3_996)), 4);
    assert_eq!(lifetime_seconds(Duration::from_secs(4)), 4);
    assert_eq!(lifetime_seconds(Duration::from_nanos(4_000_000_001)), 5);
    assert_eq!(lifetime_seconds(Duration::from_millis(36)), 2);
}

proptest! {
    #[test]
    fn what_is_encoded_is_what_the_kernel_would_report(
        octets in any::<[u8; 16]>(),
        prefix_length in 0..=128_u8,
        lifetime_seconds in 2..u32::MAX,
    ) {
        let vip = Vip { interface_index: 3, address: octets.into(), prefix_length };
        let mut buffer = Vec::new();
        Change::Add { vip, lifetime_seconds }.encode(1, &mut buffer);
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) =
            decode(&buffer).payload
        else {
            panic!("not a new address");
        };
        let address = KernelAddress::from_message(&message).expect("an address");
        prop_assert_eq!(address.vip, vip);
        prop_assert!(address.is_ours(false));
        prop_assert!(address.no_prefix_route);
    }
}
