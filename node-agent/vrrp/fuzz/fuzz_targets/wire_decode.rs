//! Whatever the bytes, a router that wants an HMAC answers, and accepts nothing that was not signed; what
//! its peer signs it accepts once.
//!
//! `cargo +nightly fuzz run wire_decode`

#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lvs_vrrp::hmac::{AntiReplay, HmacKey, HmacKeys, HmacMode, HmacRejection};
use lvs_vrrp::ip::IpHeader;
use lvs_vrrp::{
    Advertisement, Authentication, Centiseconds, CheckedConfig, ChecksumConvention, Config,
    GratuitousAnnouncements, HmacConfig, LowerPriorityAdvertisement, Preemption, RejectReason,
    Transport, Version, Wire,
};

const NOW: Duration = Duration::from_secs(1_800_000_000);

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (time_to_live, is_ipv6, payload) = input;
    let (own, peer): (IpAddr, IpAddr) = if is_ipv6 {
        let address = |last| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into();
        (address(1), address(2))
    } else {
        ([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
    };
    let (Some(receiver), Some(sender)) = (config(own, peer), config(peer, own)) else {
        return;
    };
    let header = IpHeader {
        source: peer,
        destination: own,
        time_to_live,
    };
    let mut receiver = Wire::new(receiver);
    assert!(matches!(
        receiver.decode(&header, payload, NOW),
        Err(_) | Ok(None)
    ));
    // What decodes without an HMAC is accepted with one.
    let Ok(advertisement) = Advertisement::decode(&header, payload) else {
        return;
    };
    let mut sender = Wire::new(sender);
    let signed = sender.encode(&advertisement, own, NOW);
    let decoded = receiver.decode(&header, &signed, NOW);
    if advertisement.virtual_router_id == 51 {
        assert_eq!(decoded, Ok(Some(advertisement)));
        let again = receiver.decode(&header, &signed, NOW);
        assert_eq!(again, Err(RejectReason::Hmac(HmacRejection::Replay)));
    } else {
        assert_eq!(decoded, Ok(None));
    }
});

fn config(own_address: IpAddr, peer: IpAddr) -> Option<CheckedConfig> {
    let vip: IpAddr = if own_address.is_ipv4() {
        [198, 51, 100, 1].into()
    } else {
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10].into()
    };
    Config {
        virtual_router_id: 51,
        version: Version::V3,
        priority: 100,
        own_address,
        advertisement_interval: Centiseconds::new(100),
        down_advertisements: 3,
        preemption: Preemption::Never,
        preempt_delay: Duration::ZERO,
        authentication: Some(Authentication::Hmac(HmacConfig {
            keys: HmacKeys::new(vec![HmacKey::new(1, &[7; 32]).ok()?], 1).ok()?,
            anti_replay: AntiReplay::Time { window_seconds: 5 },
            mode: HmacMode::Enforce,
        })),
        transport: Transport::Unicast {
            peers: vec![peer],
            minimum_ttl: 0,
        },
        checksum: ChecksumConvention::Rfc9568,
        virtual_addresses: vec![vip],
        gratuitous: GratuitousAnnouncements::default(),
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    }
    .check()
    .ok()
}
