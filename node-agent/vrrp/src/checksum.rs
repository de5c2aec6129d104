//! The Internet checksum (RFC 1071) and what VRRP and `ICMPv6` compute it over.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What the checksum of a version 3 advertisement over IPv4 covers.
///
/// RFC 5798 could be read either way, and both readings are in use. It matters nowhere else:
/// version 2 never covers a pseudo-header, IPv6 always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumConvention {
    /// The VRRP message alone (RFC 9568 section 5.2.8).
    #[default]
    Rfc9568,
    /// A pseudo-header with the IPv4 addresses, then the message: what keepalived sends unless
    /// told `v3_checksum_as_v2`.
    PseudoHeader,
}

/// Ones-complement sum of 16-bit words that bytes are fed into.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InternetChecksum {
    sum: u64,
}

impl InternetChecksum {
    /// Adds `bytes`, padded with a zero byte if their number is odd.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(2);
        for word in &mut words {
            if let [high, low] = *word {
                self.sum += u64::from(u16::from_be_bytes([high, low]));
            }
        }
        if let [last] = *words.remainder() {
            self.sum += u64::from(u16::from_be_bytes([last, 0]));
        }
        self
    }

    /// Adds the pseudo-header of RFC 8200 section 8.1; for IPv4, that of RFC 793, whose sum is
    /// formed the same way. `length` is that of the upper-layer packet in bytes.
    pub(crate) fn pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        length: usize,
    ) -> Self {
        let mut with = self.address(source).address(destination);
        with.sum += u64::from(protocol) + length as u64;
        with
    }

    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.bytes(&address.octets()),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    /// The complement of the sum: 0 over data that contains its own correct checksum.
    pub(crate) fn finish(self) -> u16 {
        let mut sum = self.sum;
        while sum > u64::from(u16::MAX) {
            sum = (sum & u64::from(u16::MAX)) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_example_of_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(InternetChecksum::default().bytes(&data).finish(), !0xddf2);
    }

    #[test]
    fn pads_an_odd_byte_on_the_right() {
        let odd = InternetChecksum::default().bytes(&[0x12, 0x34, 0x56]);
        let even = InternetChecksum::default().bytes(&[0x12, 0x34, 0x56, 0x00]);
        assert_eq!(odd.finish(), even.finish());
    }
}
