//! Golden packets were captured from keepalived 2.2.7 (Debian 12) on a veth pair, and every test of
//! a rejection changes one thing of a packet that is accepted otherwise.

use proptest::prelude::*;

use super::*;

const KEEPALIVED_V2_PASSWORD: &[u8] = &[
    0x21, 0x33, 0x64, 0x01, 0x01, 0x01, 0x55, 0x5d, 0xc0, 0x00, 0x02, 0x0a, 0x31, 0x31, 0x31, 0x31,
    0x00, 0x00, 0x00, 0x00,
];
const KEEPALIVED_V2_PASSWORD_RELEASE: &[u8] = &[
    0x21, 0x33, 0x00, 0x01, 0x01, 0x01, 0xb9, 0x5d, 0xc0, 0x00, 0x02, 0x0a, 0x31, 0x31, 0x31, 0x31,
    0x00, 0x00, 0x00, 0x00,
];
const KEEPALIVED_V2_TWO_ADDRESSES: &[u8] = &[
    0x21, 0x32, 0xc8, 0x02, 0x00, 0x02, 0x92, 0xab, 0xc0, 0x00, 0x02, 0x09, 0xc0, 0x00, 0x02, 0x13,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];
const KEEPALIVED_V3_IPV4: &[u8] = &[
    0x31, 0x34, 0x64, 0x01, 0x00, 0x64, 0x05, 0xca, 0xc0, 0x00, 0x02, 0x0b,
];
const KEEPALIVED_V3_IPV4_FAST: &[u8] = &[
    0x31, 0x36, 0x96, 0x02, 0x00, 0x0a, 0x12, 0x0c, 0xc0, 0x00, 0x02, 0x0d, 0xc0, 0x00, 0x02, 0x0e,
];
/// The packet above with the checksum of RFC 9568, computed by hand: the words sum to 0x4b5f.
const RFC9568_V3_IPV4_FAST: &[u8] = &[
    0x31, 0x36, 0x96, 0x02, 0x00, 0x0a, 0xb4, 0xa0, 0xc0, 0x00, 0x02, 0x0d, 0xc0, 0x00, 0x02, 0x0e,
];
const KEEPALIVED_V3_IPV6: &[u8] = &[
    0x31, 0x35, 0x64, 0x02, 0x00, 0x64, 0xd6, 0x5b, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x00, 0x53, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x10,
];

fn ipv4() -> IpHeader {
    IpHeader {
        source: IpAddr::from([192, 0, 2, 1]),
        destination: MULTICAST_IPV4.into(),
        time_to_live: 255,
    }
}

fn ipv6() -> IpHeader {
    IpHeader {
        source: "fe80::8c42:58ff:fe95:8565".parse().unwrap(),
        destination: MULTICAST_IPV6.into(),
        time_to_live: 255,
    }
}

fn v2() -> Advertisement {
    Advertisement {
        version: Version::V2,
        virtual_router_id: 51,
        priority: 100,
        interval: Centiseconds::from_seconds(1),
        addresses: Addresses::V4(vec![[192, 0, 2, 10].into()]),
        authentication: Some(SimplePassword::new(b"1111").unwrap()),
        checksum: ChecksumConvention::Rfc9568,
    }
}

fn v3(checksum: ChecksumConvention) -> Advertisement {
    Advertisement {
        version: Version::V3,
        virtual_router_id: 54,
        priority: 150,
        interval: Centiseconds::new(10),
        addresses: Addresses::V4(vec![[192, 0, 2, 13].into(), [192, 0, 2, 14].into()]),
        authentication: None,
        checksum,
    }
}

fn v3_ipv6() -> Advertisement {
    let addresses = ["fe80::53", "2001:db8::10"].map(|address| address.parse().unwrap());
    Advertisement {
        version: Version::V3,
        virtual_router_id: 53,
        priority: 100,
        interval: Centiseconds::new(100),
        addresses: Addresses::V6(addresses.to_vec()),
        authentication: None,
        checksum: ChecksumConvention::Rfc9568,
    }
}

#[track_caller]
fn same(header: &IpHeader, advertisement: &Advertisement, bytes: &[u8]) {
    assert_eq!(
        Advertisement::decode(header, bytes).as_ref(),
        Ok(advertisement)
    );
    assert_eq!(
        advertisement.encode(header.source, header.destination),
        bytes
    );
}

#[test]
fn version_2_with_password_is_keepalived_s() {
    same(&ipv4(), &v2(), KEEPALIVED_V2_PASSWORD);
    same(
        &ipv4(),
        &Advertisement {
            priority: PRIORITY_RELEASE,
            ..v2()
        },
        KEEPALIVED_V2_PASSWORD_RELEASE,
    );
}

#[test]
fn version_2_without_password_is_keepalived_s() {
    let advertisement = Advertisement {
        virtual_router_id: 50,
        priority: 200,
        interval: Centiseconds::from_seconds(2),
        addresses: Addresses::V4(vec![[192, 0, 2, 9].into(), [192, 0, 2, 19].into()]),
        authentication: None,
        ..v2()
    };
    same(&ipv4(), &advertisement, KEEPALIVED_V2_TWO_ADDRESSES);
}

#[test]
fn version_3_over_ipv4_with_pseudo_header_is_keepalived_s() {
    same(
        &ipv4(),
        &v3(ChecksumConvention::PseudoHeader),
        KEEPALIVED_V3_IPV4_FAST,
    );
    let advertisement = Advertisement {
        virtual_router_id: 52,
        priority: 100,
        interval: Centiseconds::new(100),
        addresses: Addresses::V4(vec![[192, 0, 2, 11].into()]),
        ..v3(ChecksumConvention::PseudoHeader)
    };
    same(&ipv4(), &advertisement, KEEPALIVED_V3_IPV4);
}

#[test]
fn version_3_over_ipv4_without_pseudo_header_is_rfc_9568_s() {
    same(
        &ipv4(),
        &v3(ChecksumConvention::Rfc9568),
        RFC9568_V3_IPV4_FAST,
    );
}

#[test]
fn version_3_over_ipv6_is_keepalived_s() {
    same(&ipv6(), &v3_ipv6(), KEEPALIVED_V3_IPV6);
}

/// Decodes `bytes` with `change` made to them and the checksum made right again.
fn decode_changed(
    header: &IpHeader,
    bytes: &[u8],
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<Advertisement, RejectReason> {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    bytes[6..8].fill(0);
    let mut sum = InternetChecksum::default().bytes(&bytes);
    if bytes[0] >> 4 == 3 && header.source.is_ipv6() {
        sum = sum.pseudo_header(header.source, header.destination, IP_PROTOCOL, bytes.len());
    }
    let checksum = sum.finish().to_be_bytes();
    bytes[6..8].copy_from_slice(&checksum);
    Advertisement::decode(header, &bytes)
}

#[test]
fn packets_that_came_through_a_router_are_refused() {
    for time_to_live in [0, 1, 254] {
        let header = IpHeader {
            time_to_live,
            ..ipv4()
        };
        let decoded = Advertisement::decode(&header, KEEPALIVED_V3_IPV4);
        assert_eq!(decoded, Err(RejectReason::TimeToLive));
        let header = IpHeader {
            time_to_live,
            ..ipv6()
        };
        let decoded = Advertisement::decode(&header, KEEPALIVED_V3_IPV6);
        assert_eq!(decoded, Err(RejectReason::TimeToLive));
    }
}

#[test]
fn impossible_sources_are_refused() {
    for source in ["0.0.0.0", "224.0.0.18", "fe80::1"] {
        let header = IpHeader {
            source: source.parse().unwrap(),
            ..ipv4()
        };
        let decoded = Advertisement::decode(&header, RFC9568_V3_IPV4_FAST);
        assert_eq!(decoded, Err(RejectReason::Source), "{source}");
    }
}

#[test]
fn other_versions_and_types_are_refused() {
    let first_byte =
        |value| decode_changed(&ipv4(), RFC9568_V3_IPV4_FAST, |bytes| bytes[0] = value);
    assert!(first_byte(0x31).is_ok());
    assert_eq!(first_byte(0x11), Err(RejectReason::Version));
    assert_eq!(first_byte(0x41), Err(RejectReason::Version));
    assert_eq!(first_byte(0x30), Err(RejectReason::Type));
    assert_eq!(first_byte(0x32), Err(RejectReason::Type));
    let ipv6_v2 = decode_changed(&ipv6(), KEEPALIVED_V3_IPV6, |bytes| bytes[0] = 0x21);
    assert_eq!(ipv6_v2, Err(RejectReason::Version));
}

#[test]
fn every_cut_packet_is_refused() {
    for (header, whole) in [
        (ipv4(), KEEPALIVED_V2_PASSWORD),
        (ipv4(), KEEPALIVED_V3_IPV4_FAST),
        (ipv6(), KEEPALIVED_V3_IPV6),
    ] {
        for length in 0..whole.len() {
            let decoded = Advertisement::decode(&header, &whole[..length]);
            assert_eq!(decoded, Err(RejectReason::Length), "{length} bytes");
        }
    }
}

#[test]
fn bytes_behind_the_message_are_ignored() {
    let mut padded = KEEPALIVED_V2_PASSWORD.to_vec();
    padded.extend([0xff; 7]);
    assert_eq!(Advertisement::decode(&ipv4(), &padded), Ok(v2()));
}

#[test]
fn every_flipped_bit_is_refused() {
    for (header, whole) in [
        (ipv4(), KEEPALIVED_V2_PASSWORD),
        (ipv4(), RFC9568_V3_IPV4_FAST),
        (ipv4(), KEEPALIVED_V3_IPV4_FAST),
        (ipv6(), KEEPALIVED_V3_IPV6),
    ] {
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Advertisement::decode(&header, &flipped).is_err(),
                "bit {bit}"
            );
        }
    }
}

#[test]
fn ipv6_without_pseudo_header_is_refused() {
    let mut bytes = KEEPALIVED_V3_IPV6.to_vec();
    bytes[6..8].fill(0);
    let checksum = InternetChecksum::default()
        .bytes(&bytes)
        .finish()
        .to_be_bytes();
    bytes[6..8].copy_from_slice(&checksum);
    assert_eq!(
        Advertisement::decode(&ipv6(), &bytes),
        Err(RejectReason::Checksum)
    );
}

#[test]
fn empty_and_zero_fields_are_refused() {
    let no_address = decode_changed(&ipv4(), RFC9568_V3_IPV4_FAST, |bytes| {
        bytes[3] = 0;
        bytes.truncate(8);
    });
    assert_eq!(no_address, Err(RejectReason::CountZero));
    let no_id = decode_changed(&ipv4(), RFC9568_V3_IPV4_FAST, |bytes| bytes[1] = 0);
    assert_eq!(no_id, Err(RejectReason::VirtualRouterId));
    let no_interval = decode_changed(&ipv4(), RFC9568_V3_IPV4_FAST, |bytes| bytes[5] = 0);
    assert_eq!(no_interval, Err(RejectReason::Interval));
    let no_seconds = decode_changed(&ipv4(), KEEPALIVED_V2_PASSWORD, |bytes| bytes[5] = 0);
    assert_eq!(no_seconds, Err(RejectReason::Interval));
}

#[test]
fn reserved_bits_are_ignored() {
    let decoded = decode_changed(&ipv4(), RFC9568_V3_IPV4_FAST, |bytes| bytes[4] = 0xf0);
    assert_eq!(decoded, Ok(v3(ChecksumConvention::Rfc9568)));
}

#[test]
fn the_reserved_bits_are_never_set() {
    for interval in [1, 0x0100, 0x0fff] {
        let advertisement = Advertisement {
            interval: Centiseconds::new(interval),
            ..v3(ChecksumConvention::Rfc9568)
        };
        let bytes = advertisement.encode(ipv4().source, ipv4().destination);
        assert_eq!(bytes[4] & 0xf0, 0);
    }
}

#[test]
fn intervals_do_not_reach_the_reserved_bits() {
    let decoded = decode_changed(&ipv4(), RFC9568_V3_IPV4_FAST, |bytes| {
        bytes[4] = 0xf0;
        bytes[5] = 0;
    });
    assert_eq!(decoded, Err(RejectReason::Interval), "the rest is 0");
    let too_long = Advertisement {
        interval: Centiseconds::new(0x1000),
        ..v3(ChecksumConvention::Rfc9568)
    };
    let bytes = too_long.encode(ipv4().source, ipv4().destination);
    assert_eq!(bytes[4..6], [0x0f, 0xff]);
}

#[test]
fn unknown_authentication_is_refused() {
    for kind in [2, 3, 255] {
        let decoded = decode_changed(&ipv4(), KEEPALIVED_V2_PASSWORD, |bytes| bytes[4] = kind);
        assert_eq!(decoded, Err(RejectReason::AuthenticationType));
    }
}

#[test]
fn longest_interval_and_most_addresses_survive() {
    let addresses = (0..=254)
        .map(|last| Ipv4Addr::new(10, 0, 0, last))
        .collect();
    let advertisement = Advertisement {
        interval: Centiseconds::MAX_V3,
        addresses: Addresses::V4(addresses),
        ..v3(ChecksumConvention::Rfc9568)
    };
    let bytes = advertisement.encode(ipv4().source, ipv4().destination);
    assert_eq!(Advertisement::decode(&ipv4(), &bytes), Ok(advertisement));
}

fn any_advertisement() -> impl Strategy<Value = (IpHeader, Advertisement)> {
    let ipv4_list = proptest::collection::vec(any::<Ipv4Addr>(), 1..40);
    let ipv6_list = proptest::collection::vec(any::<Ipv6Addr>(), 1..40);
    let convention = prop_oneof![
        Just(ChecksumConvention::Rfc9568),
        Just(ChecksumConvention::PseudoHeader)
    ];
    let password = proptest::option::of(any::<[u8; 8]>().prop_map(SimplePassword::from_wire));
    let form = prop_oneof![
        (ipv4_list.clone(), 1..=255_u8, password).prop_map(|(list, seconds, password)| (
            ipv4(),
            Advertisement {
                interval: Centiseconds::from_seconds(seconds),
                addresses: Addresses::V4(list),
                authentication: password,
                ..v2()
            }
        )),
        (ipv4_list, 1..=4095_u16, convention).prop_map(|(list, interval, convention)| (
            ipv4(),
            Advertisement {
                interval: Centiseconds::new(interval),
                addresses: Addresses::V4(list),
                ..v3(convention)
            }
        )),
        (ipv6_list, 1..=4095_u16).prop_map(|(list, interval)| (
            ipv6(),
            Advertisement {
                interval: Centiseconds::new(interval),
                addresses: Addresses::V6(list),
                ..v3_ipv6()
            }
        )),
    ];
    (form, 1..=255_u8, any::<u8>()).prop_map(|((header, form), virtual_router_id, priority)| {
        (
            header,
            Advertisement {
                virtual_router_id,
                priority,
                ..form
            },
        )
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded((header, advertisement) in any_advertisement()) {
        let bytes = advertisement.encode(header.source, header.destination);
        prop_assert_eq!(Advertisement::decode(&header, &bytes), Ok(advertisement));
    }

    #[test]
    fn any_bytes_are_answered(
        version_and_type in prop_oneof![Just(0x21_u8), Just(0x31), any::<u8>()],
        rest in proptest::collection::vec(any::<u8>(), 0..64),
        over_ipv6 in any::<bool>(),
    ) {
        let header = if over_ipv6 { ipv6() } else { ipv4() };
        let mut bytes = vec![version_and_type];
        bytes.extend(rest);
        if let Ok(advertisement) = Advertisement::decode(&header, &bytes) {
            prop_assert!(!advertisement.addresses.is_empty());
        }
    }
}
