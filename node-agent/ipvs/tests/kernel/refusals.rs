//! What the kernel refuses, and why.

use std::os::unix::process::CommandExt as _;
use std::process::Command as Process;

use lvs_ipvs::{
    Client, Command, Destination, Family, Forwarding, Netmask, Persistence, Refusal, Service,
    SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelFlags, TunnelKind,
};

use crate::objects::{mark, name, server, tunnel, web};
use crate::{apply, fresh, refusal};

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn refusals_of_services_and_settings_say_why() {
    let mut client = fresh();
    let service = || Service::new(web(), name("rr"));
    for command in [
        Command::SetService(service()),
        Command::DeleteService(web()),
        Command::Zero(Some(web())),
    ] {
        assert_eq!(refusal(&mut client, command), Refusal::NoSuchService);
    }
    apply(&mut client, &[Command::AddService(service())]);
    assert_eq!(
        refusal(&mut client, Command::AddService(service())),
        Refusal::Exists
    );

    let no_scheduler = Service::new(mark(1, Family::Ipv4), name("nosuch"));
    assert_eq!(
        refusal(&mut client, Command::AddService(no_scheduler)),
        Refusal::UnknownScheduler {
            scheduler: name("nosuch")
        }
    );
    let no_engine = Service {
        persistence: Some(Persistence::of_hosts(Family::Ipv4, 50)),
        persistence_engine: Some(name("nosuch")),
        ..Service::new(mark(1, Family::Ipv4), name("rr"))
    };
    assert_eq!(
        refusal(&mut client, Command::AddService(no_engine)),
        Refusal::UnknownSchedulerOrEngine {
            scheduler: name("rr"),
            engine: name("nosuch")
        }
    );
    let netmask = Netmask::V6(0);
    let no_prefix = Service {
        persistence: Some(Persistence {
            timeout_seconds: 50,
            netmask,
        }),
        ..Service::new(mark(1, Family::Ipv6), name("rr"))
    };
    assert_eq!(
        refusal(&mut client, Command::AddService(no_prefix)),
        Refusal::NoPrefixLength { netmask }
    );
    let too_long = Timeouts {
        udp_seconds: u32::MAX,
        ..Timeouts::default()
    };
    assert_eq!(
        refusal(&mut client, Command::SetTimeouts(too_long)),
        Refusal::TimeoutTooLong
    );
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn refusals_of_destinations_say_why() {
    let mut client = fresh();
    let good = server("198.51.100.21", 80, Forwarding::DirectRouting, 1);
    let add = |destination| Command::AddDestination {
        service: web(),
        destination,
    };
    let set = |destination| Command::SetDestination {
        service: web(),
        destination,
    };
    let delete = || Command::DeleteDestination {
        service: web(),
        destination: good.key,
    };
    for command in [add(good), set(good), delete()] {
        assert_eq!(refusal(&mut client, command), Refusal::NoSuchService);
    }
    apply(
        &mut client,
        &[Command::AddService(Service::new(web(), name("rr")))],
    );
    for command in [set(good), delete()] {
        assert_eq!(refusal(&mut client, command), Refusal::NoSuchDestination);
    }
    apply(&mut client, &[add(good)]);
    assert_eq!(refusal(&mut client, add(good)), Refusal::Exists);

    let heavy = Destination {
        weight: 1 << 31,
        ..good
    };
    assert_eq!(
        refusal(&mut client, set(heavy)),
        Refusal::WeightOutOfRange { weight: 1 << 31 }
    );
    let crossed = Destination {
        upper_threshold: 1,
        lower_threshold: 2,
        ..good
    };
    assert_eq!(
        refusal(&mut client, set(crossed)),
        Refusal::ThresholdsOutOfOrder { upper: 1, lower: 2 }
    );
    for address in ["224.0.0.1", "255.255.255.255", "0.0.0.0"] {
        let destination = server(address, 80, Forwarding::DirectRouting, 1);
        let address = destination.key.address;
        assert_eq!(
            refusal(&mut client, add(destination)),
            Refusal::NotUnicast { address }
        );
    }
    let other_family = server("2001:db8::21", 80, Forwarding::DirectRouting, 1);
    assert_eq!(
        refusal(&mut client, add(other_family)),
        Refusal::OtherFamilyWithoutTunnel {
            address: other_family.key.address
        }
    );
    let no_port = tunnel(TunnelKind::Gue, 0, TunnelFlags::empty());
    assert_eq!(
        refusal(&mut client, add(server("198.51.100.22", 80, no_port, 1))),
        Refusal::TunnelWithoutPort
    );
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn daemons_and_mixed_families_exclude_each_other() {
    let mut client = fresh();
    let daemon = SyncDaemon::new(SyncRole::Master, name("lo"), 1);
    let other_family = server("2001:db8::21", 80, Forwarding::Tunnel(Tunnel::IPIP), 1);
    let add = Command::AddDestination {
        service: web(),
        destination: other_family,
    };
    let group = "192.0.2.1".parse().expect("an address");
    let no_group = SyncDaemon {
        group: Some(group),
        ..daemon.clone()
    };
    assert_eq!(
        refusal(&mut client, Command::StartDaemon(no_group)),
        Refusal::NotMulticast { group }
    );

    apply(
        &mut client,
        &[
            Command::AddService(Service::new(web(), name("rr"))),
            add.clone(),
        ],
    );
    assert_eq!(
        refusal(&mut client, Command::StartDaemon(daemon.clone())),
        Refusal::FamiliesMixed
    );
    apply(
        &mut client,
        &[
            Command::DeleteDestination {
                service: web(),
                destination: other_family.key,
            },
            Command::StartDaemon(daemon),
        ],
    );
    assert_eq!(
        refusal(&mut client, add),
        Refusal::OtherFamilyWhileSynchronising {
            address: other_family.key.address
        }
    );
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn without_the_capability_nothing_is_permitted() {
    if nix::unistd::geteuid().is_root() {
        // Again as another user: capabilities belong to the whole process here.
        let itself = std::env::current_exe().expect("this program");
        let status = Process::new(itself)
            .args([
                "--ignored",
                "--exact",
                "refusals::without_the_capability_nothing_is_permitted",
            ])
            .uid(65534)
            .status()
            .expect("this program");
        assert!(status.success());
        return;
    }
    let mut client = Client::connect().expect("the family's number is public");
    let expected = Some(&Refusal::NotPermitted);
    assert_eq!(
        client.services().expect_err("a refusal").refusal(),
        expected
    );
    assert_eq!(client.info().expect_err("a refusal").refusal(), expected);
    assert_eq!(
        refusal(&mut client, Command::Zero(None)),
        Refusal::NotPermitted
    );
}
