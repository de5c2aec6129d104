use super::*;
use crate::model::{Persistence, Protocol, SyncDaemon, Timeouts, Tunnel, TunnelFlags};

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

fn key() -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port: 80,
    }
}

fn add_service() -> Command {
    Command::AddService(Service::new(key(), name("wlc")))
}

fn set_destination() -> Command {
    let server = DestinationKey {
        address: [198, 51, 100, 21].into(),
        port: 80,
    };
    Command::SetDestination {
        service: key(),
        destination: Destination::new(server, Forwarding::Nat, 1),
    }
}

fn refusal(errno: Errno, command: &Command) -> Refusal {
    Refusal::from_errno(errno.raw_os_error(), Some(command))
}

#[test]
fn no_entry_depends_on_what_was_asked() {
    assert_eq!(
        refusal(Errno::NOENT, &add_service()),
        Refusal::UnknownScheduler {
            scheduler: name("wlc")
        }
    );
    let service = Service {
        persistence_engine: Some(name("sip")),
        ..Service::new(key(), name("rr"))
    };
    assert_eq!(
        refusal(Errno::NOENT, &Command::SetService(service)),
        Refusal::UnknownSchedulerOrEngine {
            scheduler: name("rr"),
            engine: name("sip")
        }
    );
    assert_eq!(
        refusal(Errno::NOENT, &set_destination()),
        Refusal::NoSuchDestination
    );
    assert_eq!(
        refusal(Errno::NOENT, &Command::SetTimeouts(Timeouts::default())),
        Refusal::Other { errno: 2 }
    );
}

#[test]
fn no_such_process_depends_on_what_was_asked() {
    assert_eq!(
        refusal(Errno::SRCH, &set_destination()),
        Refusal::NoSuchService
    );
    assert_eq!(
        refusal(Errno::SRCH, &Command::StopDaemon(SyncRole::Master)),
        Refusal::NoSuchDaemon {
            role: SyncRole::Master
        }
    );
}

#[test]
fn the_other_answers_have_one_meaning() {
    let daemon = SyncDaemon::new(SyncRole::Master, name("eth9"), 0);
    assert_eq!(
        refusal(Errno::NODEV, &Command::StartDaemon(daemon)),
        Refusal::NoSuchInterface {
            interface: name("eth9")
        }
    );
    let cases = [
        (Errno::EXIST, Refusal::Exists),
        (Errno::AFNOSUPPORT, Refusal::FamilyNotSupported),
        (Errno::PERM, Refusal::NotPermitted),
        (Errno::NOMEM, Refusal::OutOfMemory),
        (Errno::IO, Refusal::Other { errno: 5 }),
    ];
    for (errno, meaning) in cases {
        assert_eq!(refusal(errno, &set_destination()), meaning);
    }
}

fn add(service: ServiceKey, destination: Destination) -> Command {
    Command::AddDestination {
        service,
        destination,
    }
}

fn server(address: &str, forwarding: Forwarding) -> Destination {
    let address = address.parse().unwrap();
    Destination::new(DestinationKey { address, port: 80 }, forwarding, 1)
}

fn gue(port: u16) -> Forwarding {
    Forwarding::Tunnel(Tunnel {
        kind: TunnelKind::Gue,
        port,
        flags: TunnelFlags::empty(),
    })
}

#[test]
fn out_of_range_says_what() {
    let good = server("198.51.100.21", Forwarding::Nat);
    let heavy = Destination {
        weight: 1 << 31,
        ..good
    };
    assert_eq!(
        refusal(Errno::RANGE, &add(key(), heavy)).to_string(),
        "weight 2147483648 is out of range: 0 to 2147483647"
    );
    let crossed = Destination {
        upper_threshold: 1,
        lower_threshold: 2,
        ..good
    };
    assert_eq!(
        refusal(Errno::RANGE, &add(key(), crossed)).to_string(),
        "the lower threshold 2 is above the upper threshold 1"
    );
}

#[test]
fn an_invalid_destination_says_why() {
    let ipip = Forwarding::Tunnel(Tunnel::IPIP);
    let because = |destination| refusal(Errno::INVAL, &add(key(), destination));
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(
        because(server("224.0.0.1", Forwarding::DirectRouting)),
        Refusal::NotUnicast {
            address: address("224.0.0.1")
        }
    );
    assert_eq!(
        because(server("2001:db8::21", Forwarding::DirectRouting)),
        Refusal::OtherFamilyWithoutTunnel {
            address: address("2001:db8::21")
        }
    );
    assert_eq!(
        because(server("2001:db8::21", ipip)),
        Refusal::OtherFamilyWhileSynchronising {
            address: address("2001:db8::21")
        }
    );
    assert_eq!(
        because(server("ff02::1", ipip)),
        Refusal::NotUnicast {
            address: address("ff02::1")
        }
    );
    assert_eq!(
        because(server("198.51.100.21", gue(0))),
        Refusal::TunnelWithoutPort
    );
    // A broadcast address is known to the kernel's routes alone.
    assert_eq!(
        because(server("198.51.100.255", gue(1))),
        Refusal::NotUnicast {
            address: address("198.51.100.255")
        }
    );
}

#[test]
fn other_invalid_commands_say_why() {
    let address = "2001:db8::10".parse().unwrap();
    let service = Service {
        persistence: Some(Persistence {
            timeout_seconds: 50,
            netmask: Netmask::V6(0),
        }),
        ..Service::new(
            ServiceKey::Address {
                protocol: Protocol::Tcp,
                address,
                port: 80,
            },
            name("rr"),
        )
    };
    assert_eq!(
        refusal(Errno::INVAL, &Command::AddService(service)).to_string(),
        "the persistence mask of an IPv6 service is a prefix length of 1 to 128, not 0"
    );
    let daemon = |group| SyncDaemon {
        group,
        ..SyncDaemon::new(SyncRole::Master, name("eth0"), 1)
    };
    let group = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(
        refusal(Errno::INVAL, &Command::StartDaemon(daemon(Some(group)))),
        Refusal::NotMulticast { group }
    );
    assert_eq!(
        refusal(Errno::INVAL, &Command::StartDaemon(daemon(None))),
        Refusal::FamiliesMixed
    );
    assert_eq!(
        refusal(Errno::INVAL, &Command::SetTimeouts(Timeouts::default())),
        Refusal::TimeoutTooLong
    );
    assert_eq!(
        refusal(Errno::INVAL, &Command::DeleteService(key())),
        Refusal::Invalid
    );
    assert_eq!(
        Refusal::from_errno(Errno::INVAL.raw_os_error(), None),
        Refusal::Invalid
    );
}
