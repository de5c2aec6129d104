//! What the transport and an HMAC ask of packets.

use proptest::prelude::*;

use super::*;
use crate::authentication::SimplePassword;
use crate::config::Config;
use crate::hmac::{HmacKey, HmacKeys, HmacMode, HmacRejection, TRAILER_BYTES};
use crate::packet::Version;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const WINDOW: AntiReplay = AntiReplay::Time { window_seconds: 5 };

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn config(own: &str) -> Config {
    let own_address = address(own);
    let vip = if own_address.is_ipv4() {
        "192.0.2.10"
    } else {
        "fe80::10"
    };
    Config {
        own_address,
        virtual_addresses: vec![address(vip)],
        ..crate::config::tests::config()
    }
}

fn key(id: u8) -> HmacKey {
    HmacKey::new(id, &[id; 32]).unwrap()
}

fn hmac(ids: &[u8], active: u8, mode: HmacMode) -> Authentication {
    let keys = ids.iter().copied().map(key).collect();
    Authentication::Hmac(HmacConfig {
        keys: HmacKeys::new(keys, active).unwrap(),
        anti_replay: WINDOW,
        mode,
    })
}

fn signed(own: &str) -> Config {
    Config {
        authentication: Some(hmac(&[1], 1, HmacMode::Enforce)),
        ..config(own)
    }
}

fn wire(config: &Config) -> Wire {
    Wire::new(config.clone().check().unwrap())
}

/// What a router of this configuration says.
fn advertisement(config: &Config) -> Advertisement {
    Advertisement {
        version: config.version,
        virtual_router_id: config.virtual_router_id,
        priority: config.priority,
        interval: config.advertisement_interval,
        addresses: config.clone().check().unwrap().advertised(),
        authentication: None,
        checksum: config.checksum,
    }
}

/// The first destination's packet of a sender.
fn packet(sender: &mut Wire, time_of_day: Duration) -> (IpHeader, Vec<u8>) {
    let config = (*sender.config).clone();
    let destination = sender.config.destinations()[0];
    let payload = sender.encode(&advertisement(&config), destination, time_of_day);
    let header = IpHeader {
        source: config.own_address,
        destination,
        time_to_live: 255,
    };
    (header, payload)
}

type Decoded = Result<Option<Advertisement>, RejectReason>;

fn hears(receiver: &mut Wire, sender: &mut Wire) -> Decoded {
    let (header, payload) = packet(sender, NOW);
    receiver.decode(&header, &payload, NOW)
}

const fn refused(reason: HmacRejection) -> Decoded {
    Err(RejectReason::Hmac(reason))
}

#[test]
fn what_a_router_sends_its_peer_reads() {
    for (own, peer) in [("192.0.2.1", "192.0.2.2"), ("fe80::1", "fe80::2")] {
        for version in [Version::V2, Version::V3] {
            if version == Version::V2 && address(own).is_ipv6() {
                continue;
            }
            for authentication in [None, Some(hmac(&[1], 1, HmacMode::Enforce))] {
                let of = |own| Config {
                    version,
                    authentication: authentication.clone(),
                    ..config(own)
                };
                let sender = of(own);
                let decoded = hears(&mut wire(&of(peer)), &mut wire(&sender));
                assert_eq!(decoded, Ok(Some(advertisement(&sender))));
            }
        }
    }
}

#[test]
fn packets_of_other_virtual_routers_are_passed_over() {
    let other = Config {
        virtual_router_id: 52,
        ..config("192.0.2.1")
    };
    let decoded = hears(&mut wire(&signed("192.0.2.2")), &mut wire(&other));
    assert_eq!(decoded, Ok(None), "and not counted as unsigned");
    let (header, _) = packet(&mut wire(&other), NOW);
    let decoded = wire(&other).decode(&header, &[0x31], NOW);
    assert_eq!(decoded, Err(RejectReason::Length));
}

fn unicast(own: &str, peers: &[&str], minimum_ttl: u8) -> Config {
    Config {
        transport: Transport::Unicast {
            peers: peers.iter().map(|peer| address(peer)).collect(),
            minimum_ttl,
        },
        ..config(own)
    }
}

#[test]
fn of_unicast_routers_only_peers_are_heard() {
    let mut receiver = wire(&unicast("192.0.2.2", &["192.0.2.1", "192.0.2.3"], 255));
    for (own, expected) in [
        ("192.0.2.1", true),
        ("192.0.2.3", true),
        ("192.0.2.4", false),
    ] {
        let sender = unicast(own, &["192.0.2.2"], 255);
        let decoded = hears(&mut receiver, &mut wire(&sender));
        if expected {
            assert_eq!(decoded, Ok(Some(advertisement(&sender))));
        } else {
            assert_eq!(decoded, Err(RejectReason::Peer), "{own}");
        }
    }
}

#[test]
fn a_peer_behind_routers_needs_a_lower_minimum() {
    let sender = unicast("192.0.2.1", &["198.51.100.2"], 255);
    for (minimum_ttl, time_to_live, is_accepted) in [
        (255, 255, true),
        (255, 254, false),
        (253, 253, true),
        (253, 252, false),
        (0, 0, true),
    ] {
        let mut receiver = wire(&unicast("198.51.100.2", &["192.0.2.1"], minimum_ttl));
        let (mut header, payload) = packet(&mut wire(&sender), NOW);
        header.time_to_live = time_to_live;
        let decoded = receiver.decode(&header, &payload, NOW);
        if is_accepted {
            assert_eq!(decoded, Ok(Some(advertisement(&sender))));
        } else {
            assert_eq!(decoded, Err(RejectReason::TimeToLive));
        }
    }
}

/// The pseudo-header of the checksum names the destination, so each peer has a packet of its own.
#[test]
fn each_destination_has_its_own_checksum() {
    let sender = Config {
        authentication: Some(hmac(&[1], 1, HmacMode::Enforce)),
        ..unicast("2001:db8::1", &["2001:db8::2", "2001:db8::3"], 255)
    };
    let mut wire_of_sender = wire(&sender);
    for peer in ["2001:db8::2", "2001:db8::3"] {
        let mut receiver = wire(&Config {
            authentication: sender.authentication.clone(),
            ..unicast(peer, &["2001:db8::1"], 255)
        });
        let destination = address(peer);
        let payload = wire_of_sender.encode(&advertisement(&sender), destination, NOW);
        let header = |destination| IpHeader {
            source: sender.own_address,
            destination,
            time_to_live: 255,
        };
        let decoded = receiver.decode(&header(destination), &payload, NOW);
        assert_eq!(decoded, Ok(Some(advertisement(&sender))));
        let elsewhere = header(address("2001:db8::9"));
        let decoded = receiver.decode(&elsewhere, &payload, NOW);
        assert_eq!(decoded, Err(RejectReason::Checksum));
    }
}

/// keepalived and others let the kernel verify the payload as a whole (`IPV6_CHECKSUM`).
#[test]
fn over_ipv6_the_checksum_covers_the_trailer() {
    let mut sender = wire(&signed("fe80::1"));
    let (header, payload) = packet(&mut sender, NOW);
    let whole = crate::checksum::InternetChecksum::default()
        .bytes(&payload)
        .pseudo_header(header.source, header.destination, 112, payload.len());
    assert_eq!(whole.finish(), 0);
    assert_eq!(payload.len(), 24 + TRAILER_BYTES);
}

#[test]
fn an_unsigned_or_wrongly_signed_packet_is_refused() {
    let receiver = || wire(&signed("192.0.2.2"));
    let unsigned = config("192.0.2.1");
    assert_eq!(
        hears(&mut receiver(), &mut wire(&unsigned)),
        refused(HmacRejection::Missing)
    );
    let unknown = Config {
        authentication: Some(hmac(&[2], 2, HmacMode::Enforce)),
        ..unsigned.clone()
    };
    assert_eq!(
        hears(&mut receiver(), &mut wire(&unknown)),
        refused(HmacRejection::Key)
    );
    let other_secret = HmacKeys::new(vec![HmacKey::new(1, &[9; 32]).unwrap()], 1).unwrap();
    let forged = Config {
        authentication: Some(Authentication::Hmac(HmacConfig {
            keys: other_secret,
            anti_replay: WINDOW,
            mode: HmacMode::Enforce,
        })),
        ..unsigned
    };
    assert_eq!(
        hears(&mut receiver(), &mut wire(&forged)),
        refused(HmacRejection::Digest)
    );
    let (header, mut payload) = packet(&mut wire(&signed("192.0.2.1")), NOW);
    payload[12] = 2;
    assert_eq!(
        receiver().decode(&header, &payload, NOW),
        refused(HmacRejection::Malformed)
    );
}

#[test]
fn a_packet_counts_once_and_at_its_time() {
    let mut receiver = wire(&signed("192.0.2.2"));
    let mut sender = wire(&signed("192.0.2.1"));
    let (header, first) = packet(&mut sender, NOW);
    assert!(receiver.decode(&header, &first, NOW).is_ok());
    assert_eq!(
        receiver.decode(&header, &first, NOW),
        refused(HmacRejection::Replay)
    );
    // The clock of the sender stands still, but its numbers do not.
    let (header, second) = packet(&mut sender, NOW);
    assert!(receiver.decode(&header, &second, NOW).is_ok());
    let (header, third) = packet(&mut sender, NOW);
    let late = NOW + Duration::from_secs(6);
    assert_eq!(
        receiver.decode(&header, &third, late),
        refused(HmacRejection::Stale)
    );
    // What was refused has used no number up.
    assert!(receiver.decode(&header, &third, NOW).is_ok());
}

#[test]
fn a_restarted_sender_is_heard_and_its_recording_is_not() {
    let mut receiver = wire(&signed("192.0.2.2"));
    let (header, recorded) = packet(&mut wire(&signed("192.0.2.1")), NOW);
    assert!(receiver.decode(&header, &recorded, NOW).is_ok());
    let later = NOW + Duration::from_millis(1);
    let (header, fresh) = packet(&mut wire(&signed("192.0.2.1")), later);
    assert!(receiver.decode(&header, &fresh, later).is_ok());
    assert_eq!(
        receiver.decode(&header, &recorded, later),
        refused(HmacRejection::Replay)
    );
}

#[test]
fn authentication_is_introduced_in_three_steps_without_a_packet_refused() {
    let steps = [
        None,
        Some(hmac(&[1], 1, HmacMode::ReceiveOnly)),
        Some(hmac(&[1], 1, HmacMode::Permissive)),
        Some(hmac(&[1], 1, HmacMode::Enforce)),
    ];
    let of = |own, authentication: &Option<Authentication>| Config {
        authentication: authentication.clone(),
        ..config(own)
    };
    for pair in steps.windows(2) {
        for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let mut receiver = wire(&of("192.0.2.2", one));
            let decoded = hears(&mut receiver, &mut wire(&of("192.0.2.1", other)));
            assert!(decoded.is_ok(), "{one:?} hears {other:?}");
        }
    }
    let (_, unsigned) = packet(&mut wire(&of("192.0.2.1", &steps[1])), NOW);
    let (_, signed) = packet(&mut wire(&of("192.0.2.1", &steps[2])), NOW);
    assert_eq!(unsigned.len() + TRAILER_BYTES, signed.len());
}

#[test]
fn a_key_is_changed_in_three_steps_without_a_packet_refused() {
    let steps = [
        hmac(&[1], 1, HmacMode::Enforce),
        hmac(&[1, 2], 1, HmacMode::Enforce),
        hmac(&[1, 2], 2, HmacMode::Enforce),
        hmac(&[2], 2, HmacMode::Enforce),
    ];
    let checked = |own, authentication: &Authentication| {
        Config {
            authentication: Some(authentication.clone()),
            ..config(own)
        }
        .check()
        .unwrap()
    };
    let mut one = Wire::new(checked("192.0.2.1", &steps[0]));
    let mut other = Wire::new(checked("192.0.2.2", &steps[0]));
    for step in &steps {
        one.reconfigure(checked("192.0.2.1", step));
        assert!(hears(&mut other, &mut one).is_ok());
        assert!(hears(&mut one, &mut other).is_ok());
        other.reconfigure(checked("192.0.2.2", step));
        assert!(hears(&mut other, &mut one).is_ok());
        assert!(hears(&mut one, &mut other).is_ok());
    }
    // What was recorded before is still known after it.
    let (header, payload) = packet(&mut one, NOW);
    assert!(other.decode(&header, &payload, NOW).is_ok());
    other.reconfigure(checked("192.0.2.2", &steps[3]));
    assert_eq!(
        other.decode(&header, &payload, NOW),
        refused(HmacRejection::Replay)
    );
}

#[test]
fn another_way_to_keep_recordings_out_begins_anew() {
    let monotonic = |own| {
        let mut config = signed(own);
        if let Some(Authentication::Hmac(hmac)) = &mut config.authentication {
            hmac.anti_replay = AntiReplay::Monotonic;
        }
        config
    };
    let mut receiver = wire(&monotonic("192.0.2.2"));
    let mut sender = wire(&monotonic("192.0.2.1"));
    let late = NOW + Duration::from_hours(1);
    let (header, payload) = packet(&mut sender, NOW);
    assert!(receiver.decode(&header, &payload, late).is_ok());
    receiver.reconfigure(signed("192.0.2.2").check().unwrap());
    let (header, payload) = packet(&mut sender, NOW);
    assert_eq!(
        receiver.decode(&header, &payload, late),
        refused(HmacRejection::Stale)
    );
    assert!(receiver.decode(&header, &payload, NOW).is_ok());
}

#[test]
fn a_password_is_no_trailer() {
    let simple = Config {
        version: Version::V2,
        authentication: SimplePassword::new(b"1111")
            .ok()
            .map(Authentication::Simple),
        ..config("192.0.2.1")
    };
    let (_, payload) = packet(&mut wire(&simple), NOW);
    assert_eq!(payload.len(), 8 + 4 + 8);
}

proptest! {
    /// Whatever the bytes, the receiver answers, and accepts nothing that was not signed.
    #[test]
    fn arbitrary_bytes_are_answered(
        start in prop_oneof![Just(vec![0x31, 51]), Just(vec![0x21, 51]), Just(vec![])],
        rest in proptest::collection::vec(any::<u8>(), 0..80),
        time_to_live in any::<u8>(),
        is_ipv6 in any::<bool>(),
    ) {
        let (own, source) = if is_ipv6 {
            ("fe80::2", "fe80::1")
        } else {
            ("192.0.2.2", "192.0.2.1")
        };
        let header = IpHeader {
            source: address(source),
            destination: address(own),
            time_to_live,
        };
        let payload = [start, rest].concat();
        let mut receiver = wire(&Config {
            authentication: Some(hmac(&[1], 1, HmacMode::Enforce)),
            ..unicast(own, &[source], 0)
        });
        let decoded = receiver.decode(&header, &payload, NOW);
        prop_assert!(matches!(decoded, Err(_) | Ok(None)));
    }
}
