//! What one virtual router is told to be.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::authentication::Authentication;
use crate::checksum::ChecksumConvention;
use crate::interval::{Centiseconds, active_down_interval, heard_within};
use crate::packet::{Addresses, MULTICAST_IPV4, MULTICAST_IPV6, PRIORITY_RELEASE, Version};

#[cfg(test)]
pub(crate) mod tests;

/// Whether a Backup takes over from an Active Router of lower priority (RFC 9568, `Preempt_Mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Preemption {
    /// It waits until the Active Router is gone.
    #[default]
    Never,
    /// It takes over, once the time of [`Config::preempt_delay`] since its start has passed.
    Immediate,
}

/// What an Active Router does when it hears an advertisement that loses against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LowerPriorityAdvertisement {
    /// It answers with its own at once (RFC 9568 section 6.4.3), which ends a split sooner.
    #[default]
    Send,
    /// It goes on in its rhythm (RFC 3768 and 5798).
    Skip,
}

/// How often the virtual addresses are announced by gratuitous ARP or unsolicited Neighbor
/// Advertisement.
///
/// On becoming Active there is a burst of `count` rounds, and a second one `repeat_delay` later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GratuitousAnnouncements {
    /// Rounds of a burst, 1 to 255; a round announces every address once.
    pub count: u8,
    /// Time between the rounds of a burst; zero sends them back to back.
    pub interval: Duration,
    /// Time from the end of a burst to its repetition; zero: it is not repeated.
    pub repeat_delay: Duration,
    /// Time between single rounds while Active; zero: none.
    pub refresh: Duration,
}

/// 5 rounds back to back, again after 5 s, one round each minute.
impl Default for GratuitousAnnouncements {
    fn default() -> Self {
        Self {
            count: 5,
            interval: Duration::ZERO,
            repeat_delay: Duration::from_secs(5),
            refresh: Duration::from_mins(1),
        }
    }
}

/// How advertisements reach the other routers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// To the group of the family (RFC 9568 section 5.1).
    #[default]
    Multicast,
    /// To each peer by itself, on networks that carry no multicast. Nobody else is listened to.
    Unicast {
        /// Addresses that the other routers send from, at least one, of the family of
        /// [`Config::own_address`].
        peers: Vec<IpAddr>,
        /// Least TTL or Hop Limit of what is received: 255 accepts nothing that a router forwarded,
        /// 255 - n nothing that more than n did.
        minimum_ttl: u8,
    },
}

/// Configuration of one virtual router on one interface; [`Config::check`] makes it usable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// VRID, 1 to 255, unique per segment and address family.
    pub virtual_router_id: u8,
    /// Protocol version, the same on all routers of the VRID.
    pub version: Version,
    /// Priority, 1 to 254; the highest is preferred. 255 is the owner of the addresses, which is
    /// Active from its start on and always preempts.
    pub priority: u8,
    /// Primary address of the interface: source of advertisements and tie-breaker between equal
    /// priorities. For IPv6 link-local, unless peers are unicast. Its family is the virtual router's.
    pub own_address: IpAddr,
    /// Time between advertisements: version 3 10 ms to 40.95 s, version 2 whole seconds up to 255.
    pub advertisement_interval: Centiseconds,
    /// Advertisements that must be missing until a Backup takes over, 2 to 255 (RFCs: 3).
    pub down_advertisements: u8,
    /// Whether to take over from an Active Router of lower priority.
    pub preemption: Preemption,
    /// Time from start (or the interface's return, or the end of a drain) during which an Active
    /// Router of lower priority is left alone in spite of [`Preemption::Immediate`].
    pub preempt_delay: Duration,
    /// How advertisements are authenticated, if they are.
    pub authentication: Option<Authentication>,
    /// How advertisements reach the other routers.
    pub transport: Transport,
    /// Version 3 over IPv4: which checksum is sent; either is accepted.
    pub checksum: ChecksumConvention,
    /// Virtual addresses, at least one, all of the family of [`Config::own_address`]. Those beyond
    /// what an advertisement holds ([`Addresses::MAX_IPV4`], [`Addresses::MAX_IPV6`]) move with the
    /// others without being advertised.
    pub virtual_addresses: Vec<IpAddr>,
    /// How the virtual addresses are announced.
    pub gratuitous: GratuitousAnnouncements,
    /// What to do about an advertisement of lower priority while Active.
    pub lower_priority_advertisement: LowerPriorityAdvertisement,
}

/// A value of [`Config`] that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// VRID 0.
    #[error("virtual router ID 0: must be 1 to 255")]
    VirtualRouterId,
    /// Priority 0.
    #[error("priority 0: must be 1 to 254, or 255 for the owner of the addresses")]
    Priority,
    /// Version 2 over IPv6.
    #[error("own address {0}: version 2 is IPv4 only; use version 3")]
    VersionFamily(IpAddr),
    /// An own address that advertisements cannot come from.
    #[error(
        "own address {0}: must be a unicast address, for IPv6 a link-local one unless peers are \
         unicast"
    )]
    OwnAddress(IpAddr),
    /// An interval that version 3 cannot carry.
    #[error("advertisement interval {0}: version 3 takes 10 ms to 40950 ms")]
    IntervalV3(Centiseconds),
    /// An interval that version 2 cannot carry.
    #[error("advertisement interval {0}: version 2 takes whole seconds, 1000 ms to 255000 ms")]
    IntervalV2(Centiseconds),
    /// Too few advertisements to tell a loss from a death.
    #[error("down advertisements {0}: must be 2 to 255")]
    DownAdvertisements(u8),
    /// A password with version 3.
    #[error("simple authentication: version 3 has none; use version 2 or remove the password")]
    AuthenticationVersion,
    /// Unicast without anybody to send to.
    #[error("unicast peers: none given; name the other routers' addresses or use multicast")]
    NoPeers,
    /// A peer that cannot be one.
    #[error(
        "unicast peer {0}: must be a unicast address of the own address's family and another than \
         the own address"
    )]
    Peer(IpAddr),
    /// A peer that stands in the list twice.
    #[error("unicast peer {0}: given twice")]
    DuplicatePeer(IpAddr),
    /// No virtual address.
    #[error("virtual addresses: none given; a virtual router needs at least one")]
    NoAddresses,
    /// A virtual address that cannot be one.
    #[error(
        "virtual address {0}: must be a unicast address of the own address's family and another \
         than the own address"
    )]
    Address(IpAddr),
    /// A virtual address that stands in the list twice.
    #[error("virtual address {0}: given twice")]
    DuplicateAddress(IpAddr),
    /// No announcement at all.
    #[error("gratuitous announcement count 0: must be 1 to 255")]
    GratuitousCount,
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// The first value found that cannot be.
    pub fn check(self) -> Result<CheckedConfig, ConfigError> {
        if self.virtual_router_id == 0 {
            return Err(ConfigError::VirtualRouterId);
        }
        if self.priority == PRIORITY_RELEASE {
            return Err(ConfigError::Priority);
        }
        self.check_own_address()?;
        self.check_interval()?;
        if self.down_advertisements < 2 {
            return Err(ConfigError::DownAdvertisements(self.down_advertisements));
        }
        if self.version == Version::V3
            && matches!(self.authentication, Some(Authentication::Simple(_)))
        {
            return Err(ConfigError::AuthenticationVersion);
        }
        if self.gratuitous.count == 0 {
            return Err(ConfigError::GratuitousCount);
        }
        self.check_peers()?;
        self.check_virtual_addresses()?;
        Ok(CheckedConfig(self))
    }

    fn check_own_address(&self) -> Result<(), ConfigError> {
        if self.version == Version::V2 && self.own_address.is_ipv6() {
            return Err(ConfigError::VersionFamily(self.own_address));
        }
        let usable = match self.own_address {
            IpAddr::V4(address) => is_unicast(address.into()),
            IpAddr::V6(address) => match self.transport {
                Transport::Multicast => address.is_unicast_link_local(),
                Transport::Unicast { .. } => is_unicast(address.into()),
            },
        };
        if usable {
            Ok(())
        } else {
            Err(ConfigError::OwnAddress(self.own_address))
        }
    }

    fn check_interval(&self) -> Result<(), ConfigError> {
        let interval = self.advertisement_interval;
        match self.version {
            Version::V3 if interval.count() == 0 || interval > Centiseconds::MAX_V3 => {
                Err(ConfigError::IntervalV3(interval))
            }
            Version::V2
                if interval.count() == 0
                    || interval > Centiseconds::MAX_V2
                    || !interval.count().is_multiple_of(100) =>
            {
                Err(ConfigError::IntervalV2(interval))
            }
            _ => Ok(()),
        }
    }

    fn check_peers(&self) -> Result<(), ConfigError> {
        let Transport::Unicast { peers, .. } = &self.transport else {
            return Ok(());
        };
        if peers.is_empty() {
            return Err(ConfigError::NoPeers);
        }
        let mut seen = HashSet::new();
        for &peer in peers {
            if !self.is_another(peer) {
                return Err(ConfigError::Peer(peer));
            }
            if !seen.insert(peer) {
                return Err(ConfigError::DuplicatePeer(peer));
            }
        }
        Ok(())
    }

    /// Whether `address` is a unicast address of this router's family, and not its own.
    fn is_another(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.own_address.is_ipv6()
            && is_unicast(address)
            && address != self.own_address
    }

    fn check_virtual_addresses(&self) -> Result<(), ConfigError> {
        if self.virtual_addresses.is_empty() {
            return Err(ConfigError::NoAddresses);
        }
        let mut seen = HashSet::new();
        for &address in &self.virtual_addresses {
            if !self.is_another(address) {
                return Err(ConfigError::Address(address));
            }
            if !seen.insert(address) {
                return Err(ConfigError::DuplicateAddress(address));
            }
        }
        Ok(())
    }
}

fn is_unicast(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

/// A [`Config`] whose values are all possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Config", into = "Config")]
pub struct CheckedConfig(Config);

impl TryFrom<Config> for CheckedConfig {
    type Error = ConfigError;

    fn try_from(config: Config) -> Result<Self, Self::Error> {
        config.check()
    }
}

impl From<CheckedConfig> for Config {
    fn from(config: CheckedConfig) -> Self {
        config.0
    }
}

impl Deref for CheckedConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

impl CheckedConfig {
    /// Where advertisements go: the multicast group of the virtual router's family, or its peers.
    #[must_use]
    pub fn destinations(&self) -> Vec<IpAddr> {
        match (&self.0.transport, self.0.own_address) {
            (Transport::Multicast, IpAddr::V4(_)) => vec![MULTICAST_IPV4.into()],
            (Transport::Multicast, IpAddr::V6(_)) => vec![MULTICAST_IPV6.into()],
            (Transport::Unicast { peers, .. }, _) => peers.clone(),
        }
    }

    /// How long after its last advertisement an Active Router that was interrupted may go on as
    /// Active ([`crate::Input::StartActive`]): less than the time after which the quickest Backup
    /// takes over.
    #[must_use]
    pub fn resume_within(&self) -> Duration {
        self.0.advertisement_interval.duration() * u32::from(self.0.down_advertisements)
    }

    /// How long after its last advertisement an Active Router that was itself stopped may have a
    /// successor: what a Backup of the same priority waits. One of a higher priority waits less; but
    /// it is in the right, and what it advertised meanwhile is to be handed in first.
    #[must_use]
    pub fn succeeded_after(&self) -> Duration {
        self.down_interval(self.0.priority, self.0.advertisement_interval)
    }

    /// How long after its last advertisement an Active Router that was itself stopped steps back before it
    /// speaks although it has heard nobody. Until then nobody heard is nobody there, and who is
    /// silent on suspicion only makes a successor.
    #[must_use]
    pub fn stalled_after(&self) -> Duration {
        self.succeeded_after() + heard_within(self.0.advertisement_interval)
    }

    /// How long a router of this configuration and `priority` waits for an Active Router that
    /// advertises every `interval`.
    pub(crate) fn down_interval(&self, priority: u8, interval: Centiseconds) -> Duration {
        active_down_interval(
            self.0.version,
            priority,
            interval,
            self.0.down_advertisements,
        )
    }

    /// The addresses that the advertisement names: as many as fit, of IPv6 the link-local ones
    /// first (RFC 9568 section 5.2.9).
    pub(crate) fn advertised(&self) -> Addresses {
        let all = &self.0.virtual_addresses;
        if self.0.own_address.is_ipv4() {
            let addresses = all.iter().filter_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            });
            return Addresses::V4(addresses.take(Addresses::MAX_IPV4).collect());
        }
        let mut addresses: Vec<Ipv6Addr> = all
            .iter()
            .filter_map(|address| match address {
                IpAddr::V6(address) => Some(*address),
                IpAddr::V4(_) => None,
            })
            .collect();
        addresses.sort_by_key(|address| !address.is_unicast_link_local());
        addresses.truncate(Addresses::MAX_IPV6);
        Addresses::V6(addresses)
    }

    /// Whether `other` speaks differently on the wire, so that neither router can be expected to
    /// understand the other before both have changed.
    pub(crate) fn speaks_differently(&self, other: &Self) -> bool {
        self.0.version != other.0.version
            || self.0.virtual_router_id != other.0.virtual_router_id
            || self.0.own_address.is_ipv6() != other.0.own_address.is_ipv6()
            || self.0.advertisement_interval != other.0.advertisement_interval
            || self.0.down_advertisements != other.0.down_advertisements
            || self.0.authentication != other.0.authentication
            || self.0.transport != other.0.transport
    }
}
