use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use proptest::prelude::*;

use super::*;

fn route(destination: &str, gateway: Option<&str>, source: &str) -> Route {
    Route {
        destination: destination.parse().expect("a network"),
        gateway: gateway.map(|gateway| gateway.parse().expect("an address")),
        source: Some(source.parse().expect("an address")),
        metric: 7,
        table: 254,
        interface_index: 3,
    }
}

fn encoded(change: RouteChange) -> Vec<u8> {
    let mut buffer = Vec::new();
    change.encode(9, &mut buffer);
    buffer
}

fn decoded(buffer: &[u8]) -> RouteMessage {
    let message = NetlinkMessage::deserialize(buffer).expect("a message");
    match message.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message),
        ) => message,
        other => panic!("{other:?}"),
    }
}

/// What `ip route add 10.1.0.0/16 via 192.0.2.1 src 192.0.2.10 metric 7 proto 118 dev 3` would send
/// (`linux/rtnetlink.h`), byte by byte.
#[test]
fn an_ipv4_route_is_added_with_source_and_protocol() {
    let route = route("10.1.0.0/16", Some("192.0.2.1"), "192.0.2.10");
    #[rustfmt::skip]
    let expected = [
        76, 0, 0, 0,  24, 0,  0x01, 0x06,  9, 0, 0, 0,  0, 0, 0, 0, // RTM_NEWROUTE, CREATE|EXCL
        2, 16, 0, 0,  254, 118, 0, 1,  0, 0, 0, 0,
        8, 0, 1, 0,  10, 1, 0, 0, // RTA_DST
        8, 0, 5, 0,  192, 0, 2, 1, // RTA_GATEWAY
        8, 0, 7, 0,  192, 0, 2, 10, // RTA_PREFSRC
        8, 0, 4, 0,  3, 0, 0, 0, // RTA_OIF
        8, 0, 6, 0,  7, 0, 0, 0, // RTA_PRIORITY
        8, 0, 15, 0,  254, 0, 0, 0, // RTA_TABLE
    ];
    for change in [
        RouteChange::Add {
            route,
            lifetime_seconds: 4,
        },
        RouteChange::Refresh {
            route,
            lifetime_seconds: 4,
        },
    ] {
        assert_eq!(encoded(change), expected, "IPv4 routes have no lifetime");
    }
}

#[test]
fn an_ipv6_route_runs_out_and_its_time_is_renewed() {
    let route = route("2001:db8:1::/48", Some("fe80::1"), "2001:db8::10");
    let lifetime_seconds = 4;
    for (change, flags) in [
        (
            RouteChange::Add {
                route,
                lifetime_seconds,
            },
            0x601,
        ),
        (
            RouteChange::Refresh {
                route,
                lifetime_seconds,
            },
            0x401,
        ),
    ] {
        let buffer = encoded(change);
        assert_eq!(u16::from_ne_bytes([buffer[6], buffer[7]]), flags);
        let message = decoded(&buffer);
        assert!(message.attributes.contains(&RouteAttribute::Expires(4)));
    }
}

#[test]
fn a_table_above_255_stands_in_the_attribute() {
    let mut route = route("10.1.0.0/16", None, "192.0.2.10");
    route.table = 1000;
    let message = decoded(&encoded(RouteChange::Delete { route }));
    assert_eq!(message.header.table, 252);
    assert_eq!(message.header.scope, RouteScope::Link);
    assert_eq!(Route::ours(&message), Some(route));
}

#[test]
fn a_route_of_somebody_else_is_not_ours() {
    let route = route("10.1.0.0/16", None, "192.0.2.10");
    let mut message = decoded(&encoded(RouteChange::Delete { route }));
    assert_eq!(Route::ours(&message), Some(route));
    message.header.protocol = RouteProtocol::Static;
    assert_eq!(Route::ours(&message), None);
}

#[test]
fn a_metric_of_none_is_the_kernels() {
    let ipv4 = "0.0.0.0/0".parse().expect("a network");
    let ipv6 = "::/0".parse().expect("a network");
    assert_eq!(Route::kernel_metric(ipv4, 0), 0);
    assert_eq!(Route::kernel_metric(ipv6, 0), 1024);
    assert_eq!(Route::kernel_metric(ipv6, 5), 5);
}

proptest! {
    #[test]
    fn what_is_sent_reads_back_the_same(
        is_ipv4: bool,
        address: [u8; 16],
        length in 0_u8..=32,
        gateway: Option<[u8; 16]>,
        metric: u32,
        table in 1_u32..,
        interface_index in 1_u32..,
    ) {
        let ip = |bytes: [u8; 16]| -> IpAddr {
            match bytes {
                [a, b, c, d, ..] if is_ipv4 => Ipv4Addr::new(a, b, c, d).into(),
                _ => Ipv6Addr::from(bytes).into(),
            }
        };
        let route = Route {
            destination: IpNet::new(ip(address), length).expect("at most 32").trunc(),
            gateway: gateway.map(ip),
            source: Some(ip(address)),
            metric,
            table,
            interface_index,
        };
        let read = Route::ours(&decoded(&encoded(RouteChange::Add { route, lifetime_seconds: 4 })));
        prop_assert_eq!(read, Some(route));
    }
}
