//! Ethernet frames that tell a segment where a virtual address lives now.
//!
//! The shell sends them on a packet socket, one per address that [`crate::Output::Announce`] names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::InternetChecksum;

#[cfg(test)]
mod tests;

/// A hardware (MAC) address.
pub type HardwareAddress = [u8; 6];

const BROADCAST: HardwareAddress = [0xff; 6];
/// `ff02::1` as Ethernet multicast (RFC 2464 section 7).
const ALL_NODES_HARDWARE: HardwareAddress = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;
/// Length of a Neighbor Advertisement with one link-layer address option.
const NEIGHBOR_ADVERTISEMENT_BYTES: u8 = 32;

/// The frame that announces `address` at `hardware`: gratuitous ARP or unsolicited Neighbor
/// Advertisement.
#[must_use]
pub fn frame(hardware: HardwareAddress, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => gratuitous_arp(hardware, address),
        IpAddr::V6(address) => unsolicited_neighbor_advertisement(hardware, address),
    }
}

/// A broadcast ARP request with the virtual address as sender and as target (RFC 9568 section
/// 6.4.2 with errata 7947 and 7949), 42 bytes.
///
/// The target hardware address means nothing in a request; it is zero as in RFC 5227.
#[must_use]
pub fn gratuitous_arp(hardware: HardwareAddress, address: Ipv4Addr) -> Vec<u8> {
    arp_request(hardware, address, address)
}

/// A broadcast ARP request for `address` whose sender has no address (RFC 5227 section 1.1), 42 bytes: whoever has
/// it answers, and nobody learns anything.
#[must_use]
pub fn arp_probe(hardware: HardwareAddress, address: Ipv4Addr) -> Vec<u8> {
    arp_request(hardware, Ipv4Addr::UNSPECIFIED, address)
}

fn arp_request(hardware: HardwareAddress, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, hardware, [0x08, 0x06]);
    // Ethernet, IPv4, lengths 6 and 4, operation 1 (request).
    frame.extend([0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01]);
    frame.extend(hardware);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

/// A Neighbor Advertisement to all nodes with Router and Override set and Solicited clear (RFC 9568
/// section 6.4.2), from the virtual address itself, 86 bytes.
#[must_use]
pub fn unsolicited_neighbor_advertisement(hardware: HardwareAddress, address: Ipv6Addr) -> Vec<u8> {
    const ROUTER: u8 = 0x80;
    const OVERRIDE: u8 = 0x20;

    let message = |checksum: u16| {
        let [high, low] = checksum.to_be_bytes();
        let mut message = vec![136, 0, high, low, ROUTER | OVERRIDE, 0, 0, 0];
        message.extend(address.octets());
        // Option 2, target link-layer address, one unit of 8 bytes.
        message.extend([2, 1]);
        message.extend(hardware);
        message
    };
    let checksum = InternetChecksum::default()
        .bytes(&message(0))
        .pseudo_header(
            address.into(),
            ALL_NODES.into(),
            ICMPV6,
            usize::from(NEIGHBOR_ADVERTISEMENT_BYTES),
        )
        .finish();

    let mut frame = ethernet(ALL_NODES_HARDWARE, hardware, [0x86, 0xdd]);
    // Version 6, payload length, next header, hop limit 255 (RFC 4861 section 7.1.2).
    frame.extend([0x60, 0, 0, 0, 0, NEIGHBOR_ADVERTISEMENT_BYTES, ICMPV6, 255]);
    frame.extend(address.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(message(checksum));
    frame
}

/// The header of a frame, with room for what follows.
pub(crate) fn ethernet(to: HardwareAddress, from: HardwareAddress, ether_type: [u8; 2]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(86);
    frame.extend(to);
    frame.extend(from);
    frame.extend(ether_type);
    frame
}
