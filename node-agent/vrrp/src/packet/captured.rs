//! Packets of keepalived 2.2.7 (Debian 12), byte by byte, from the IP header on.
//!
//! Made by `tcpdump -x` on the other end of a LAN in a user-mode Linux kernel while one keepalived ran six instances on
//! 192.0.2.1 and `2001:db8::1`: the first advertisement of each, and the one of priority 0 when it was stopped by
//! SIGTERM. The unicast peers were 192.0.2.2 and `2001:db8::2`.

use std::net::{IpAddr, Ipv6Addr};

use super::*;
use crate::ip::split_ipv4;

/// Bytes of a file of hexadecimal digits.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

/// Header and payload of an IPv6 packet, which a receiver never sees as one.
fn split_ipv6(packet: &[u8]) -> (IpHeader, &[u8]) {
    let address = |bytes: &[u8]| IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap());
    assert_eq!(packet[6], IP_PROTOCOL);
    let header = IpHeader {
        source: address(&packet[8..24]),
        destination: address(&packet[24..40]),
        time_to_live: packet[7],
    };
    (header, &packet[40..])
}

/// The packet is this advertisement, and this advertisement is the packet; likewise with priority 0.
#[track_caller]
fn both_ways(packets: [&str; 2], destination: &str, time_to_live: u8, wanted: &Advertisement) {
    let released = Advertisement {
        priority: PRIORITY_RELEASE,
        ..wanted.clone()
    };
    for (text, wanted) in packets.into_iter().zip([wanted, &released]) {
        let packet = bytes(text);
        let (header, message) = match packet[0] >> 4 {
            4 => split_ipv4(&packet).unwrap(),
            _ => split_ipv6(&packet),
        };
        assert_eq!(header.destination, destination.parse::<IpAddr>().unwrap());
        assert_eq!(header.time_to_live, time_to_live);
        let decoded = Advertisement::decode_from(&header, message, time_to_live);
        assert_eq!(decoded.as_ref(), Ok(wanted));
        assert_eq!(wanted.encode(header.source, header.destination), message);
    }
}

macro_rules! captured {
    ($name:literal) => {
        [
            include_str!(concat!("captured/", $name, ".hex")),
            include_str!(concat!("captured/", $name, "-release.hex")),
        ]
    };
}

fn v2(virtual_router_id: u8, priority: u8, seconds: u8) -> Advertisement {
    Advertisement {
        version: Version::V2,
        virtual_router_id,
        priority,
        interval: Centiseconds::from_seconds(seconds),
        addresses: Addresses::V4(vec![[192, 0, 2, virtual_router_id].into()]),
        authentication: None,
        checksum: ChecksumConvention::Rfc9568,
    }
}

fn v3(virtual_router_id: u8, priority: u8, centiseconds: u16) -> Advertisement {
    Advertisement {
        version: Version::V3,
        interval: Centiseconds::new(centiseconds),
        checksum: ChecksumConvention::PseudoHeader,
        ..v2(virtual_router_id, priority, 1)
    }
}

fn v3_ipv6(virtual_router_id: u8, priority: u8) -> Advertisement {
    let last = u16::from_str_radix(&virtual_router_id.to_string(), 16).unwrap();
    Advertisement {
        addresses: Addresses::V6(vec![
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last),
        ]),
        checksum: ChecksumConvention::Rfc9568,
        ..v3(virtual_router_id, priority, 100)
    }
}

#[test]
fn version_2_with_a_password() {
    let wanted = Advertisement {
        addresses: Addresses::V4(vec![[192, 0, 2, 61].into(), [192, 0, 2, 71].into()]),
        authentication: Some(SimplePassword::new(b"geheim").unwrap()),
        ..v2(61, 200, 2)
    };
    both_ways(captured!("v2-ipv4-password"), "224.0.0.18", 255, &wanted);
}

#[test]
fn version_2_to_a_unicast_peer() {
    both_ways(
        captured!("v2-ipv4-unicast"),
        "192.0.2.2",
        255,
        &v2(64, 110, 1),
    );
}

#[test]
fn version_3_for_ipv4() {
    both_ways(captured!("v3-ipv4"), "224.0.0.18", 255, &v3(62, 150, 10));
}

/// The pseudo-header names the peer: the checksum is another one for each.
#[test]
fn version_3_for_ipv4_to_a_unicast_peer() {
    both_ways(
        captured!("v3-ipv4-unicast"),
        "192.0.2.2",
        255,
        &v3(63, 120, 50),
    );
}

#[test]
fn version_3_for_ipv6() {
    both_ways(captured!("v3-ipv6"), "ff02::12", 255, &v3_ipv6(65, 254));
}

/// Its hop limit is the system's: this keepalived sets none for IPv6 unicast.
#[test]
fn version_3_for_ipv6_to_a_unicast_peer() {
    both_ways(
        captured!("v3-ipv6-unicast"),
        "2001:db8::2",
        64,
        &v3_ipv6(66, 90),
    );
}
