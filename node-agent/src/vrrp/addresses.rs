//! Addresses as rtnetlink messages (`linux/if_addr.h`), and which of them are ours. No sockets.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

/// `IFA_PROTO` of the addresses that agents add: `v`. Kernels before 5.18 do not keep it.
pub const ADDRESS_PROTOCOL: u8 = b'v';

/// Shortest lifetime of a VIP in seconds: the kernel counts whole ones, and refreshes need room.
const SHORTEST_LIFETIME_SECONDS: u64 = 2;

/// A VIP with the interface that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vip {
    /// Interface index.
    pub interface_index: u32,
    /// The VIP.
    pub address: IpAddr,
    /// Prefix length, at most 32 or 128.
    pub prefix_length: u8,
}

/// An address as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelAddress {
    /// Address, prefix and interface.
    pub vip: Vip,
    /// `IFA_PROTO`; absent when the kernel names none.
    pub protocol: Option<u8>,
    /// Whether it lasts until it is deleted.
    pub permanent: bool,
    /// `IFA_F_NOPREFIXROUTE`.
    pub no_prefix_route: bool,
    /// When its lifetime was last set, in 1/100 s since the machine started.
    pub refreshed_centiseconds: u32,
}

impl KernelAddress {
    /// Reads an address message; `None` when it carries no address.
    #[must_use]
    pub fn from_message(message: &AddressMessage) -> Option<Self> {
        let mut local = None;
        let mut address = None;
        let mut protocol = None;
        let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
        let mut refreshed_centiseconds = 0;
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(value) => local = Some(*value),
                AddressAttribute::Address(value) => address = Some(*value),
                AddressAttribute::Protocol(value) => protocol = Some(u8::from(*value)),
                AddressAttribute::Flags(value) => flags = *value,
                AddressAttribute::CacheInfo(value) => refreshed_centiseconds = value.tstamp,
                _ => {}
            }
        }
        Some(Self {
            vip: Vip {
                interface_index: message.header.index,
                address: local.or(address)?,
                prefix_length: message.header.prefix_len,
            },
            protocol,
            permanent: flags.contains(AddressFlags::Permanent),
            no_prefix_route: flags.contains(AddressFlags::Noprefixroute),
            refreshed_centiseconds,
        })
    }

    /// Whether an agent's VRRP thread added it. VIPs on a director have a lifetime; those on a real
    /// server's loopback are permanent and not this thread's. Where the kernel keeps no protocol, a
    /// planned VIP of this shape is taken for ours.
    #[must_use]
    pub fn is_ours(&self, planned: bool) -> bool {
        match self.protocol {
            Some(protocol) => protocol == ADDRESS_PROTOCOL && !self.permanent,
            None => planned && !self.permanent && self.no_prefix_route,
        }
    }

    /// Time since its lifetime was last set, rather too long than too short; zero when the clocks
    /// disagree.
    #[must_use]
    pub fn age(&self, now: Duration) -> Duration {
        let now_centiseconds = u32::try_from(now.as_millis().div_ceil(10) % (1 << 32)).unwrap_or(0);
        let age = now_centiseconds.wrapping_sub(self.refreshed_centiseconds);
        // The upper half of the range is a time stamp slightly in the future.
        if age > u32::MAX / 2 {
            Duration::ZERO
        } else {
            Duration::from_millis(u64::from(age) * 10)
        }
    }
}

/// Lifetime that a VIP gets at each refresh: until the slowest peer has taken over, which waits
/// `down_interval`. A VIP that went earlier would leave a gap; one that stayed much longer would be on
/// two nodes.
#[must_use]
pub fn lifetime_seconds(down_interval: Duration) -> u32 {
    let whole = down_interval.as_secs() + u64::from(down_interval.subsec_nanos() > 0);
    // Less than the value that stands for ever.
    u32::try_from(whole.max(SHORTEST_LIFETIME_SECONDS)).unwrap_or(u32::MAX - 1)
}

/// What to do with a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add it; an address that is already there is an error (`EEXIST`).
    Add {
        /// The VIP.
        vip: Vip,
        /// Seconds until the kernel removes it.
        lifetime_seconds: u32,
    },
    /// Set its lifetime anew, adding it if it is gone.
    Refresh {
        /// The VIP.
        vip: Vip,
        /// Seconds until the kernel removes it.
        lifetime_seconds: u32,
    },
    /// Delete it.
    Delete {
        /// The VIP.
        vip: Vip,
    },
}

impl Change {
    /// The VIP that it is about.
    #[must_use]
    pub fn vip(&self) -> Vip {
        match *self {
            Self::Add { vip, .. } | Self::Refresh { vip, .. } | Self::Delete { vip } => vip,
        }
    }

    /// Appends the change as one netlink message with the given sequence number.
    pub fn encode(&self, sequence: u32, buffer: &mut Vec<u8>) {
        let vip = self.vip();
        let mut message = AddressMessage::default();
        message.header.family = match vip.address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        message.header.prefix_len = vip.prefix_length;
        message.header.index = vip.interface_index;
        message.attributes = vec![
            AddressAttribute::Local(vip.address),
            AddressAttribute::Address(vip.address),
        ];
        let (payload, flags) = match *self {
            Self::Add {
                lifetime_seconds, ..
            } => {
                message.attributes.extend(lifetime(vip, lifetime_seconds));
                (
                    RouteNetlinkMessage::NewAddress(message),
                    NLM_F_CREATE | NLM_F_EXCL,
                )
            }
            Self::Refresh {
                lifetime_seconds, ..
            } => {
                message.attributes.extend(lifetime(vip, lifetime_seconds));
                (
                    RouteNetlinkMessage::NewAddress(message),
                    NLM_F_CREATE | NLM_F_REPLACE,
                )
            }
            Self::Delete { .. } => (RouteNetlinkMessage::DelAddress(message), 0),
        };
        append(payload, NLM_F_REQUEST | flags, sequence, buffer);
    }
}

/// Appends one request to `buffer`.
pub fn append(payload: RouteNetlinkMessage, flags: u16, sequence: u32, buffer: &mut Vec<u8>) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(payload));
    message.finalize();
    let start = buffer.len();
    let end = start + message.buffer_len();
    buffer.resize(end, 0);
    if let Some(room) = buffer.get_mut(start..end) {
        message.serialize(room);
    }
    // The next message starts on a multiple of NLMSG_ALIGNTO.
    buffer.resize(end.next_multiple_of(4), 0);
}

fn lifetime(vip: Vip, lifetime_seconds: u32) -> [AddressAttribute; 3] {
    let mut cache = CacheInfo::default();
    cache.ifa_valid = lifetime_seconds;
    let mut flags = AddressFlags::Noprefixroute;
    match vip.address {
        IpAddr::V4(_) => cache.ifa_preferred = lifetime_seconds,
        IpAddr::V6(_) => {
            // Deprecated from the start: never the source of the node's own connections. No
            // duplicate address detection: the peer may hold the VIP until it sees our advert.
            cache.ifa_preferred = 0;
            flags |= AddressFlags::Nodad;
        }
    }
    [
        AddressAttribute::CacheInfo(cache),
        AddressAttribute::Flags(flags),
        AddressAttribute::Protocol(AddressProtocol::from(ADDRESS_PROTOCOL)),
    ]
}

#[cfg(test)]
mod tests;
