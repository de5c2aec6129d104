//! An address that is claimed and then announced is claimed by the announcement.
//!
//! `cargo +nightly fuzz run claim`

#![no_main]

use libfuzzer_sys::fuzz_target;
use lvs_vrrp::announcement::gratuitous_arp;
use lvs_vrrp::conflict::claim;

const ETHERNET_HEADER: usize = 14;

fuzz_target!(|packet: &[u8]| {
    if let Some((address, hardware)) = claim(packet) {
        let frame = gratuitous_arp(hardware, address);
        assert_eq!(claim(&frame[ETHERNET_HEADER..]), Some((address, hardware)));
    }
});
