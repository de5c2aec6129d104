//! Ethernet frames that tell a segment where a virtual address lives now, or ask who else has it.
//!
//! The shell sends them on a packet socket: a [`frame`] per address that [`crate::Output::Announce`] names, and a
//! [`probe`] per address for [`crate::conflict::Defence::Probe`].

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
/// `ICMPv6` type of a Neighbor Solicitation (RFC 4861 section 4.3).
const NEIGHBOR_SOLICITATION: u8 = 135;
/// `ICMPv6` type of a Neighbor Advertisement (RFC 4861 section 4.4).
pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// Option of a Neighbor Advertisement (RFC 4861 section 4.6.1).
pub(crate) const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// The frame that announces `address` at `hardware`: gratuitous ARP or unsolicited Neighbor
/// Advertisement.
#[must_use]
pub fn frame(hardware: HardwareAddress, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => gratuitous_arp(hardware, address),
        IpAddr::V6(address) => unsolicited_neighbor_advertisement(hardware, address),
    }
}

/// The frame that asks who has `address`, and of which nobody learns anything: an ARP probe, or a Neighbor Solicitation
/// of duplicate address detection.
#[must_use]
pub fn probe(hardware: HardwareAddress, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp_probe(hardware, address),
        IpAddr::V6(address) => neighbor_probe(hardware, address),
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

    let mut message = vec![NEIGHBOR_ADVERTISEMENT, 0, 0, 0, ROUTER | OVERRIDE, 0, 0, 0];
    message.extend(address.octets());
    // One unit of 8 bytes.
    message.extend([TARGET_LINK_LAYER_ADDRESS, 1]);
    message.extend(hardware);
    let to = (ALL_NODES_HARDWARE, ALL_NODES);
    neighbor_message(hardware, address, to, message)
}

/// A Neighbor Solicitation for `address` whose sender has no address (RFC 4862 section 5.4.2), 78 bytes: whoever has it
/// tells all nodes.
#[must_use]
pub fn neighbor_probe(hardware: HardwareAddress, address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(address.octets());
    // RFC 4291 section 2.7.1: the solicited-node group of an address has its last 24 bits.
    let [.., a, b, c] = address.octets();
    let [high, low] = [0xff00 | u16::from(a), u16::from_be_bytes([b, c])];
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, high, low);
    let to = ([0x33, 0x33, 0xff, a, b, c], group);
    neighbor_message(hardware, Ipv6Addr::UNSPECIFIED, to, message)
}

/// The frame of a message of Neighbor Discovery, whose checksum is zero as yet.
fn neighbor_message(
    hardware: HardwareAddress,
    source: Ipv6Addr,
    (to, destination): (HardwareAddress, Ipv6Addr),
    mut message: Vec<u8>,
) -> Vec<u8> {
    let checksum = InternetChecksum::default()
        .bytes(&message)
        .pseudo_header(source.into(), destination.into(), ICMPV6, message.len())
        .finish();
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let length = u8::try_from(message.len()).unwrap_or(u8::MAX);
    let mut frame = ethernet(to, hardware, [0x86, 0xdd]);
    // Version 6, payload length, next header, hop limit 255 (RFC 4861 section 7.1).
    frame.extend([0x60, 0, 0, 0, 0, length, ICMPV6, 255]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame.extend(message);
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
