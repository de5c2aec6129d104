//! Why a received packet did not count.

use serde::{Deserialize, Serialize};

use crate::hmac::HmacRejection;

/// Why a received packet was discarded; each reason is one value of a metric's label.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    thiserror::Error,
    Serialize,
    Deserialize,
)]
#[non_exhaustive]
pub enum RejectReason {
    /// The IP header is cut off or contradicts itself.
    #[error("IP header is malformed")]
    IpHeader,
    /// The IP payload is not VRRP (protocol 112).
    #[error("IP protocol is not 112")]
    IpProtocol,
    /// Source or destination address cannot be that of an advertisement: unspecified, multicast
    /// source, families that differ, or IPv6 from another than a link-local address (RFC 9568
    /// section 5.1.2.1).
    #[error("source address cannot be an advertising router's")]
    Source,
    /// TTL or Hop Limit is not 255: the packet came through a router (RFC 9568 section 7.1). With
    /// unicast peers it is below the minimum that is configured.
    #[error("TTL or Hop Limit is not 255, or below the minimum configured")]
    TimeToLive,
    /// Neither version 2 nor 3, version 2 over IPv6, or not the version configured.
    #[error("VRRP version is not the one configured")]
    Version,
    /// Type is not 1 (ADVERTISEMENT).
    #[error("VRRP type is not ADVERTISEMENT")]
    Type,
    /// The packet is shorter than its header, addresses and authentication data.
    #[error("packet is shorter than it says")]
    Length,
    /// The checksum is wrong.
    #[error("checksum is wrong")]
    Checksum,
    /// The advertisement names no address (RFC 9568 section 5.2.5, erratum 8299).
    #[error("address count is 0")]
    CountZero,
    /// VRID 0, or not the VRID or the address family of this router.
    #[error("VRID or address family is not this virtual router's")]
    VirtualRouterId,
    /// The interval is 0 or, in version 2, not the one configured (RFC 3768 section 7.1).
    #[error("advertisement interval is not the one configured")]
    Interval,
    /// Version 2: the authentication type is unknown or not the one configured.
    #[error("authentication type is not the one configured")]
    AuthenticationType,
    /// Version 2: the password is not the one configured.
    #[error("authentication data is not the one configured")]
    AuthenticationData,
    /// The packet bears this router's own address: looped back, or the address is in use twice.
    #[error("source address is this router's own")]
    OwnSource,
    /// Version 2: this router owns the addresses and listens to nobody (RFC 3768 section 7.1).
    #[error("this router owns the addresses")]
    Owner,
    /// Unicast: the sender is none of the peers.
    #[error("source address is no unicast peer's")]
    Peer,
    /// Its HMAC trailer, or the lack of one.
    #[error(transparent)]
    Hmac(#[from] HmacRejection),
}

impl RejectReason {
    /// Every reason, for metrics that exist before the first packet.
    pub const ALL: [Self; 22] = [
        Self::IpHeader,
        Self::IpProtocol,
        Self::Source,
        Self::TimeToLive,
        Self::Version,
        Self::Type,
        Self::Length,
        Self::Checksum,
        Self::CountZero,
        Self::VirtualRouterId,
        Self::Interval,
        Self::AuthenticationType,
        Self::AuthenticationData,
        Self::OwnSource,
        Self::Owner,
        Self::Peer,
        Self::Hmac(HmacRejection::Missing),
        Self::Hmac(HmacRejection::Malformed),
        Self::Hmac(HmacRejection::Stale),
        Self::Hmac(HmacRejection::Key),
        Self::Hmac(HmacRejection::Digest),
        Self::Hmac(HmacRejection::Replay),
    ];

    /// The reason as the value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::IpHeader => "ip_header",
            Self::IpProtocol => "ip_protocol",
            Self::Source => "source",
            Self::TimeToLive => "ttl",
            Self::Version => "version",
            Self::Type => "type",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::CountZero => "count_zero",
            Self::VirtualRouterId => "vrid",
            Self::Interval => "interval",
            Self::AuthenticationType => "auth_type",
            Self::AuthenticationData => "auth_data",
            Self::OwnSource => "own_source",
            Self::Owner => "owner",
            Self::Peer => "peer",
            Self::Hmac(reason) => reason.label(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let labels: HashSet<_> = RejectReason::ALL
            .iter()
            .map(|reason| reason.label())
            .collect();
        assert_eq!(labels.len(), RejectReason::ALL.len());
    }
}
