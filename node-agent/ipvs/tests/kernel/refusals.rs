//! What the kernel refuses, and why.

use std::os::unix::process::CommandExt as _;
use std::process::Command as Process;

use lvs_ipvs::{
    Client, Command, Destination, Family, Forwarding, Persistence, Refusal, Service, TunnelFlags,
    TunnelKind,
};

use crate::objects::{mark, name, server, tunnel, web};
use crate::{apply, fresh, refusal};

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn every_refusal_says_why() {
    let mut client = fresh();
    let service = || Service::new(web(), name("rr"));
    let good = server("198.51.100.21", 80, Forwarding::DirectRouting, 1);
    let add = |destination| Command::AddDestination {
        service: web(),
        destination,
    };
    let no_scheduler = Service::new(mark(1, Family::Ipv4), name("nosuch"));
    let no_engine = Service {
        persistence: Some(Persistence::of_hosts(Family::Ipv4, 50)),
        persistence_engine: Some(name("nosuch")),
        ..Service::new(mark(1, Family::Ipv4), name("rr"))
    };

    assert_eq!(refusal(&mut client, add(good)), Refusal::NoSuchService);
    assert_eq!(
        refusal(&mut client, Command::SetService(service())),
        Refusal::NoSuchService
    );
    assert_eq!(
        refusal(&mut client, Command::DeleteService(web())),
        Refusal::NoSuchService
    );
    assert_eq!(
        refusal(&mut client, Command::Zero(Some(web()))),
        Refusal::NoSuchService
    );
    apply(&mut client, &[Command::AddService(service())]);
    assert_eq!(
        refusal(&mut client, Command::AddService(service())),
        Refusal::Exists
    );
    assert_eq!(
        refusal(&mut client, Command::AddService(no_scheduler)),
        Refusal::UnknownScheduler {
            scheduler: name("nosuch")
        }
    );
    assert_eq!(
        refusal(&mut client, Command::AddService(no_engine)),
        Refusal::UnknownSchedulerOrEngine {
            scheduler: name("rr"),
            engine: name("nosuch")
        }
    );

    let set = |destination| Command::SetDestination {
        service: web(),
        destination,
    };
    assert_eq!(refusal(&mut client, set(good)), Refusal::NoSuchDestination);
    let delete = Command::DeleteDestination {
        service: web(),
        destination: good.key,
    };
    assert_eq!(refusal(&mut client, delete), Refusal::NoSuchDestination);
    apply(&mut client, &[add(good)]);
    assert_eq!(refusal(&mut client, add(good)), Refusal::Exists);
    assert_eq!(
        refusal(
            &mut client,
            set(Destination {
                weight: 1 << 31,
                ..good
            })
        ),
        Refusal::OutOfRange
    );
    assert_eq!(
        refusal(
            &mut client,
            set(Destination {
                upper_threshold: 1,
                lower_threshold: 2,
                ..good
            })
        ),
        Refusal::OutOfRange
    );
    let multicast = server("224.0.0.1", 80, Forwarding::DirectRouting, 1);
    assert_eq!(refusal(&mut client, add(multicast)), Refusal::Invalid);
    let other_family = server("2001:db8::21", 80, Forwarding::DirectRouting, 1);
    assert_eq!(refusal(&mut client, add(other_family)), Refusal::Invalid);
    let no_port = server(
        "198.51.100.22",
        80,
        tunnel(TunnelKind::Gue, 0, TunnelFlags::empty()),
        1,
    );
    assert_eq!(refusal(&mut client, add(no_port)), Refusal::Invalid);
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
