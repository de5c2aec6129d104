//! The VRRP advertisement on the wire (RFC 9568 section 5.2, RFC 3768 section 5.1).
//!
//! ```text
//!  version 2                                version 3
//!  0: version, type      4: auth type       0: version, type     4: 0, interval (12 bit, cs)
//!  1: VRID               5: interval (s)    1: VRID
//!  2: priority           6: checksum        2: priority          6: checksum
//!  3: address count                         3: address count
//!  8: addresses, then 8 bytes auth data     8: addresses
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::authentication::SimplePassword;
use crate::checksum::{ChecksumConvention, InternetChecksum};
use crate::interval::Centiseconds;
use crate::ip::IpHeader;
use crate::reject::RejectReason;

#[cfg(test)]
mod captured;
#[cfg(test)]
mod tests;

/// IP protocol number of VRRP (IANA).
pub const IP_PROTOCOL: u8 = 112;
/// Group that IPv4 advertisements are sent to.
pub const MULTICAST_IPV4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Group that IPv6 advertisements are sent to.
pub const MULTICAST_IPV6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Priority by which an Active Router says that it gives up its role.
pub const PRIORITY_RELEASE: u8 = 0;
/// Priority of a router that owns the virtual addresses.
pub const PRIORITY_OWNER: u8 = 255;

const TYPE_ADVERTISEMENT: u8 = 1;
/// TTL or Hop Limit of what no router has forwarded (RFC 9568 sections 5.1.1.3 and 5.1.2.3).
pub(crate) const TIME_TO_LIVE: u8 = 255;
const AUTHENTICATION_NONE: u8 = 0;
const AUTHENTICATION_SIMPLE: u8 = 1;

/// Protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768: IPv4 only, whole seconds.
    V2,
    /// RFC 9568 (and RFC 5798): IPv4 and IPv6, centiseconds.
    V3,
}

/// The addresses of a virtual router, all of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Addresses {
    /// IPv4 addresses.
    V4(Vec<Ipv4Addr>),
    /// IPv6 addresses; RFC 9568 wants the first to be link-local.
    V6(Vec<Ipv6Addr>),
}

impl Addresses {
    /// Most IPv4 addresses of one advertisement: its count has 8 bits.
    pub const MAX_IPV4: usize = 255;
    /// Most IPv6 addresses that fit a 1500 byte Ethernet frame unfragmented.
    pub const MAX_IPV6: usize = 90;

    /// Number of addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::V4(addresses) => addresses.len(),
            Self::V6(addresses) => addresses.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these are IPv6 addresses.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        matches!(self, Self::V6(_))
    }
}

/// One advertisement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertisement {
    /// Protocol version.
    pub version: Version,
    /// VRID, 1 to 255.
    pub virtual_router_id: u8,
    /// Priority of the sender; see [`PRIORITY_RELEASE`] and [`PRIORITY_OWNER`].
    pub priority: u8,
    /// Advertisement interval: whole seconds up to [`Centiseconds::MAX_V2`] in version 2, up to
    /// [`Centiseconds::MAX_V3`] in version 3.
    pub interval: Centiseconds,
    /// Virtual addresses, 1 to 255.
    pub addresses: Addresses,
    /// Version 2: simple text password; `None` is authentication type 0.
    pub authentication: Option<SimplePassword>,
    /// Version 3 over IPv4: what the checksum covers. Otherwise without meaning, and
    /// [`ChecksumConvention::Rfc9568`] when decoded.
    pub checksum: ChecksumConvention,
}

impl Advertisement {
    /// The VRRP message, the payload of an IP packet from `source` to `destination`.
    ///
    /// Values beyond what the version can carry are cut to its largest; [`crate::Config::check`]
    /// keeps them from arising.
    #[must_use]
    pub fn encode(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        self.encode_with_trailer(source, destination, |_| Vec::new())
    }

    /// The VRRP message and behind it the trailer that `trailer` makes of it; the message that it is
    /// shown has a checksum of zero.
    ///
    /// Over IPv6 the checksum covers the trailer, too: receivers let the kernel verify the payload as
    /// a whole.
    pub(crate) fn encode_with_trailer(
        &self,
        source: IpAddr,
        destination: IpAddr,
        trailer: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Vec<u8> {
        let mut payload = self.message();
        let message_bytes = payload.len();
        payload.extend(trailer(&payload));
        let covered = match self.addresses {
            Addresses::V4(_) => payload.get(..message_bytes).unwrap_or(&payload),
            Addresses::V6(_) => &payload,
        };
        let mut sum = InternetChecksum::default().bytes(covered);
        if self.covers_pseudo_header() {
            sum = sum.pseudo_header(source, destination, IP_PROTOCOL, covered.len());
        }
        let checksum = sum.finish();
        if let Some(field) = payload.get_mut(6..8) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        payload
    }

    /// The message with a checksum of zero.
    fn message(&self) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let mut message = self.header(count);
        match &self.addresses {
            Addresses::V4(addresses) => {
                for address in addresses.iter().take(usize::from(count)) {
                    message.extend(address.octets());
                }
            }
            Addresses::V6(addresses) => {
                for address in addresses.iter().take(usize::from(count)) {
                    message.extend(address.octets());
                }
            }
        }
        if self.version == Version::V2 {
            message.extend(self.authentication.map_or([0; 8], SimplePassword::to_wire));
        }
        message
    }

    /// Length of the message in bytes, without a trailer.
    pub(crate) fn message_bytes(&self) -> usize {
        let (address_bytes, data_bytes) = match (&self.addresses, self.version) {
            (Addresses::V4(_), Version::V2) => (4, 8),
            (Addresses::V4(_), Version::V3) => (4, 0),
            (Addresses::V6(_), _) => (16, 0),
        };
        8 + self.addresses.len() * address_bytes + data_bytes
    }

    fn header(&self, count: u8) -> Vec<u8> {
        let (version, [fifth, sixth]) = match self.version {
            Version::V2 => {
                let seconds = u8::try_from(self.interval.count() / 100).unwrap_or(u8::MAX);
                let authentication = match self.authentication {
                    None => AUTHENTICATION_NONE,
                    Some(_) => AUTHENTICATION_SIMPLE,
                };
                (2, [authentication, seconds])
            }
            Version::V3 => {
                let interval = self.interval.min(Centiseconds::MAX_V3);
                (3, interval.count().to_be_bytes())
            }
        };
        vec![
            version << 4 | TYPE_ADVERTISEMENT,
            self.virtual_router_id,
            self.priority,
            count,
            fifth,
            sixth,
            0,
            0,
        ]
    }

    fn covers_pseudo_header(&self) -> bool {
        self.version == Version::V3
            && (self.addresses.is_ipv6() || self.checksum == ChecksumConvention::PseudoHeader)
    }

    /// Reads a VRRP message and makes every check of RFC 9568 section 7.1 (RFC 3768 section 7.1)
    /// that needs no knowledge of a configured virtual router; [`crate::Router`] makes the others.
    ///
    /// Reserved bits and bytes behind the message are ignored. Over IPv4, version 3 is accepted
    /// with either [`ChecksumConvention`].
    ///
    /// # Errors
    /// The first check that failed.
    pub fn decode(header: &IpHeader, message: &[u8]) -> Result<Self, RejectReason> {
        Self::decode_from(header, message, TIME_TO_LIVE)
    }

    /// [`Advertisement::decode`] for a TTL or Hop Limit of `minimum_ttl` or more.
    pub(crate) fn decode_from(
        header: &IpHeader,
        message: &[u8],
        minimum_ttl: u8,
    ) -> Result<Self, RejectReason> {
        check_ip(header, minimum_ttl)?;
        let &[
            version_and_type,
            virtual_router_id,
            priority,
            count,
            fifth,
            sixth,
            ..,
        ] = message.first_chunk::<8>().ok_or(RejectReason::Length)?;
        let version = match (version_and_type >> 4, header.source) {
            (2, IpAddr::V4(_)) => Version::V2,
            (3, _) => Version::V3,
            _ => return Err(RejectReason::Version),
        };
        if version_and_type & 0x0f != TYPE_ADVERTISEMENT {
            return Err(RejectReason::Type);
        }
        let address_bytes = match header.source {
            IpAddr::V4(_) => 4,
            IpAddr::V6(_) => 16,
        };
        let addresses_end = 8 + usize::from(count) * address_bytes;
        let length = match version {
            Version::V2 => addresses_end + 8,
            Version::V3 => addresses_end,
        };
        let payload = message;
        let message = payload.get(..length).ok_or(RejectReason::Length)?;
        let checksum = match check_checksum(version, header, message) {
            // Whoever puts a trailer behind the message has the kernel compute the checksum over both.
            Err(_) if header.source.is_ipv6() => check_checksum(version, header, payload)?,
            other => other?,
        };
        if count == 0 {
            return Err(RejectReason::CountZero);
        }
        if virtual_router_id == 0 {
            return Err(RejectReason::VirtualRouterId);
        }
        let (interval, authentication) = match version {
            Version::V2 => {
                let data = message.last_chunk().ok_or(RejectReason::Length)?;
                (
                    Centiseconds::from_seconds(sixth),
                    authentication(fifth, *data)?,
                )
            }
            Version::V3 => (
                Centiseconds::new(u16::from_be_bytes([fifth & 0x0f, sixth])),
                None,
            ),
        };
        if interval.count() == 0 {
            return Err(RejectReason::Interval);
        }
        let list = message.get(8..addresses_end).ok_or(RejectReason::Length)?;
        Ok(Self {
            version,
            virtual_router_id,
            priority,
            interval,
            addresses: match header.source {
                IpAddr::V4(_) => Addresses::V4(read_addresses::<4, _>(list)),
                IpAddr::V6(_) => Addresses::V6(read_addresses::<16, _>(list)),
            },
            authentication,
            checksum,
        })
    }
}

fn check_ip(header: &IpHeader, minimum_ttl: u8) -> Result<(), RejectReason> {
    let plausible = header.source.is_ipv6() == header.destination.is_ipv6()
        && !header.source.is_unspecified()
        && !header.source.is_multicast();
    if !plausible {
        return Err(RejectReason::Source);
    }
    if header.time_to_live < minimum_ttl {
        return Err(RejectReason::TimeToLive);
    }
    Ok(())
}

fn check_checksum(
    version: Version,
    header: &IpHeader,
    message: &[u8],
) -> Result<ChecksumConvention, RejectReason> {
    let plain = InternetChecksum::default().bytes(message);
    let pseudo = plain.pseudo_header(
        header.source,
        header.destination,
        IP_PROTOCOL,
        message.len(),
    );
    match (version, header.source) {
        (Version::V2, _) | (Version::V3, IpAddr::V4(_)) if plain.finish() == 0 => {
            Ok(ChecksumConvention::Rfc9568)
        }
        (Version::V3, IpAddr::V6(_)) if pseudo.finish() == 0 => Ok(ChecksumConvention::Rfc9568),
        (Version::V3, IpAddr::V4(_)) if pseudo.finish() == 0 => {
            Ok(ChecksumConvention::PseudoHeader)
        }
        _ => Err(RejectReason::Checksum),
    }
}

/// Type 2, the IP Authentication Header of RFC 2338, is obsolete and refused.
fn authentication(kind: u8, data: [u8; 8]) -> Result<Option<SimplePassword>, RejectReason> {
    match kind {
        AUTHENTICATION_NONE => Ok(None),
        AUTHENTICATION_SIMPLE => Ok(Some(SimplePassword::from_wire(data))),
        _ => Err(RejectReason::AuthenticationType),
    }
}

fn read_addresses<const BYTES: usize, A: From<[u8; BYTES]>>(list: &[u8]) -> Vec<A> {
    list.as_chunks::<BYTES>()
        .0
        .iter()
        .map(|octets| A::from(*octets))
        .collect()
}
