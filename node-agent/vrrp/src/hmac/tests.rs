//! The vectors of keepalived's own wire test (`test/auth_hmac_test.c`), and what must be refused.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;
use crate::checksum::ChecksumConvention;
use crate::interval::Centiseconds;
use crate::ip::IpHeader;
use crate::packet::{Addresses, Advertisement};

/// Key 00..1f with id 1, VRID 51, priority 200, number 0x6800000080000000.
const IPV4: &str = "3133c80100644402c0000264\
                    010100006800000080000000\
                    1b84bc4e8e43892dc6d98448f8ee2265";
const IPV6: &str = "3133c8010064a2e9fe800000000000000000000000000100\
                    010100006800000080000000\
                    c8c56146ebfd66ee10ec4d8186461b78";
const SEQUENCE: Sequence = Sequence::from_number(0x6800_0000_8000_0000);
const WINDOW: AntiReplay = AntiReplay::Time { window_seconds: 5 };
const NOW: Duration = Duration::from_secs(1_800_000_000);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn key(id: u8, first: u8) -> HmacKey {
    let secret: Vec<u8> = (first..first + 32).collect();
    HmacKey::new(id, &secret).unwrap()
}

fn keys() -> HmacKeys {
    HmacKeys::new(vec![key(1, 0)], 1).unwrap()
}

fn ipv4() -> Binding {
    Binding {
        version: Version::V3,
        virtual_router_id: 51,
        source: [198, 51, 100, 10].into(),
    }
}

fn ipv6() -> Binding {
    Binding {
        source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10).into(),
        ..ipv4()
    }
}

/// Judges a whole payload as a receiver that has heard nobody yet.
fn judge(
    binding: &Binding,
    payload: &[u8],
    message_bytes: usize,
    anti_replay: AntiReplay,
) -> Result<bool, HmacRejection> {
    let (message, behind) = payload.split_at(message_bytes);
    let mut senders = Senders::new(anti_replay);
    verify(
        &keys(),
        HmacMode::Enforce,
        binding,
        message,
        behind,
        &mut senders,
        NOW,
    )
}

#[test]
fn the_vectors_are_signed_and_verified() {
    for (binding, vector, message_bytes) in [(ipv4(), IPV4, 12), (ipv6(), IPV6, 24)] {
        let payload = bytes(vector);
        let (message, trailer) = payload.split_at(message_bytes);
        assert_eq!(
            sign(&keys(), &binding, message, SEQUENCE).as_slice(),
            trailer
        );
        let judged = judge(&binding, &payload, message_bytes, AntiReplay::Monotonic);
        assert_eq!(judged, Ok(true));
    }
}

/// Our own message is that of the vector, and an advertisement with a trailer decodes as one without.
#[test]
fn the_message_of_the_ipv4_vector_is_ours() {
    let advertisement = Advertisement {
        version: Version::V3,
        virtual_router_id: 51,
        priority: 200,
        interval: Centiseconds::new(100),
        addresses: Addresses::V4(vec![[192, 0, 2, 100].into()]),
        authentication: None,
        checksum: ChecksumConvention::Rfc9568,
    };
    let header = IpHeader {
        source: ipv4().source,
        destination: [224, 0, 0, 18].into(),
        time_to_live: 255,
    };
    let payload = bytes(IPV4);
    let encoded = advertisement.encode(header.source, header.destination);
    assert_eq!(encoded, payload[..12]);
    assert_eq!(Advertisement::decode(&header, &payload), Ok(advertisement));
}

/// Over IPv6 the checksum covers the trailer: the kernel computes it over the whole payload.
#[test]
fn an_ipv6_advertisement_with_a_trailer_is_decoded() {
    let header = IpHeader {
        source: ipv6().source,
        destination: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x20).into(),
        time_to_live: 255,
    };
    let decoded = Advertisement::decode(&header, &bytes(IPV6)).unwrap();
    assert_eq!((decoded.virtual_router_id, decoded.priority), (51, 200));
    let mut damaged = bytes(IPV6);
    damaged[51] ^= 1;
    assert!(Advertisement::decode(&header, &damaged).is_err());
}

#[test]
fn every_field_is_protected_but_the_checksum() {
    use HmacRejection::{Digest, Key, Malformed};
    for (place, expected) in [
        (2, Err(Digest)),
        (5, Err(Digest)),
        (6, Ok(true)),
        (23, Err(Digest)),
        (24, Err(Malformed)),
        (25, Err(Key)),
        (26, Err(Malformed)),
        (31, Err(Digest)),
        (35, Err(Digest)),
        (51, Err(Digest)),
    ] {
        let mut payload = bytes(IPV6);
        payload[place] ^= 1;
        let judged = judge(&ipv6(), &payload, 24, AntiReplay::Monotonic);
        assert_eq!(judged, expected, "byte {place}");
    }
}

#[test]
fn sender_virtual_router_and_version_are_bound() {
    let payload = bytes(IPV6);
    for binding in [
        Binding {
            source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x20).into(),
            ..ipv6()
        },
        Binding {
            virtual_router_id: 52,
            ..ipv6()
        },
        Binding {
            version: Version::V2,
            ..ipv6()
        },
    ] {
        let judged = judge(&binding, &payload, 24, AntiReplay::Monotonic);
        assert_eq!(judged, Err(HmacRejection::Digest));
    }
}

#[test]
fn a_message_counts_once_for_each_receiver() {
    let message = &bytes(IPV4)[..12];
    let mut senders = Senders::new(WINDOW);
    let mut hears = |sequence: Sequence| {
        let trailer = sign(&keys(), &ipv4(), message, sequence);
        verify(
            &keys(),
            HmacMode::Enforce,
            &ipv4(),
            message,
            &trailer,
            &mut senders,
            NOW,
        )
    };
    let first = Sequence::at(NOW);
    assert_eq!(hears(first), Ok(true));
    assert_eq!(hears(first), Err(HmacRejection::Replay));
    let second = first.next(WINDOW, NOW);
    assert_eq!(hears(second), Ok(true));
    assert_eq!(hears(first), Err(HmacRejection::Replay));
    assert_eq!(hears(second), Err(HmacRejection::Replay));
}

#[test]
fn a_time_that_is_not_the_present_is_stale_before_anything_is_computed() {
    let mut payload = bytes(IPV4);
    for seconds in [NOW.as_secs() - 6, NOW.as_secs() + 6] {
        let seconds = u32::try_from(seconds).unwrap();
        payload[16..20].copy_from_slice(&seconds.to_be_bytes());
        let judged = judge(&ipv4(), &payload, 12, WINDOW);
        assert_eq!(judged, Err(HmacRejection::Stale));
    }
    let seconds = u32::try_from(NOW.as_secs() + 5).unwrap();
    payload[16..20].copy_from_slice(&seconds.to_be_bytes());
    let judged = judge(&ipv4(), &payload, 12, WINDOW);
    assert_eq!(judged, Err(HmacRejection::Digest));
}

#[test]
fn a_clock_that_was_set_back_strands_nobody() {
    let ahead = Sequence::at(NOW + Duration::from_hours(1));
    // The sender goes back to the present, and the receiver forgets what it remembers.
    let back = ahead.next(WINDOW, NOW);
    assert_eq!(back, Sequence::at(NOW));
    let mut senders = Senders::new(WINDOW);
    let source = ipv4().source;
    assert!(senders.accept(source, ahead, NOW + Duration::from_hours(1)));
    assert!(senders.accept(source, back, NOW));
    assert!(!senders.accept(source, back, NOW));

    // By numbers alone the sender goes on above, and the receiver keeps what it remembers.
    let above = ahead.next(AntiReplay::Monotonic, NOW);
    assert_eq!(above.number(), ahead.number() + 1);
    let mut senders = Senders::new(AntiReplay::Monotonic);
    assert!(senders.accept(source, ahead, NOW));
    assert!(!senders.accept(source, back, NOW));
    assert!(senders.accept(source, above, NOW));
}

#[test]
fn numbers_grow_across_the_end_of_the_seconds() {
    let last = Sequence::from_number(u64::MAX);
    let next = last.next(
        AntiReplay::Monotonic,
        Duration::from_secs(u64::from(u32::MAX)),
    );
    assert_eq!(next.number(), 0);
    let mut senders = Senders::new(AntiReplay::Monotonic);
    assert!(senders.accept(ipv4().source, last, NOW));
    assert!(senders.accept(ipv4().source, next, NOW));
    let half = Duration::from_millis(1500);
    assert_eq!(Sequence::at(half).number(), 0x1_8000_0000);
}

#[test]
fn four_senders_are_remembered() {
    let source = |last: u8| IpAddr::from([192, 0, 2, last]);
    let number = Sequence::at(NOW);
    let mut senders = Senders::new(WINDOW);
    for last in 1..=4 {
        assert!(senders.accept(source(last), number, NOW));
    }
    assert!(!senders.accept(source(1), number, NOW), "now heard last");
    assert!(senders.accept(source(5), number, NOW), "in place of 2");
    assert!(!senders.accept(source(1), number, NOW));
    assert!(senders.accept(source(2), number, NOW));
}

#[test]
fn what_has_no_trailer_depends_on_the_mode() {
    let payload = bytes(IPV4);
    let hears = |mode, behind: &[u8]| {
        let mut senders = Senders::new(AntiReplay::Monotonic);
        verify(
            &keys(),
            mode,
            &ipv4(),
            &payload[..12],
            behind,
            &mut senders,
            NOW,
        )
    };
    for (mode, expected) in [
        (HmacMode::ReceiveOnly, Ok(false)),
        (HmacMode::Permissive, Ok(false)),
        (HmacMode::Enforce, Err(HmacRejection::Missing)),
    ] {
        assert_eq!(hears(mode, &[]), expected);
        // A trailer counts in every mode, and a wrong one in none.
        assert_eq!(hears(mode, &payload[12..]), Ok(true));
        assert_eq!(hears(mode, &[1; 28]), Err(HmacRejection::Malformed));
        assert_eq!(mode.sends(), mode != HmacMode::ReceiveOnly);
    }
}

#[test]
fn a_key_is_changed_without_a_message_refused() {
    let message = &bytes(IPV4)[..12];
    let (old, new) = (key(1, 0), key(2, 100));
    let sets = [
        (vec![old.clone()], 1),
        (vec![old.clone(), new.clone()], 1),
        (vec![old, new.clone()], 2),
        (vec![new], 2),
    ]
    .map(|(keys, active)| HmacKeys::new(keys, active).unwrap());
    for pair in sets.windows(2) {
        for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let trailer = sign(from, &ipv4(), message, SEQUENCE);
            let mut senders = Senders::new(AntiReplay::Monotonic);
            let verified = verify(
                to,
                HmacMode::Enforce,
                &ipv4(),
                message,
                &trailer,
                &mut senders,
                NOW,
            );
            assert_eq!(verified, Ok(true));
        }
    }
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    assert_eq!(HmacKey::new(0, &[7; 32]), Err(KeyError::Id));
    for length in [0, 31, 65] {
        let error = HmacKey::new(3, &vec![7; length]).unwrap_err();
        assert_eq!(error, KeyError::Length { id: 3, length });
    }
    assert_eq!(
        HmacKeys::new(vec![key(1, 0), key(1, 9)], 1),
        Err(KeyError::Duplicate(1))
    );
    assert_eq!(HmacKeys::new(vec![key(1, 0)], 2), Err(KeyError::Active(2)));
    assert!(!format!("{:?}", keys()).contains("31"), "{:?}", keys());
}

proptest! {
    /// Whatever the bytes, nothing panics and nothing but what was signed is accepted.
    #[test]
    fn arbitrary_bytes_are_refused(
        message in proptest::collection::vec(any::<u8>(), 0..64),
        behind in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut senders = Senders::new(AntiReplay::Monotonic);
        let judged = verify(
            &keys(),
            HmacMode::Enforce,
            &ipv4(),
            &message,
            &behind,
            &mut senders,
            NOW,
        );
        prop_assert!(judged.is_err());
    }

    /// What is signed is verified, of both families and versions.
    #[test]
    fn what_is_signed_is_verified(
        message in proptest::collection::vec(any::<u8>(), 8..64),
        number in any::<u64>(),
        is_ipv6 in any::<bool>(),
    ) {
        let binding = if is_ipv6 { ipv6() } else { ipv4() };
        let trailer = sign(&keys(), &binding, &message, Sequence::from_number(number));
        let payload = [message.as_slice(), trailer.as_slice()].concat();
        let judged = judge(&binding, &payload, message.len(), AntiReplay::Monotonic);
        prop_assert_eq!(judged, Ok(true));
    }
}
