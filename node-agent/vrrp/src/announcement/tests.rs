//! Compared with frames captured from keepalived 2.2.7 (Debian 12) and read back by etherparse.

use etherparse::{EtherType, NetSlice, SlicedPacket, TransportSlice};

use super::*;

const HARDWARE: HardwareAddress = [0x8e, 0x42, 0x58, 0x95, 0x85, 0x65];

#[test]
fn gratuitous_arp_is_keepalived_s_but_for_the_unused_target_hardware() {
    let mut keepalived = vec![
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x8e, 0x42, 0x58, 0x95, 0x85, 0x65, 0x08, 0x06, 0x00,
        0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x8e, 0x42, 0x58, 0x95, 0x85, 0x65, 0xc0, 0x00,
        0x02, 0x0d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0, 0x00, 0x02, 0x0d,
    ];
    keepalived[32..38].fill(0);
    assert_eq!(frame(HARDWARE, [192, 0, 2, 13].into()), keepalived);
}

#[test]
fn neighbor_advertisement_is_keepalived_s_but_for_the_router_flag() {
    let mut keepalived = vec![
        0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x8e, 0x42, 0x58, 0x95, 0x85, 0x65, 0x86, 0xdd, 0x60,
        0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x88, 0x00, 0x8e, 0xd0, 0x20, 0x00,
        0x00, 0x00, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x10, 0x02, 0x01, 0x8e, 0x42, 0x58, 0x95, 0x85, 0x65,
    ];
    // keepalived sets R only if the host forwards; the checksum falls as the flag rises.
    keepalived[58] |= 0x80;
    keepalived[56] -= 0x80;
    assert_eq!(frame(HARDWARE, "2001:db8::10".parse().unwrap()), keepalived);
}

#[test]
fn a_probe_names_no_sender() {
    let frame = arp_probe(HARDWARE, [192, 0, 2, 10].into());
    let parsed = SlicedPacket::from_ethernet(&frame).unwrap();
    let Some(NetSlice::Arp(arp)) = parsed.net else {
        panic!("no ARP: {parsed:?}");
    };
    assert_eq!(arp.operation().0, 1);
    assert_eq!(arp.sender_hw_addr(), HARDWARE);
    assert_eq!(arp.sender_protocol_addr(), [0; 4]);
    assert_eq!(arp.target_protocol_addr(), [192, 0, 2, 10]);
}

#[test]
fn a_probe_of_ipv6_asks_the_group_of_its_target_and_names_no_sender() {
    let address: Ipv6Addr = "2001:db8::1234:5678".parse().unwrap();
    let frame = probe(HARDWARE, address.into());
    assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x34, 0x56, 0x78]);
    let parsed = SlicedPacket::from_ethernet(&frame).unwrap();
    let Some(NetSlice::Ipv6(ip)) = parsed.net else {
        panic!("no IPv6: {:?}", parsed.net)
    };
    let header = ip.header();
    assert_eq!(header.hop_limit(), 255);
    assert_eq!(header.source_addr(), Ipv6Addr::UNSPECIFIED);
    let group: Ipv6Addr = "ff02::1:ff34:5678".parse().unwrap();
    assert_eq!(header.destination_addr(), group);
    let Some(TransportSlice::Icmpv6(icmp)) = parsed.transport else {
        panic!("no ICMPv6: {:?}", parsed.transport)
    };
    assert!(icmp.is_checksum_valid(header.source(), header.destination()));
    assert_eq!((icmp.type_u8(), icmp.code_u8()), (135, 0));
    assert_eq!(icmp.bytes5to8(), [0; 4]);
    assert_eq!(icmp.payload(), address.octets());
}

#[test]
fn gratuitous_arp_parses() {
    let frame = frame(HARDWARE, [192, 0, 2, 10].into());
    let parsed = SlicedPacket::from_ethernet(&frame).unwrap();
    let Some(NetSlice::Arp(arp)) = parsed.net else {
        panic!("no ARP: {parsed:?}")
    };
    assert_eq!(arp.proto_addr_type(), EtherType::IPV4);
    assert_eq!(arp.operation(), etherparse::ArpOperation::REQUEST);
    assert_eq!(arp.sender_hw_addr(), HARDWARE);
    assert_eq!(arp.sender_protocol_addr(), [192, 0, 2, 10]);
    assert_eq!(arp.target_protocol_addr(), [192, 0, 2, 10]);
}

#[test]
fn neighbor_advertisement_parses_and_its_checksum_is_right() {
    let address: Ipv6Addr = "fe80::10".parse().unwrap();
    let frame = frame(HARDWARE, address.into());
    let parsed = SlicedPacket::from_ethernet(&frame).unwrap();
    let Some(NetSlice::Ipv6(ip)) = parsed.net else {
        panic!("no IPv6: {:?}", parsed.net)
    };
    let header = ip.header();
    assert_eq!(header.hop_limit(), 255);
    assert_eq!(header.source_addr(), address);
    assert_eq!(header.destination_addr(), ALL_NODES);
    let Some(TransportSlice::Icmpv6(icmp)) = parsed.transport else {
        panic!("no ICMPv6: {:?}", parsed.transport)
    };
    assert!(icmp.is_checksum_valid(header.source(), header.destination()));
    assert_eq!((icmp.type_u8(), icmp.code_u8()), (136, 0));
    assert_eq!(icmp.bytes5to8(), [0xa0, 0, 0, 0], "R and O, not S");
    assert_eq!(icmp.payload()[..16], address.octets());
    assert_eq!(
        icmp.payload()[16..],
        [2, 1, 0x8e, 0x42, 0x58, 0x95, 0x85, 0x65]
    );
}
