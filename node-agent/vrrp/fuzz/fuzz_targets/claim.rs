//! An address that is claimed and then announced is claimed by the announcement.
//!
//! `cargo +nightly fuzz run claim`

#![no_main]

use libfuzzer_sys::fuzz_target;
use lvs_vrrp::announcement::{gratuitous_arp, unsolicited_neighbor_advertisement};
use lvs_vrrp::conflict::{arp_claim, neighbor_claim};

const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

fuzz_target!(|packet: &[u8]| {
    if let Some((address, hardware)) = arp_claim(packet) {
        let frame = gratuitous_arp(hardware, address);
        assert_eq!(arp_claim(&frame[ETHERNET_HEADER..]), Some((address, hardware)));
    }
    if let Some((address, hardware)) = neighbor_claim(packet) {
        let frame = unsolicited_neighbor_advertisement(hardware, address);
        let message = &frame[ETHERNET_HEADER + IPV6_HEADER..];
        assert_eq!(neighbor_claim(message), Some((address, hardware)));
    }
});
