//! RFC 9568 section 6.4.3, Active, and the checks of section 7.1.

use super::*;

#[test]
fn a_higher_priority_wins_and_its_interval_is_learned() {
    for priority in [101, PRIORITY_OWNER] {
        let mut bench = Bench::active(config());
        let advertisement = bench.advertisement(priority);
        let outputs = bench.hears_this(
            LOWER,
            Advertisement {
                interval: Centiseconds::new(10),
                ..advertisement
            },
        );
        assert_eq!(kinds(&outputs), ["differs", "remove", "role"]);
        assert_eq!(
            reason(&outputs),
            Some(RoleReason::Outranked {
                source: LOWER,
                priority
            })
        );
        assert_eq!(bench.deadline_in(), DOWN / 10);
    }
}

#[test]
fn of_equal_priorities_the_higher_address_wins() {
    let mut bench = Bench::active(config());
    assert_eq!(kinds(&bench.hears(LOWER, 100)), ["send"]);
    assert_eq!(bench.router.role(), Role::Active);
    assert_eq!(kinds(&bench.hears(HIGHER, 100)), ["remove", "role"]);
    assert_eq!(bench.router.role(), Role::Backup);
}

#[test]
fn ipv6_addresses_are_compared_as_numbers() {
    let ipv6 = Config {
        own_address: "fe80::2".parse().unwrap(),
        virtual_addresses: vec!["2001:db8::10".parse().unwrap()],
        ..config()
    };
    let mut bench = Bench::active(ipv6);
    assert_eq!(
        kinds(&bench.hears("fe80::1:0".parse().unwrap(), 100)),
        ["remove", "role"]
    );
}

#[test]
fn a_lower_priority_is_answered_at_once() {
    let mut bench = Bench::active(config());
    bench.after(Duration::from_millis(1500));
    let outputs = bench.hears(HIGHER, 99);
    assert_eq!(kinds(&outputs), ["split", "send", "announce"]);
    assert_eq!(priorities_sent(&outputs), [100]);
    assert_eq!(
        bench.deadline_in(),
        Duration::from_secs(1),
        "the timer starts anew"
    );
    let outputs = bench.hears(HIGHER, 99);
    assert_eq!(kinds(&outputs), ["send"], "no storm of announcements");
}

#[test]
fn a_lower_priority_is_not_answered_if_so_configured() {
    let skip = Config {
        lower_priority_advertisement: LowerPriorityAdvertisement::Skip,
        ..config()
    };
    let mut bench = Bench::active(skip);
    bench.after(Duration::from_millis(1500));
    assert_eq!(kinds(&bench.hears(HIGHER, 99)), ["split", "announce"]);
    assert_eq!(bench.deadline_in(), Duration::from_millis(500));
}

#[test]
fn another_router_that_leaves_is_answered_by_an_advertisement() {
    let mut bench = Bench::active(config());
    let outputs = bench.hears(HIGHER, PRIORITY_RELEASE);
    assert_eq!(kinds(&outputs), ["send"]);
    assert_eq!(priorities_sent(&outputs), [100]);
}

#[test]
fn advertises_in_an_even_rhythm_even_if_a_little_late() {
    let mut bench = Bench::active(config());
    let late = Duration::from_millis(30);
    assert_eq!(
        priorities_sent(&bench.after(Duration::from_secs(1) + late)),
        [100]
    );
    assert_eq!(bench.deadline_in(), Duration::from_millis(970));
    assert_eq!(
        priorities_sent(&bench.after(Duration::from_secs(2))),
        [100],
        "no catching up"
    );
    assert_eq!(bench.deadline_in(), Duration::from_secs(1));
}

#[track_caller]
fn rejects(
    config: Config,
    source: IpAddr,
    expected: RejectReason,
    change: impl Fn(&mut Advertisement),
) {
    for mut bench in [Bench::backup(config.clone()), Bench::active(config)] {
        let before = bench.router.next_deadline();
        bench.now = bench.now + Duration::from_millis(100);
        let mut advertisement = bench.advertisement(200);
        change(&mut advertisement);
        assert_eq!(
            bench.hears_this(source, advertisement),
            [Output::Rejected(expected)]
        );
        assert_eq!(bench.router.next_deadline(), before, "it has no effect");
    }
}

#[test]
fn packets_of_others_are_rejected() {
    rejects(config(), HIGHER, RejectReason::Version, |other| {
        other.version = Version::V2;
    });
    rejects(config(), HIGHER, RejectReason::VirtualRouterId, |other| {
        other.virtual_router_id = 52;
    });
    let ipv6 = "fe80::9".parse().unwrap();
    rejects(config(), ipv6, RejectReason::VirtualRouterId, |_| {});
    rejects(config(), OWN, RejectReason::OwnSource, |_| {});
    let over_ipv6 = Config {
        own_address: "fe80::2".parse().unwrap(),
        virtual_addresses: vec!["2001:db8::10".parse().unwrap()],
        ..config()
    };
    rejects(
        over_ipv6,
        "2001:db8::9".parse().unwrap(),
        RejectReason::Source,
        |_| {},
    );
}

fn password() -> Authentication {
    Authentication::Simple(SimplePassword::new(b"1111").unwrap())
}

fn version_2() -> Config {
    Config {
        version: Version::V2,
        authentication: Some(password()),
        ..config()
    }
}

#[test]
fn version_2_rejects_another_interval_or_password() {
    rejects(version_2(), HIGHER, RejectReason::Interval, |other| {
        other.interval = Centiseconds::from_seconds(2);
    });
    rejects(
        version_2(),
        HIGHER,
        RejectReason::AuthenticationType,
        |other| {
            other.authentication = None;
        },
    );
    rejects(
        version_2(),
        HIGHER,
        RejectReason::AuthenticationData,
        |other| {
            other.authentication = SimplePassword::new(b"2222").ok();
        },
    );
    let open = Config {
        authentication: None,
        ..version_2()
    };
    rejects(open, HIGHER, RejectReason::AuthenticationType, |other| {
        other.authentication = SimplePassword::new(b"1111").ok();
    });
}

#[test]
fn version_2_elects_with_its_own_skew() {
    let mut bench = Bench::backup(Config {
        advertisement_interval: Centiseconds::from_seconds(10),
        ..version_2()
    });
    assert_eq!(bench.deadline_in(), Duration::from_secs(30) + SKEW);
    assert_eq!(bench.hears(HIGHER, 150), []);
    bench.hears(HIGHER, PRIORITY_RELEASE);
    assert_eq!(bench.deadline_in(), SKEW);
    assert_eq!(sent(&bench.until_deadline()), [bench.advertisement(100)]);
}

#[test]
fn a_peer_that_is_configured_otherwise_is_told_of_once() {
    let mut bench = Bench::backup(config());
    let mut other = bench.advertisement(150);
    other.interval = Centiseconds::new(50);
    other.checksum = ChecksumConvention::PseudoHeader;
    other.addresses = Addresses::V4(vec![[192, 0, 2, 99].into()]);
    let differences = Differences {
        interval: Some(Centiseconds::new(50)),
        addresses: true,
        checksum: true,
    };
    let told = [Output::PeerDiffers {
        source: HIGHER,
        differences,
    }];
    assert_eq!(bench.hears_this(HIGHER, other.clone()), told);
    assert_eq!(bench.hears_this(HIGHER, other), []);
    let agrees = [Output::PeerDiffers {
        source: HIGHER,
        differences: Differences::default(),
    }];
    assert_eq!(bench.hears(HIGHER, 150), agrees);
    assert_eq!(bench.hears(HIGHER, 150), []);
}

#[test]
fn the_order_of_addresses_does_not_matter() {
    let two = Config {
        virtual_addresses: vec![VIP, OTHER_VIP],
        ..config()
    };
    let mut bench = Bench::backup(two);
    let mut other = bench.advertisement(150);
    other.addresses = Addresses::V4(vec![[192, 0, 2, 11].into(), [192, 0, 2, 10].into()]);
    assert_eq!(bench.hears_this(HIGHER, other), []);
}
