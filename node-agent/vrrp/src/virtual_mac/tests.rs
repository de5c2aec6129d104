use proptest::prelude::*;

use super::*;
use crate::ip::{IpHeader, split_ipv4};
use crate::packet::{MULTICAST_IPV4, MULTICAST_IPV6};

const FROM: HardwareAddress = [0, 0, 0x5e, 0, 1, 51];

#[test]
fn each_family_has_an_address_of_its_own_that_ends_with_the_vrid() {
    let ipv4 = virtual_mac(Ipv4Addr::UNSPECIFIED.into(), 51);
    let ipv6 = virtual_mac(Ipv6Addr::UNSPECIFIED.into(), 255);
    assert_eq!(ipv4, [0x00, 0x00, 0x5e, 0x00, 0x01, 51]);
    assert_eq!(ipv6, [0x00, 0x00, 0x5e, 0x00, 0x02, 255]);
}

/// The header is what a raw socket of Linux sends with TOS 0xc0, TTL 255 and "don't fragment".
#[test]
fn an_ipv4_frame_byte_by_byte() {
    let source = Ipv4Addr::new(192, 0, 2, 1).into();
    let frame = advertisement_frame(FROM, source, MULTICAST_IPV4.into(), &[0x31, 0x33]);
    #[rustfmt::skip]
    let expected = vec![
        0x01, 0x00, 0x5e, 0x00, 0x00, 0x12,  0x00, 0x00, 0x5e, 0x00, 0x01, 0x33,  0x08, 0x00,
        0x45, 0xc0, 0, 22,  0, 0, 0x40, 0,  255, 112, 0xd8, 0xa3,
        192, 0, 2, 1,  224, 0, 0, 18,
        0x31, 0x33,
    ];
    assert_eq!(frame, Some(expected));
}

#[test]
fn an_ipv6_frame_byte_by_byte() {
    let source: Ipv6Addr = "fe80::1".parse().unwrap();
    let frame = advertisement_frame(FROM, source.into(), MULTICAST_IPV6.into(), &[0x31, 0x33]);
    let mut expected = vec![
        0x33, 0x33, 0x00, 0x00, 0x00, 0x12, 0x00, 0x00, 0x5e, 0x00, 0x01, 0x33, 0x86, 0xdd, 0x6c,
        0x00, 0, 0, 0, 2, 112, 255,
    ];
    expected.extend(source.octets());
    expected.extend(MULTICAST_IPV6.octets());
    expected.extend([0x31, 0x33]);
    assert_eq!(frame, Some(expected));
}

#[test]
fn nothing_else_has_a_frame() {
    let ipv4: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
    let group6 = MULTICAST_IPV6.into();
    assert_eq!(advertisement_frame(FROM, ipv4, ipv4, &[]), None, "a host");
    assert_eq!(
        advertisement_frame(FROM, ipv4, group6, &[]),
        None,
        "two families"
    );
    let group = MULTICAST_IPV4.into();
    let longest = vec![0; 65_515];
    assert!(advertisement_frame(FROM, ipv4, group, &longest).is_some());
    let too_long = vec![0; 65_516];
    assert_eq!(advertisement_frame(FROM, ipv4, group, &too_long), None);
}

proptest! {
    #[test]
    fn an_ipv4_frame_reads_back_the_same(
        source: [u8; 4],
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let source = Ipv4Addr::from(source).into();
        let destination = MULTICAST_IPV4.into();
        let frame = advertisement_frame(FROM, source, destination, &payload).unwrap();
        let packet = &frame[14..];
        let checksum = InternetChecksum::default().bytes(&packet[..20]).finish();
        prop_assert_eq!(checksum, 0, "the sum over a right header");
        let header = IpHeader { source, destination, time_to_live: 255 };
        prop_assert_eq!(split_ipv4(packet), Ok((header, payload.as_slice())));
    }
}
