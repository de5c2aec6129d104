use super::*;
use crate::fixture::{facts, own};

fn by_subnet(subnet: &str) -> InterfaceSelector {
    InterfaceSelector {
        name: None,
        subnet: Some(subnet.into()),
    }
}

#[test]
fn an_interface_is_found_by_name_and_by_subnet() {
    let facts = facts(&["192.168.1.129/24"]);
    let name = InterfaceSelector {
        name: Some("eth0".into()),
        subnet: None,
    };
    assert_eq!(facts.select(&name).map(|found| found.index), Ok(2));
    assert_eq!(
        facts
            .select(&by_subnet("192.168.1.0/24"))
            .map(|found| found.index),
        Ok(2)
    );
    assert_eq!(
        facts.select(&by_subnet("10.0.0.0/8")),
        Err(InterfaceError::NoneInSubnet("10.0.0.0/8".into()))
    );
    assert_eq!(
        facts.select(&by_subnet("10")),
        Err(InterfaceError::NotASubnet("10".into()))
    );
    assert_eq!(
        facts.select(&InterfaceSelector::default()),
        Err(InterfaceError::Unnamed)
    );
}

#[test]
fn vips_and_loopback_do_not_make_an_interface_part_of_a_subnet() {
    let mut facts = facts(&[]);
    let ours = InterfaceAddress {
        protocol: Some(ADDRESS_PROTOCOL),
        ..own("192.168.1.222/32")
    };
    facts
        .interfaces
        .get_mut(&2)
        .expect("eth0")
        .addresses
        .push(ours);
    facts
        .interfaces
        .get_mut(&1)
        .expect("lo")
        .addresses
        .push(own("192.168.1.223/32"));
    assert!(facts.select(&by_subnet("192.168.1.0/24")).is_err());
}

#[test]
fn a_held_vip_expires_and_is_not_somebody_elses() {
    let vip = InterfaceAddress {
        protocol: Some(ADDRESS_PROTOCOL),
        is_permanent: false,
        ..own("192.168.1.222/32")
    };
    assert!(vip.is_held_vip());
    assert!(
        InterfaceAddress {
            protocol: None,
            ..vip
        }
        .is_held_vip()
    );
    assert!(
        !InterfaceAddress {
            is_permanent: true,
            ..vip
        }
        .is_held_vip()
    );
    assert!(
        !InterfaceAddress {
            protocol: Some(2),
            ..vip
        }
        .is_held_vip()
    );
}
