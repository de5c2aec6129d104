use super::*;
use crate::authentication::SimplePassword;

/// A configuration that is accepted, for the tests of this crate to change.
pub(crate) fn config() -> Config {
    Config {
        virtual_router_id: 51,
        version: Version::V3,
        priority: 100,
        own_address: [192, 0, 2, 1].into(),
        advertisement_interval: Centiseconds::new(100),
        down_advertisements: 3,
        preemption: Preemption::Never,
        preempt_delay: Duration::ZERO,
        authentication: None,
        transport: Transport::Multicast,
        checksum: ChecksumConvention::Rfc9568,
        virtual_addresses: vec![[192, 0, 2, 10].into()],
        gratuitous: GratuitousAnnouncements::default(),
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    }
}

fn password() -> Authentication {
    Authentication::Simple(SimplePassword::new(b"1111").unwrap())
}

fn error(change: impl FnOnce(&mut Config)) -> Option<ConfigError> {
    let mut config = config();
    change(&mut config);
    config.check().err()
}

#[test]
fn ordinary_values_pass() {
    assert_eq!(error(|_| {}), None);
    assert_eq!(error(|config| config.priority = 1), None);
    assert_eq!(error(|config| config.priority = 255), None);
    assert_eq!(
        error(|config| config.advertisement_interval = Centiseconds::new(1)),
        None
    );
    assert_eq!(
        error(|config| config.advertisement_interval = Centiseconds::MAX_V3),
        None
    );
    let version_2 = |config: &mut Config| {
        config.version = Version::V2;
        config.advertisement_interval = Centiseconds::MAX_V2;
        config.authentication = Some(password());
    };
    assert_eq!(error(version_2), None);
}

#[test]
fn impossible_values_are_named() {
    assert_eq!(
        error(|config| config.virtual_router_id = 0),
        Some(ConfigError::VirtualRouterId)
    );
    assert_eq!(
        error(|config| config.priority = 0),
        Some(ConfigError::Priority)
    );
    assert_eq!(
        error(|config| config.down_advertisements = 1),
        Some(ConfigError::DownAdvertisements(1))
    );
    assert_eq!(
        error(|config| config.authentication = Some(password())),
        Some(ConfigError::AuthenticationVersion)
    );
    assert_eq!(
        error(|config| config.gratuitous.count = 0),
        Some(ConfigError::GratuitousCount)
    );
}

#[test]
fn intervals_must_fit_the_version() {
    for interval in [Centiseconds::new(0), Centiseconds::new(4096)] {
        let found = error(|config| config.advertisement_interval = interval);
        assert_eq!(found, Some(ConfigError::IntervalV3(interval)));
    }
    for interval in [0, 50, 150, 25_600].map(Centiseconds::new) {
        let found = error(|config| {
            config.version = Version::V2;
            config.advertisement_interval = interval;
        });
        assert_eq!(found, Some(ConfigError::IntervalV2(interval)));
    }
}

#[test]
fn own_address_must_be_one_that_can_send() {
    for own in [
        "0.0.0.0",
        "224.0.0.18",
        "127.0.0.1",
        "255.255.255.255",
        "2001:db8::1",
    ] {
        let own: IpAddr = own.parse().unwrap();
        let found = error(|config| config.own_address = own);
        assert_eq!(found, Some(ConfigError::OwnAddress(own)));
    }
    let own: IpAddr = "fe80::1".parse().unwrap();
    let found = error(|config| {
        config.version = Version::V2;
        config.own_address = own;
    });
    assert_eq!(found, Some(ConfigError::VersionFamily(own)));
}

#[test]
fn virtual_addresses_must_be_distinct_and_of_the_family() {
    assert_eq!(
        error(|config| config.virtual_addresses.clear()),
        Some(ConfigError::NoAddresses)
    );
    for address in ["fe80::10", "192.0.2.1", "0.0.0.0", "127.0.0.1", "239.0.0.1"] {
        let address: IpAddr = address.parse().unwrap();
        let found = error(|config| config.virtual_addresses.push(address));
        assert_eq!(found, Some(ConfigError::Address(address)));
    }
    let twice = IpAddr::from([192, 0, 2, 10]);
    let found = error(|config| config.virtual_addresses.push(twice));
    assert_eq!(found, Some(ConfigError::DuplicateAddress(twice)));
}

fn unicast(peers: &[&str]) -> Transport {
    Transport::Unicast {
        peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
        minimum_ttl: 255,
    }
}

#[test]
fn unicast_needs_peers_that_are_others() {
    let set = |peers: &[&str]| error(|config| config.transport = unicast(peers));
    assert_eq!(set(&["192.0.2.2", "192.0.2.3"]), None);
    assert_eq!(set(&[]), Some(ConfigError::NoPeers));
    for peer in ["192.0.2.1", "224.0.0.18", "0.0.0.0", "fe80::2"] {
        let expected = ConfigError::Peer(peer.parse().unwrap());
        assert_eq!(set(&["192.0.2.2", peer]), Some(expected));
    }
    let twice = ConfigError::DuplicatePeer("192.0.2.2".parse().unwrap());
    assert_eq!(set(&["192.0.2.2", "192.0.2.2"]), Some(twice));
    // Beyond the segment an address must be one that routers forward.
    let global = |config: &mut Config| {
        config.own_address = "2001:db8::1".parse().unwrap();
        config.virtual_addresses = vec!["2001:db8::10".parse().unwrap()];
    };
    let found = error(|config| {
        global(config);
        config.transport = unicast(&["2001:db8::2"]);
    });
    assert_eq!(found, None);
    let own = "2001:db8::1".parse().unwrap();
    assert_eq!(error(global), Some(ConfigError::OwnAddress(own)));
}

#[test]
fn an_hmac_goes_with_either_version() {
    use crate::hmac::{AntiReplay, HmacKey, HmacKeys, HmacMode};

    let hmac = Authentication::Hmac(crate::authentication::HmacConfig {
        keys: HmacKeys::new(vec![HmacKey::new(1, &[1; 32]).unwrap()], 1).unwrap(),
        anti_replay: AntiReplay::Monotonic,
        mode: HmacMode::Enforce,
    });
    for version in [Version::V2, Version::V3] {
        let found = error(|config| {
            config.version = version;
            config.authentication = Some(hmac.clone());
        });
        assert_eq!(found, None);
    }
}

#[test]
fn link_local_addresses_are_advertised_first() {
    let addresses = ["2001:db8::10", "fe80::10", "2001:db8::11"];
    let config = Config {
        own_address: "fe80::1".parse().unwrap(),
        virtual_addresses: addresses.map(|address| address.parse().unwrap()).to_vec(),
        ..config()
    };
    let expected = ["fe80::10", "2001:db8::10", "2001:db8::11"];
    let expected = expected.map(|address| address.parse().unwrap()).to_vec();
    assert_eq!(
        config.check().unwrap().advertised(),
        Addresses::V6(expected)
    );
}

#[test]
fn addresses_beyond_the_packet_are_held_but_not_advertised() {
    let addresses = (0..300_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        IpAddr::from([10, 0, high, low])
    });
    let config = Config {
        virtual_addresses: addresses.collect(),
        ..config()
    }
    .check()
    .unwrap();
    assert_eq!(config.advertised().len(), 255);
    assert_eq!(config.virtual_addresses.len(), 300);
}

#[test]
fn messages_name_value_and_remedy() {
    let message = error(|config| config.priority = 0).unwrap().to_string();
    assert_eq!(
        message,
        "priority 0: must be 1 to 254, or 255 for the owner of the addresses"
    );
}
