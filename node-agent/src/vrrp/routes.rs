//! Routes that move with a router, as rtnetlink messages (`linux/rtnetlink.h`). No sockets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::addresses::append;

/// `rtm_protocol` of the routes that agents add: `v`, as `IFA_PROTO` of their addresses. No routing
/// daemon uses it (`/etc/iproute2/rt_protos`).
pub const ROUTE_PROTOCOL: u8 = b'v';

/// The kernel's metric of an IPv6 route that names none (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;

/// `RT_TABLE_COMPAT`: the number of the table does not fit into the header.
const TABLE_IN_ATTRIBUTE: u8 = 252;

/// A route through an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// Where it leads to, without host bits.
    pub destination: IpNet,
    /// Next hop; absent = the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Source of the node's own packets; absent = as the kernel chooses.
    pub source: Option<IpAddr>,
    /// Metric as the kernel counts it.
    pub metric: u32,
    /// Routing table.
    pub table: u32,
    /// Index of the interface.
    pub interface_index: u32,
}

impl Route {
    /// Metric that the kernel has of a route to `destination` that was given as `metric`.
    #[must_use]
    pub fn kernel_metric(destination: IpNet, metric: u32) -> u32 {
        match destination {
            IpNet::V6(_) if metric == 0 => IPV6_METRIC,
            _ => metric,
        }
    }

    /// Reads a route message; `None` when it is not a unicast route of an agent through one
    /// interface.
    #[must_use]
    pub fn ours(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        if header.protocol != RouteProtocol::from(ROUTE_PROTOCOL)
            || header.kind != RouteType::Unicast
        {
            return None;
        }
        let any: IpAddr = match header.address_family {
            AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
            AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let mut destination = any;
        let mut route = Self {
            destination: IpNet::new(any, 0).ok()?,
            gateway: None,
            source: None,
            metric: 0,
            table: header.table.into(),
            interface_index: 0,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => destination = ip(address)?,
                RouteAttribute::Gateway(address) => route.gateway = ip(address),
                RouteAttribute::PrefSource(address) => route.source = ip(address),
                RouteAttribute::Priority(metric) => route.metric = *metric,
                RouteAttribute::Table(table) => route.table = *table,
                RouteAttribute::Oif(index) => route.interface_index = *index,
                _ => {}
            }
        }
        route.destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
        (route.interface_index != 0).then_some(route)
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: match self.destination {
                IpNet::V4(_) => AddressFamily::Inet,
                IpNet::V6(_) => AddressFamily::Inet6,
            },
            destination_prefix_length: self.destination.prefix_len(),
            table: u8::try_from(self.table).unwrap_or(TABLE_IN_ATTRIBUTE),
            protocol: RouteProtocol::from(ROUTE_PROTOCOL),
            scope: if self.gateway.is_some() || matches!(self.destination, IpNet::V6(_)) {
                RouteScope::Universe
            } else {
                RouteScope::Link
            },
            kind: RouteType::Unicast,
            ..RouteHeader::default()
        };
        let addresses = [
            Some(RouteAttribute::Destination(self.destination.addr().into())),
            self.gateway
                .map(|gateway| RouteAttribute::Gateway(gateway.into())),
            self.source
                .map(|source| RouteAttribute::PrefSource(source.into())),
        ];
        message.attributes.extend(addresses.into_iter().flatten());
        message.attributes.extend([
            RouteAttribute::Oif(self.interface_index),
            RouteAttribute::Priority(self.metric),
            RouteAttribute::Table(self.table),
        ]);
        message
    }
}

impl fmt::Display for Route {
    /// As `ip route` writes it, without the interface.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(formatter, " via {gateway}")?;
        }
        if let Some(source) = self.source {
            write!(formatter, " src {source}")?;
        }
        if self.metric != 0 {
            write!(formatter, " metric {}", self.metric)?;
        }
        write!(formatter, " table {}", self.table)
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// What to do with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// Add it; one to the same destination with the same metric in the same table is an error
    /// (`EEXIST`).
    Add {
        /// The route.
        route: Route,
        /// Seconds until the kernel uses it no more, over IPv6. It has no such thing over IPv4, where
        /// a route of table `main` goes with the address that is its source.
        lifetime_seconds: u32,
    },
    /// Set its lifetime anew, which is answered by `EEXIST`; adds it if it is gone.
    Refresh {
        /// The route.
        route: Route,
        /// Seconds until the kernel uses it no more.
        lifetime_seconds: u32,
    },
    /// Delete it, if it is an agent's.
    Delete {
        /// The route.
        route: Route,
    },
}

impl RouteChange {
    /// The route that it is about.
    #[must_use]
    pub fn route(&self) -> Route {
        match *self {
            Self::Add { route, .. } | Self::Refresh { route, .. } | Self::Delete { route } => route,
        }
    }

    /// Appends the change as one netlink message with the given sequence number.
    pub fn encode(&self, sequence: u32, buffer: &mut Vec<u8>) {
        let route = self.route();
        let mut message = route.message();
        let (payload, flags) = match *self {
            Self::Add {
                lifetime_seconds, ..
            } => {
                message.attributes.extend(expiry(&route, lifetime_seconds));
                (
                    RouteNetlinkMessage::NewRoute(message),
                    NLM_F_CREATE | NLM_F_EXCL,
                )
            }
            Self::Refresh {
                lifetime_seconds, ..
            } => {
                message.attributes.extend(expiry(&route, lifetime_seconds));
                // Without NLM_F_EXCL the kernel renews an IPv6 route's time; of IPv4 it would add a
                // second route beside one of somebody else's.
                let exclusive = match route.destination {
                    IpNet::V4(_) => NLM_F_EXCL,
                    IpNet::V6(_) => 0,
                };
                (
                    RouteNetlinkMessage::NewRoute(message),
                    NLM_F_CREATE | exclusive,
                )
            }
            Self::Delete { .. } => (RouteNetlinkMessage::DelRoute(message), 0),
        };
        append(payload, NLM_F_REQUEST | flags, sequence, buffer);
    }
}

fn expiry(route: &Route, lifetime_seconds: u32) -> Option<RouteAttribute> {
    matches!(route.destination, IpNet::V6(_)).then_some(RouteAttribute::Expires(lifetime_seconds))
}

#[cfg(test)]
mod tests;
