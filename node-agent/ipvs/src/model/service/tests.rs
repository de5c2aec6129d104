use super::*;

fn web() -> Service {
    Service::new(
        ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: Ipv4Addr::new(192, 0, 2, 10).into(),
            port: 80,
        },
        Name::new("wlc").unwrap(),
    )
}

#[test]
fn a_service_reads_as_ipvsadm_takes_it() {
    let mut service = web();
    assert_eq!(service.to_string(), "-t 192.0.2.10:80 -s wlc");

    service.persistence = Some(Persistence::of_hosts(Family::Ipv4, 50));
    assert_eq!(service.to_string(), "-t 192.0.2.10:80 -s wlc -p 50");

    let netmask = Netmask::from_prefix_length(Family::Ipv4, 24).unwrap();
    service.persistence = Some(Persistence {
        timeout_seconds: 50,
        netmask,
    });
    service.persistence_engine = Some(Name::new("sip").unwrap());
    service.flags =
        ServiceFlags::ONE_PACKET | ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_3;
    assert_eq!(
        service.to_string(),
        "-t 192.0.2.10:80 -s wlc -p 50 -M 255.255.255.0 --pe sip -o -b flag-1,flag-3"
    );
}

#[test]
fn scheduler_flags_have_the_names_of_their_scheduler() {
    let flags = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2;
    for (scheduler, names) in [("sh", "sh-fallback,sh-port"), ("mh", "mh-fallback,mh-port")] {
        let service = Service {
            scheduler: Name::new(scheduler).unwrap(),
            flags,
            ..web()
        };
        assert_eq!(
            service.to_string(),
            format!("-t 192.0.2.10:80 -s {scheduler} -b {names}")
        );
    }
}

#[test]
fn keys_read_as_options() {
    let address = "2001:db8::10".parse().unwrap();
    let key = |protocol| ServiceKey::Address {
        protocol,
        address,
        port: 53,
    };
    let mark = NonZeroU32::new(7).unwrap();
    assert_eq!(key(Protocol::Udp).to_string(), "-u [2001:db8::10]:53");
    assert_eq!(
        key(Protocol::Sctp).to_string(),
        "--sctp-service [2001:db8::10]:53"
    );
    assert_eq!(
        ServiceKey::Mark {
            mark,
            family: Family::Ipv4
        }
        .to_string(),
        "-f 7"
    );
    assert_eq!(
        ServiceKey::Mark {
            mark,
            family: Family::Ipv6
        }
        .to_string(),
        "-f 7 -6"
    );
}

#[test]
fn masks_have_the_prefix_lengths_of_their_family() {
    let mask = Netmask::from_prefix_length;
    assert_eq!(
        mask(Family::Ipv4, 1),
        Some(Netmask::V4(Ipv4Addr::new(128, 0, 0, 0)))
    );
    assert_eq!(mask(Family::Ipv4, 32), Some(Netmask::host(Family::Ipv4)));
    assert_eq!(mask(Family::Ipv6, 128), Some(Netmask::host(Family::Ipv6)));
    for (family, bits) in [
        (Family::Ipv4, 0),
        (Family::Ipv4, 33),
        (Family::Ipv6, 0),
        (Family::Ipv6, 129),
    ] {
        assert_eq!(mask(family, bits), None);
    }
}

#[test]
fn flags_leave_out_what_is_not_the_owners_choice() {
    let flags = ServiceFlags::from_bits_truncate(0x4000_0007);
    assert_eq!(flags.bits(), 0x4000_0004);
}
