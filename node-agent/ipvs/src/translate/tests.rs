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
