use std::num::NonZeroU32;

use netlink_packet_core::ParseableParametrized as _;
use netlink_packet_generic::GenlHeader;
use proptest::prelude::*;

use super::*;
use crate::model::*;
use crate::wire::{DestinationAttribute, ServiceAttribute, StatsAttribute};
use crate::{arbitrary, captured};

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

fn web() -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port: 80,
    }
}

fn web_service() -> Service {
    let netmask = Netmask::V4([255, 255, 255, 0].into());
    Service {
        persistence: Some(Persistence {
            timeout_seconds: 50,
            netmask,
        }),
        ..Service::new(web(), name("wlc"))
    }
}

fn sip_service() -> Service {
    let address = "2001:db8::10".parse().unwrap();
    let key = ServiceKey::Address {
        protocol: Protocol::Udp,
        address,
        port: 5060,
    };
    Service {
        flags: ServiceFlags::ONE_PACKET | ServiceFlags::SCHEDULER_2,
        persistence: Some(Persistence {
            timeout_seconds: 60,
            netmask: Netmask::V6(64),
        }),
        persistence_engine: Some(name("sip")),
        ..Service::new(key, name("mh"))
    }
}

fn marked_service() -> Service {
    let mark = NonZeroU32::new(7).unwrap();
    Service::new(
        ServiceKey::Mark {
            mark,
            family: Family::Ipv6,
        },
        name("rr"),
    )
}

fn server(last: u8, forwarding: Forwarding, weight: u32) -> Destination {
    let key = DestinationKey {
        address: [198, 51, 100, last].into(),
        port: 80,
    };
    Destination::new(key, forwarding, weight)
}

fn gue() -> Forwarding {
    Forwarding::Tunnel(Tunnel {
        kind: TunnelKind::Gue,
        port: 6080,
        flags: TunnelFlags::CHECKSUM,
    })
}

fn backup() -> SyncDaemon {
    SyncDaemon {
        max_length_bytes: Some(1400),
        group: Some([224, 0, 0, 82].into()),
        port: Some(8849),
        ttl: Some(2),
        ..SyncDaemon::new(SyncRole::Backup, name("lo"), 7)
    }
}

/// What the captured requests of `ipvsadm` do.
fn commands() -> Vec<Command> {
    let service = web();
    let other = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port: 81,
    };
    let first = Destination {
        upper_threshold: 100,
        lower_threshold: 50,
        ..server(21, Forwarding::DirectRouting, 3)
    };
    vec![
        Command::AddService(web_service()),
        Command::AddDestination {
            service,
            destination: first,
        },
        Command::AddDestination {
            service,
            destination: server(22, gue(), 1),
        },
        Command::SetDestination {
            service,
            destination: server(21, Forwarding::DirectRouting, 5),
        },
        Command::DeleteDestination {
            service,
            destination: server(22, gue(), 1).key,
        },
        Command::AddService(sip_service()),
        Command::AddService(marked_service()),
        Command::AddService(Service::new(other, name("nosuch"))),
        Command::StartDaemon(backup()),
        Command::SetTimeouts(Timeouts {
            tcp_seconds: 800,
            tcp_fin_seconds: 0,
            udp_seconds: 200,
        }),
        Command::StopDaemon(SyncRole::Backup),
        Command::Zero(Some(service)),
        Command::DeleteService(service),
    ]
    .into_iter()
    .chain(more_commands())
    .collect()
}

/// Those of a second capture.
fn more_commands() -> Vec<Command> {
    let web6 = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: "2001:db8::10".parse().unwrap(),
        port: 80,
    };
    let sctp = ServiceKey::Address {
        protocol: Protocol::Sctp,
        address: [192, 0, 2, 10].into(),
        port: 99,
    };
    let marked = ServiceKey::Mark {
        mark: NonZeroU32::new(7).unwrap(),
        family: Family::Ipv4,
    };
    let both = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2;
    let to = |service, destination| Command::AddDestination {
        service,
        destination,
    };
    let by = |address: &str, port, forwarding, weight| {
        let address = address.parse().unwrap();
        Destination::new(DestinationKey { address, port }, forwarding, weight)
    };
    let tunnel = |kind, port, flags| Forwarding::Tunnel(Tunnel { kind, port, flags });
    let gre = tunnel(TunnelKind::Gre, 0, TunnelFlags::empty());
    let gue = tunnel(TunnelKind::Gue, 6080, TunnelFlags::REMOTE_CHECKSUM);
    let server6 = by("2001:db8::21", 80, Forwarding::DirectRouting, 65535);
    vec![
        Command::AddService(Service::new(web(), name("wlc"))),
        Command::AddService(Service {
            persistence: Some(Persistence {
                timeout_seconds: 60,
                netmask: Netmask::V6(64),
            }),
            ..Service::new(web6, name("rr"))
        }),
        Command::AddService(Service::new(marked, name("rr"))),
        Command::AddService(Service {
            flags: both,
            ..Service::new(sctp, name("sh"))
        }),
        Command::SetService(Service {
            flags: ServiceFlags::SCHEDULER_2,
            ..Service::new(web(), name("mh"))
        }),
        to(web(), by("198.51.100.23", 8080, Forwarding::Nat, 0)),
        to(web(), server(24, Forwarding::Tunnel(Tunnel::IPIP), 1)),
        to(web(), server(25, gre, 1)),
        to(web(), by("2001:db8::26", 80, gue, 1)),
        to(web6, server6),
        to(marked, by("198.51.100.21", 0, Forwarding::DirectRouting, 1)),
        Command::DeleteDestination {
            service: web6,
            destination: server6.key,
        },
        Command::StartDaemon(SyncDaemon::new(SyncRole::Master, name("lo"), 255)),
        Command::StartDaemon(SyncDaemon {
            group: Some("ff02::81".parse().unwrap()),
            ..SyncDaemon::new(SyncRole::Backup, name("lo"), 7)
        }),
        Command::SetTimeouts(Timeouts {
            tcp_seconds: 0,
            tcp_fin_seconds: 100,
            udp_seconds: 0,
        }),
        Command::Zero(None),
        Command::DeleteService(marked),
    ]
}

fn decode(datagram: &[u8]) -> Message {
    let header = GenlHeader {
        cmd: datagram[16],
        version: datagram[17],
    };
    Message::parse_with_param(&datagram[20..], header).unwrap()
}

/// The messages of a datagram.
fn decode_all(mut datagram: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(length) = datagram.first_chunk() {
        let (message, rest) = datagram.split_at(u32::from_ne_bytes(*length) as usize);
        messages.push(decode(message));
        datagram = rest;
    }
    messages
}

fn contains<T: PartialEq + std::fmt::Debug>(theirs: &[T], ours: &[T]) {
    for attribute in ours {
        assert!(
            theirs.contains(attribute),
            "{attribute:?} is not among {theirs:?}"
        );
    }
}

#[test]
fn we_send_what_ipvsadm_sends() {
    let captured = captured::requests();
    assert_eq!(captured.len(), commands().len());
    for ((line, datagram), command) in captured.iter().zip(commands()) {
        assert_eq!(command.to_string(), *line);
        let (theirs, ours) = (decode(datagram), message(&command));
        assert_eq!(ours.command, theirs.command, "{line}");
        // Where the key of a service or destination is enough, ipvsadm sends the rest too.
        assert_eq!(ours.attributes.len(), theirs.attributes.len(), "{line}");
        for (theirs, ours) in theirs.attributes.iter().zip(&ours.attributes) {
            match (theirs, ours) {
                (Attribute::Service(theirs), Attribute::Service(ours)) => contains(theirs, ours),
                (Attribute::Destination(theirs), Attribute::Destination(ours)) => {
                    contains(theirs, ours);
                }
                (Attribute::Daemon(theirs), Attribute::Daemon(ours)) => contains(theirs, ours),
                (theirs, ours) => assert_eq!(ours, theirs, "{line}"),
            }
        }
    }
}

#[test]
fn adding_and_changing_services_leaves_nothing_out() {
    for ((line, datagram), command) in captured::requests().iter().zip(commands()) {
        if let Command::AddService(_) = command {
            let (theirs, ours) = (decode(datagram), message(&command));
            let ([Attribute::Service(theirs)], [Attribute::Service(ours)]) =
                (theirs.attributes.as_slice(), ours.attributes.as_slice())
            else {
                panic!("{line}: one service is expected");
            };
            contains(ours, theirs);
        }
    }
}

#[test]
fn captured_services_are_read() {
    let messages = decode_all(&captured::answer("services"));
    let services: Vec<_> = messages
        .iter()
        .map(|message| match message.attributes.as_slice() {
            [Attribute::Service(attributes)] => read_service(attributes).unwrap(),
            other => panic!("one service is expected: {other:?}"),
        })
        .collect();
    let expected = [sip_service(), web_service(), marked_service()];
    assert_eq!(
        services,
        expected.map(|service| (service, Stats::default()))
    );
}

#[test]
fn captured_destinations_are_read() {
    let messages = decode_all(&captured::answer("destinations of 192.0.2.10:80"));
    let [Attribute::Destination(attributes)] = messages[0].attributes.as_slice() else {
        panic!("one destination is expected: {messages:?}");
    };
    let expected = ObservedDestination {
        destination: server(21, Forwarding::DirectRouting, 5),
        active_connections: 0,
        inactive_connections: 0,
        persistent_connections: 0,
        stats: Stats::default(),
    };
    assert_eq!(
        read_destination(attributes, Family::Ipv4).unwrap(),
        expected
    );
}

#[test]
fn captured_daemons_timeouts_and_info_are_read() {
    let message = decode(&captured::answer("daemons"));
    let [Attribute::Daemon(attributes)] = message.attributes.as_slice() else {
        panic!("one daemon is expected: {message:?}");
    };
    assert_eq!(read_daemon(attributes).unwrap(), backup());

    let timeouts = read_timeouts(&decode(&captured::answer("timeouts")).attributes);
    assert_eq!(
        timeouts,
        Timeouts {
            tcp_seconds: 800,
            tcp_fin_seconds: 120,
            udp_seconds: 200
        }
    );

    let info = read_info(&decode(&captured::answer("info")).attributes).unwrap();
    assert_eq!(
        info,
        Info {
            version: [1, 2, 1],
            connection_table_size: 4096
        }
    );
}

#[test]
fn straight_from_the_bytes_is_the_same() {
    // The headers of netlink stand before the payload.
    let payload = |name| captured::answer(name).split_off(16);
    let [Attribute::Service(service)] =
        &Message::decode(&payload("services")).unwrap().attributes[..1]
    else {
        panic!("a service is expected");
    };
    assert_eq!(
        decode_service(&payload("services")).unwrap(),
        Some(read_service(service).unwrap())
    );
    let name = "destinations of 192.0.2.10:80";
    let destination = decode_destination(&payload(name), Family::Ipv4).unwrap();
    let expected = server(21, Forwarding::DirectRouting, 5);
    assert_eq!(destination.unwrap().destination, expected);
    assert_eq!(decode_service(&payload(name)).unwrap(), None);
    assert_eq!(decode_daemon(&payload("daemons")).unwrap(), Some(backup()));
    assert_eq!(decode_daemon(&payload("services")).unwrap(), None);
    assert!(decode_service(&[1]).is_err());
}

#[test]
fn wide_counters_win_over_narrow_ones() {
    use crate::wire::Counter;
    let mut attributes = service::full(&web_service());
    attributes.push(ServiceAttribute::Stats(vec![StatsAttribute::Connections(
        Counter::U32(1),
    )]));
    let read = |attributes: &[ServiceAttribute]| read_service(attributes).unwrap().1.connections;
    assert_eq!(read(&attributes), 1);
    let wide = 0x1_0000_0001;
    attributes.push(ServiceAttribute::Stats64(vec![
        StatsAttribute::Connections(Counter::U64(wide)),
    ]));
    assert_eq!(read(&attributes), wide);
    attributes.rotate_right(1);
    assert_eq!(read(&attributes), wide);
}

#[test]
fn without_a_family_a_destination_has_its_services() {
    let destination = server(21, Forwarding::Nat, 1);
    let attributes: Vec<_> = destination::full(&destination)
        .into_iter()
        .filter(|attribute| !matches!(attribute, DestinationAttribute::AddressFamily(_)))
        .collect();
    assert_eq!(
        read_destination(&attributes, Family::Ipv4)
            .unwrap()
            .destination,
        destination
    );
}

#[test]
fn every_missing_attribute_of_a_key_is_named() {
    for (gone, name) in [
        "IPVS_SVC_ATTR_AF",
        "IPVS_SVC_ATTR_PROTOCOL",
        "IPVS_SVC_ATTR_ADDR",
        "IPVS_SVC_ATTR_PORT",
        "IPVS_SVC_ATTR_SCHED_NAME",
        "IPVS_SVC_ATTR_FLAGS",
    ]
    .into_iter()
    .enumerate()
    {
        let mut attributes = service::full(&Service::new(web(), self::name("rr")));
        attributes.remove(gone);
        let error = read_service(&attributes).unwrap_err().to_string();
        assert_eq!(error, format!("attribute {name} is missing"));
    }
}

proptest! {
    #[test]
    fn services_come_back(service in arbitrary::service()) {
        prop_assert_eq!(read_service(&service::full(&service)).unwrap().0, service);
    }

    #[test]
    fn destinations_come_back(destination in arbitrary::destination(), family in arbitrary::family()) {
        let attributes = destination::full(&destination);
        prop_assert_eq!(read_destination(&attributes, family).unwrap().destination, destination);
    }

    #[test]
    fn daemons_come_back(daemon in arbitrary::daemon()) {
        prop_assert_eq!(read_daemon(&daemon::full(&daemon)).unwrap(), daemon);
    }

    #[test]
    fn timeouts_come_back(timeouts in arbitrary::timeouts()) {
        let message = message(&Command::SetTimeouts(timeouts));
        prop_assert_eq!(read_timeouts(&message.attributes), timeouts);
    }
}
