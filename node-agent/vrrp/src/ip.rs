//! The IP header around an advertisement, as far as VRRP looks at it.

use std::net::{IpAddr, Ipv4Addr};

use crate::packet::IP_PROTOCOL;
use crate::reject::RejectReason;

/// What a receiver must know of the IP header. For IPv6 the shell takes it from the socket's
/// ancillary data, for IPv4 [`split_ipv4`] reads it from the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Source address: the sender's primary address.
    pub source: IpAddr,
    /// Destination address; version 3 may cover it with its checksum.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub time_to_live: u8,
}

/// Splits what an IPv4 raw socket receives into header and payload. Options are skipped, and bytes
/// behind the packet's total length are left out.
///
/// # Errors
/// [`RejectReason::IpHeader`] if header or total length do not fit the bytes,
/// [`RejectReason::IpProtocol`] if the payload is not VRRP.
pub fn split_ipv4(packet: &[u8]) -> Result<(IpHeader, &[u8]), RejectReason> {
    let fixed = packet.first_chunk::<20>().ok_or(RejectReason::IpHeader)?;
    let &[
        version_and_length,
        _,
        total_high,
        total_low,
        _,
        _,
        _,
        _,
        time_to_live,
        protocol,
        _,
        _,
        ref addresses @ ..,
    ] = fixed;
    let header_length = usize::from(version_and_length & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([total_high, total_low]));
    if version_and_length >> 4 != 4 || header_length < fixed.len() {
        return Err(RejectReason::IpHeader);
    }
    let payload = packet
        .get(header_length..total_length)
        .ok_or(RejectReason::IpHeader)?;
    if protocol != IP_PROTOCOL {
        return Err(RejectReason::IpProtocol);
    }
    let [s0, s1, s2, s3, d0, d1, d2, d3] = *addresses;
    let header = IpHeader {
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        time_to_live,
    };
    Ok((header, payload))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of 24 bytes (one word of options), two bytes of payload, padding of a short frame.
    const WITH_OPTIONS: [u8; 30] = [
        0x46, 0xc0, 0, 26, 0, 1, 0, 0, 255, 112, 0, 0, 192, 0, 2, 1, 224, 0, 0, 18, 1, 1, 1, 0,
        0xaa, 0xbb, 0, 0, 0, 0,
    ];

    #[test]
    fn honours_options_and_total_length() {
        let (header, payload) = split_ipv4(&WITH_OPTIONS).unwrap();
        assert_eq!(payload, [0xaa, 0xbb]);
        assert_eq!(header.source, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(header.destination, IpAddr::from([224, 0, 0, 18]));
        assert_eq!(header.time_to_live, 255);
    }

    #[test]
    fn refuses_headers_that_contradict_themselves() {
        let changed = |index: usize, value: u8| {
            let mut packet = WITH_OPTIONS;
            packet[index] = value;
            split_ipv4(&packet).map(|_| ())
        };
        assert_eq!(changed(0, 0x66), Err(RejectReason::IpHeader), "version 6");
        assert_eq!(
            changed(0, 0x44),
            Err(RejectReason::IpHeader),
            "16 bytes of header"
        );
        assert_eq!(
            changed(3, 31),
            Err(RejectReason::IpHeader),
            "longer than received"
        );
        assert_eq!(
            changed(3, 23),
            Err(RejectReason::IpHeader),
            "shorter than its header"
        );
        assert_eq!(changed(9, 17), Err(RejectReason::IpProtocol), "UDP");
        assert_eq!(split_ipv4(&WITH_OPTIONS[..19]), Err(RejectReason::IpHeader));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((_, payload)) = split_ipv4(&packet) {
                prop_assert!(payload.len() + 20 <= packet.len());
            }
        }
    }
}
