//! Authentication of advertisements by HMAC-SHA256, as keepalived 2.4 does it (`auth_hmac`): a
//! trailer behind the VRRP message, for both versions and both families.
//!
//! ```text
//!  0: scheme (1)      4: seconds since the Unix epoch
//!  1: key id          8: 1/2^16 seconds
//!  2: 0, 0           10: counter within them
//!                    12: the first 16 bytes of the HMAC
//! ```
//!
//! The HMAC covers a pseudo header (family, version, VRID, 0, source address in 16 bytes), the message
//! with its checksum taken as zero, and the trailer with its last 16 bytes taken as zero. It does not
//! cover the destination: one signed message goes to every peer. Over IPv4 the checksum of the message
//! does not cover the trailer; over IPv6 it does.
//!
//! Bytes 4 to 11 are one number that grows from message to message. Because it begins with the time,
//! a sender that was restarted goes on above what it sent before, without a record on disk.
//!
//! Time of day is handed in as the time since the Unix epoch (`CLOCK_REALTIME`).

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use ::hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::disguise;
use crate::packet::Version;

mod replay;
#[cfg(test)]
mod tests;

pub use replay::{AntiReplay, Senders, Sequence};

/// Length of the trailer in bytes.
pub const TRAILER_BYTES: usize = 28;

const SCHEME_SHA256: u8 = 1;
const CHECKSUM_AT: usize = 6;
const PREFIX_BYTES: usize = 12;
const DIGEST_BYTES: usize = 16;

/// A key that all routers of a VRID share.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacKey {
    id: u8,
    #[serde(serialize_with = "disguise::serialize")]
    secret: Vec<u8>,
}

/// Does not show the secret.
impl fmt::Debug for HmacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HmacKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A key or a set of keys that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Key id 0.
    #[error("HMAC key id 0: must be 1 to 255")]
    Id,
    /// A secret that is too short to be safe, or longer than peers take.
    #[error("HMAC key {id} of {length} bytes: must be 32 to 64 bytes of random data")]
    Length {
        /// Id of the key.
        id: u8,
        /// Length of its secret in bytes.
        length: usize,
    },
    /// An id that stands in the set twice.
    #[error("HMAC key id {0}: given twice")]
    Duplicate(u8),
    /// The key to sign with is not in the set.
    #[error("active HMAC key {0}: no key has this id")]
    Active(u8),
}

impl HmacKey {
    /// A key with `id` from 1 to 255 and a secret of 32 to 64 bytes.
    ///
    /// # Errors
    /// The id is 0, or the secret has another length.
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, KeyError> {
        let length = secret.len();
        if id == 0 {
            return Err(KeyError::Id);
        }
        if !(32..=64).contains(&length) {
            return Err(KeyError::Length { id, length });
        }
        Ok(Self {
            id,
            secret: secret.to_vec(),
        })
    }
}

/// The keys of a router: it signs with one and verifies with all. A key is changed in three steps, each
/// on all routers before the next: add it, make it the active one, remove the old one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacKeys {
    keys: Vec<HmacKey>,
    active: HmacKey,
}

impl HmacKeys {
    /// A set of keys of which the one with id `active` signs.
    ///
    /// # Errors
    /// Two keys have the same id, or none has the id `active`.
    pub fn new(keys: Vec<HmacKey>, active: u8) -> Result<Self, KeyError> {
        for (place, key) in keys.iter().enumerate() {
            if keys.iter().take(place).any(|other| other.id == key.id) {
                return Err(KeyError::Duplicate(key.id));
            }
        }
        let found = keys.iter().find(|key| key.id == active).cloned();
        let active = found.ok_or(KeyError::Active(active))?;
        Ok(Self { keys, active })
    }
}

/// How far authentication has been introduced: in this order, each step on all routers before the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HmacMode {
    /// Sends no trailer; accepts messages without one.
    ReceiveOnly,
    /// Sends trailers; accepts messages without one.
    Permissive,
    /// Sends trailers; accepts nothing without one.
    #[default]
    Enforce,
}

impl HmacMode {
    /// Whether advertisements are signed.
    #[must_use]
    pub const fn sends(self) -> bool {
        !matches!(self, Self::ReceiveOnly)
    }
}

/// Why a trailer, or its absence, was not accepted; each reason is one value of a metric's label.
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
pub enum HmacRejection {
    /// There is none, and [`HmacMode::Enforce`] wants one.
    #[error("advertisement has no HMAC trailer")]
    Missing,
    /// Another scheme than 1, or reserved bits that are set.
    #[error("HMAC trailer is malformed")]
    Malformed,
    /// Its time differs from ours by more than the window.
    #[error("HMAC trailer's time is not the present")]
    Stale,
    /// No key has its id.
    #[error("HMAC key id is not known")]
    Key,
    /// The HMAC is another: the key, the sender or the content is not what it claims.
    #[error("HMAC is wrong")]
    Digest,
    /// Its number is not above the last one of this sender.
    #[error("HMAC trailer was received before")]
    Replay,
}

impl HmacRejection {
    /// The reason as the value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "hmac_missing",
            Self::Malformed => "hmac_malformed",
            Self::Stale => "hmac_stale",
            Self::Key => "hmac_key",
            Self::Digest => "hmac_digest",
            Self::Replay => "hmac_replay",
        }
    }
}

/// What a message is bound to beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Protocol version.
    pub version: Version,
    /// VRID.
    pub virtual_router_id: u8,
    /// Source address of the IP packet.
    pub source: IpAddr,
}

impl Binding {
    fn pseudo_header(&self) -> [u8; 20] {
        let version = match self.version {
            Version::V2 => 2,
            Version::V3 => 3,
        };
        let mut header = [0; 20];
        let (fields, address) = header.split_at_mut(4);
        let family = match self.source {
            IpAddr::V4(source) => {
                let (used, _) = address.split_at_mut(4);
                used.copy_from_slice(&source.octets());
                4
            }
            IpAddr::V6(source) => {
                address.copy_from_slice(&source.octets());
                6
            }
        };
        fields.copy_from_slice(&[family, version, self.virtual_router_id, 0]);
        header
    }
}

/// The trailer of `message`, signed with the active key.
#[must_use]
pub fn sign(
    keys: &HmacKeys,
    binding: &Binding,
    message: &[u8],
    sequence: Sequence,
) -> [u8; TRAILER_BYTES] {
    let mut trailer = [0; TRAILER_BYTES];
    let (prefix, digest) = trailer.split_at_mut(PREFIX_BYTES);
    let (head, number) = prefix.split_at_mut(4);
    head.copy_from_slice(&[SCHEME_SHA256, keys.active.id, 0, 0]);
    number.copy_from_slice(&sequence.number().to_be_bytes());
    if let Some(mac) = mac(&keys.active, binding, message, prefix) {
        let bytes = mac.finalize().into_bytes();
        for (to, from) in digest.iter_mut().zip(bytes) {
            *to = from;
        }
    }
    trailer
}

/// Verifies what stands behind `message` in the payload of a packet, and remembers its number.
///
/// `Ok(false)` is a message without a trailer that `mode` accepts.
///
/// # Errors
/// The first check that failed. What is cheap is checked before what costs a digest, and the number
/// is remembered only when all else is right.
pub fn verify(
    keys: &HmacKeys,
    mode: HmacMode,
    binding: &Binding,
    message: &[u8],
    behind: &[u8],
    senders: &mut Senders,
    time_of_day: Duration,
) -> Result<bool, HmacRejection> {
    let Some(trailer) = behind.first_chunk::<TRAILER_BYTES>() else {
        return match mode {
            HmacMode::Enforce => Err(HmacRejection::Missing),
            HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(false),
        };
    };
    let (prefix, digest) = trailer.split_at(PREFIX_BYTES);
    let &[scheme, key_id, 0, 0, ref number @ ..] = prefix else {
        return Err(HmacRejection::Malformed);
    };
    let Ok(number) = <[u8; 8]>::try_from(number) else {
        return Err(HmacRejection::Malformed);
    };
    if scheme != SCHEME_SHA256 {
        return Err(HmacRejection::Malformed);
    }
    let sequence = Sequence::from_number(u64::from_be_bytes(number));
    if !senders.anti_replay().is_fresh(sequence, time_of_day) {
        return Err(HmacRejection::Stale);
    }
    let key = keys.keys.iter().find(|key| key.id == key_id);
    let key = key.ok_or(HmacRejection::Key)?;
    let is_right = mac(key, binding, message, prefix)
        .is_some_and(|mac| mac.verify_truncated_left(digest).is_ok());
    if !is_right {
        return Err(HmacRejection::Digest);
    }
    if senders.accept(binding.source, sequence, time_of_day) {
        Ok(true)
    } else {
        Err(HmacRejection::Replay)
    }
}

/// `None` never happens: an HMAC takes a key of any length.
fn mac(key: &HmacKey, binding: &Binding, message: &[u8], prefix: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.secret).ok()?;
    mac.update(&binding.pseudo_header());
    let (before, rest) = message.split_at_checked(CHECKSUM_AT)?;
    let (_checksum, after) = rest.split_at_checked(2)?;
    mac.update(before);
    mac.update(&[0; 2]);
    mac.update(after);
    mac.update(prefix);
    mac.update(&[0; DIGEST_BYTES]);
    Some(mac)
}
