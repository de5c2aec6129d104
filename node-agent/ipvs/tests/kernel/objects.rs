//! Services and destinations to test with.

use std::num::NonZeroU32;

use lvs_ipvs::{
    Destination, DestinationKey, Family, Forwarding, Name, Netmask, Persistence, Protocol, Service,
    ServiceFlags, ServiceKey, Tunnel, TunnelFlags, TunnelKind,
};

pub(crate) fn name(name: &str) -> Name {
    Name::new(name).expect("a name")
}

pub(crate) fn key(protocol: Protocol, address: &str, port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol,
        address: address.parse().expect("an address"),
        port,
    }
}

pub(crate) fn mark(mark: u32, family: Family) -> ServiceKey {
    ServiceKey::Mark {
        mark: NonZeroU32::new(mark).expect("a mark"),
        family,
    }
}

pub(crate) fn web() -> ServiceKey {
    key(Protocol::Tcp, "192.0.2.10", 80)
}

pub(crate) fn server(address: &str, port: u16, forwarding: Forwarding, weight: u32) -> Destination {
    let key = DestinationKey {
        address: address.parse().expect("an address"),
        port,
    };
    Destination::new(key, forwarding, weight)
}

pub(crate) fn tunnel(kind: TunnelKind, port: u16, flags: TunnelFlags) -> Forwarding {
    Forwarding::Tunnel(Tunnel { kind, port, flags })
}

/// Services with every option that the model has.
pub(crate) fn services() -> Vec<Service> {
    let netmask = |family, bits| Netmask::from_prefix_length(family, bits).expect("a length");
    vec![
        Service::new(web(), name("wlc")),
        Service {
            persistence: Some(Persistence::of_hosts(Family::Ipv4, 50)),
            ..Service::new(key(Protocol::Tcp, "192.0.2.10", 81), name("none"))
        },
        Service {
            persistence: Some(Persistence {
                timeout_seconds: 3600,
                netmask: netmask(Family::Ipv4, 24),
            }),
            ..Service::new(key(Protocol::Tcp, "192.0.2.10", 0), name("wrr"))
        },
        Service {
            flags: ServiceFlags::ONE_PACKET,
            ..Service::new(key(Protocol::Udp, "192.0.2.10", 53), name("rr"))
        },
        Service {
            flags: ServiceFlags::ONE_PACKET,
            persistence: Some(Persistence::of_hosts(Family::Ipv4, 60)),
            persistence_engine: Some(name("sip")),
            ..Service::new(key(Protocol::Udp, "192.0.2.10", 5060), name("rr"))
        },
        Service {
            flags: ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2,
            ..Service::new(key(Protocol::Sctp, "192.0.2.10", 99), name("sh"))
        },
        Service {
            flags: ServiceFlags::SCHEDULER_2,
            ..Service::new(key(Protocol::Tcp, "2001:db8::10", 80), name("mh"))
        },
        Service {
            persistence: Some(Persistence {
                timeout_seconds: 60,
                netmask: netmask(Family::Ipv6, 64),
            }),
            ..Service::new(key(Protocol::Tcp, "2001:db8::10", 81), name("rr"))
        },
        Service {
            flags: ServiceFlags::SCHEDULER_3,
            ..Service::new(mark(7, Family::Ipv4), name("lc"))
        },
        Service::new(mark(7, Family::Ipv6), name("sed")),
    ]
}

/// Destinations with every option that the model has.
pub(crate) fn destinations() -> Vec<(ServiceKey, Destination)> {
    let checksum = TunnelFlags::CHECKSUM;
    vec![
        (
            web(),
            server("198.51.100.21", 80, Forwarding::DirectRouting, 3),
        ),
        (web(), server("198.51.100.22", 8080, Forwarding::Nat, 0)),
        (
            web(),
            server("198.51.100.23", 80, Forwarding::Tunnel(Tunnel::IPIP), 65535),
        ),
        (
            web(),
            server(
                "198.51.100.24",
                80,
                tunnel(TunnelKind::Gue, 6080, checksum),
                1,
            ),
        ),
        (
            web(),
            server(
                "198.51.100.25",
                80,
                tunnel(TunnelKind::Gre, 0, TunnelFlags::empty()),
                1,
            ),
        ),
        (
            web(),
            Destination {
                upper_threshold: 100,
                lower_threshold: 50,
                ..server("198.51.100.26", 80, Forwarding::DirectRouting, 1)
            },
        ),
        (
            web(),
            server("2001:db8::27", 80, Forwarding::Tunnel(Tunnel::IPIP), 1),
        ),
        (
            key(Protocol::Tcp, "2001:db8::10", 80),
            server("2001:db8::21", 80, Forwarding::DirectRouting, 1),
        ),
        (
            mark(7, Family::Ipv6),
            server("2001:db8::21", 80, Forwarding::Nat, 1),
        ),
    ]
}
