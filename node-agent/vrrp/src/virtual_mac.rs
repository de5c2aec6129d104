//! The virtual router MAC address, and advertisements as whole Ethernet frames that come from it
//! (RFC 9568 sections 7.2 and 7.3).
//!
//! The kernel would give a packet the hardware address of the interface that it leaves through, so the
//! frame is made here and sent on a packet socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::announcement::{HardwareAddress, ethernet};
use crate::checksum::InternetChecksum;
use crate::packet::IP_PROTOCOL;

#[cfg(test)]
mod tests;

/// Precedence "internetwork control", as on the sockets of those without a virtual MAC address.
const CLASS_SELECTOR_6: u8 = 0xc0;
/// Time to live and hop limit of advertisements (RFC 9568 sections 5.1.1.3 and 5.1.2.3).
const TIME_TO_LIVE: u8 = 255;
/// Length of an IPv4 header without options.
const IPV4_HEADER_BYTES: u16 = 20;

/// The MAC address of a virtual router: 00-00-5E-00-01-{VRID} over IPv4, 00-00-5E-00-02-{VRID} over
/// IPv6. `address` is any of the family.
#[must_use]
pub fn virtual_mac(address: IpAddr, virtual_router_id: u8) -> HardwareAddress {
    let family = match address {
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    };
    [0, 0, 0x5e, 0, family, virtual_router_id]
}

/// The frame that carries an advertisement, `payload`, from `source`, an address of the interface, to
/// the group `destination`, with the hardware address `from`. `None` when the two are not of one
/// family, `destination` is no multicast group, or the payload is longer than a packet.
#[must_use]
pub fn advertisement_frame(
    from: HardwareAddress,
    source: IpAddr,
    destination: IpAddr,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len()).ok()?;
    if !destination.is_multicast() {
        return None;
    }
    let mut frame = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4(from, source, destination, length)?,
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6(from, source, destination, length),
        _ => return None,
    };
    frame.extend(payload);
    Some(frame)
}

fn ipv4(
    from: HardwareAddress,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    length: u16,
) -> Option<Vec<u8>> {
    let [_, second, third, fourth] = destination.octets();
    // RFC 1112 section 6.4: the low 23 bits of the group.
    let to = [0x01, 0, 0x5e, second & 0x7f, third, fourth];
    let [total_high, total_low] = length.checked_add(IPV4_HEADER_BYTES)?.to_be_bytes();
    let header = |checksum: u16| {
        let [high, low] = checksum.to_be_bytes();
        let mut header = vec![0x45, CLASS_SELECTOR_6, total_high, total_low];
        // No identification is needed: it is never in fragments (RFC 6864).
        header.extend([0, 0, 0x40, 0, TIME_TO_LIVE, IP_PROTOCOL, high, low]);
        header.extend(source.octets());
        header.extend(destination.octets());
        header
    };
    let checksum = InternetChecksum::default().bytes(&header(0)).finish();
    let mut frame = ethernet(to, from, [0x08, 0x00]);
    frame.extend(header(checksum));
    Some(frame)
}

fn ipv6(from: HardwareAddress, source: Ipv6Addr, destination: Ipv6Addr, length: u16) -> Vec<u8> {
    let [.., a, b, c, d] = destination.octets();
    // RFC 2464 section 7: the low 32 bits of the group.
    let mut frame = ethernet([0x33, 0x33, a, b, c, d], from, [0x86, 0xdd]);
    let [high, low] = length.to_be_bytes();
    let class = CLASS_SELECTOR_6;
    frame.extend([0x60 | class >> 4, class << 4, 0, 0]);
    frame.extend([high, low, IP_PROTOCOL, TIME_TO_LIVE]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame
}
