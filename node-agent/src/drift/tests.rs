use lvs_ipvs::{Command, Destination, DestinationKey, Forwarding, Protocol, ServiceKey};

use super::*;
use crate::kernel::sysctls::Sysctl;

fn web() -> Arc<Subject> {
    Arc::new(Subject::VirtualService {
        namespace: "default".into(),
        name: "web".into(),
        uid: "u1".into(),
    })
}

fn add(server: u8) -> Op {
    let service = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 168, 1, 222].into(),
        port: 80,
    };
    let key = DestinationKey {
        address: [192, 168, 1, server].into(),
        port: 80,
    };
    Op::Ipvs(Command::AddDestination {
        service,
        destination: Destination::new(key, Forwarding::DirectRouting, 1),
    })
}

fn drifts(repairs: &[(Arc<Subject>, Op)]) -> Vec<Drift> {
    let mut noted = Repairs::default();
    for (subject, op) in repairs {
        noted.note(subject, op);
    }
    noted.into_drifts().collect()
}

#[test]
fn repairs_are_told_about_the_object_that_they_belong_to() {
    let sysctl = Op::SetSysctl {
        sysctl: Sysctl::of_interface_ipv4("eth0", "arp_ignore"),
        value: "1".into(),
    };
    let drifts = drifts(&[(Arc::new(Subject::Node), sysctl), (web(), add(130))]);
    assert_eq!(drifts.len(), 2);
    assert_eq!(drifts[0].subject, Subject::Node);
    assert!(
        drifts[0]
            .message
            .ends_with("sysctl net.ipv4.conf.eth0.arp_ignore=1"),
        "{drifts:?}"
    );
    assert_eq!(drifts[1].subject, *web());
    assert!(
        drifts[1].message.contains("-r 192.168.1.130:80"),
        "{drifts:?}"
    );
}

#[test]
fn many_repairs_are_counted() {
    let repairs: Vec<_> = (1..=8).map(|server| (web(), add(server))).collect();
    let drifts = drifts(&repairs);
    assert_eq!(drifts.len(), 1);
    assert!(drifts[0].message.ends_with("and 3 more"), "{drifts:?}");
    assert!(!drifts[0].message.contains("192.168.1.6"), "{drifts:?}");
}
