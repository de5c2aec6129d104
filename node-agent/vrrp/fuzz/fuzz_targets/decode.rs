//! Whatever decodes encodes to what decodes to the same.
//!
//! `cargo +nightly fuzz run decode`

#![no_main]

use libfuzzer_sys::fuzz_target;
use lvs_vrrp::ip::{IpHeader, split_ipv4};
use lvs_vrrp::{Advertisement, MULTICAST_IPV4, MULTICAST_IPV6};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, payload)) = split_ipv4(bytes) {
        round_trip(&header, payload);
    }
    let ipv4 = IpHeader {
        source: [192, 0, 2, 1].into(),
        destination: MULTICAST_IPV4.into(),
        time_to_live: 255,
    };
    round_trip(&ipv4, bytes);
    let ipv6 = IpHeader {
        source: [0xfe80, 0, 0, 0, 0, 0, 0, 1].into(),
        destination: MULTICAST_IPV6.into(),
        time_to_live: 255,
    };
    round_trip(&ipv6, bytes);
});

fn round_trip(header: &IpHeader, payload: &[u8]) {
    if let Ok(advertisement) = Advertisement::decode(header, payload) {
        let encoded = advertisement.encode(header.source, header.destination);
        assert_eq!(Advertisement::decode(header, &encoded), Ok(advertisement));
    }
}
