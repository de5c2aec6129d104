use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lvs_ipvs::{Destination, DestinationKey, Forwarding, Name, Protocol, Service};

use super::*;
use crate::kernel::sysctls::Sysctl;
use crate::plan::ipvs::PlannedService;

fn key(port: u16) -> ServiceKey {
    let address: IpAddr = [192, 168, 1, 222].into();
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address,
        port,
    }
}

fn web() -> Subject {
    Subject::VirtualService {
        namespace: "default".into(),
        name: "web".into(),
        uid: "u1".into(),
    }
}

fn plan() -> Plan {
    let planned = PlannedService {
        service: Service::new(key(80), Name::new("rr").expect("a name")),
        destinations: BTreeMap::new(),
        subject: Arc::new(web()),
    };
    Plan {
        services: BTreeMap::from([(key(80), planned)]),
        ..Plan::default()
    }
}

fn add(server: u8) -> Op {
    let key_of = DestinationKey {
        address: [192, 168, 1, server].into(),
        port: 80,
    };
    let destination = Destination::new(key_of, Forwarding::DirectRouting, 1);
    Op::Ipvs(Command::AddDestination {
        service: key(80),
        destination,
    })
}

#[test]
fn repairs_are_told_about_the_object_that_they_belong_to() {
    let sysctl = Op::SetSysctl {
        sysctl: Sysctl::of_interface_ipv4("eth0", "arp_ignore"),
        value: "1".into(),
    };
    let ops = [sysctl, add(130)];
    let drifts = drifts(&plan(), &ops);
    assert_eq!(drifts.len(), 2);
    assert_eq!(drifts[0].subject, Subject::Node);
    assert!(
        drifts[0]
            .message
            .ends_with("sysctl net.ipv4.conf.eth0.arp_ignore=1"),
        "{drifts:?}"
    );
    assert_eq!(drifts[1].subject, web());
    assert!(
        drifts[1].message.contains("-r 192.168.1.130:80"),
        "{drifts:?}"
    );
}

#[test]
fn many_repairs_are_counted() {
    let ops: Vec<Op> = (1..=8).map(add).collect();
    let drifts = drifts(&plan(), &ops);
    assert_eq!(drifts.len(), 1);
    assert!(drifts[0].message.ends_with("and 3 more"), "{drifts:?}");
    assert!(!drifts[0].message.contains("192.168.1.6"), "{drifts:?}");
}
