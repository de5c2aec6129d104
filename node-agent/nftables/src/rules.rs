//! Which packets get which mark.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

/// A protocol that IPVS balances, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// TCP
    Tcp = 6,
    /// UDP
    Udp = 17,
    /// SCTP
    Sctp = 132,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its number in the IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// Ports of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// Every port of a protocol.
    Every(Protocol),
    /// Ports from the first to the last, both included.
    Range {
        /// Protocol.
        protocol: Protocol,
        /// The lowest port.
        first: u16,
        /// The highest port, not below `first`.
        last: u16,
    },
}

impl Ports {
    /// A single port.
    #[must_use]
    pub const fn one(protocol: Protocol, port: u16) -> Self {
        Self::Range {
            protocol,
            first: port,
            last: port,
        }
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Every(protocol) | Self::Range { protocol, .. } => protocol,
        }
    }

    /// How the ports are looked up. The narrowest comes last.
    pub(crate) const fn kind(self) -> PortsKind {
        match self {
            Self::Every(_) => PortsKind::Every,
            Self::Range { first, last, .. } if first == last => PortsKind::One(first),
            Self::Range { first, last, .. } => PortsKind::Range(first, last),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol();
        match self.kind() {
            PortsKind::Every => write!(f, "every {protocol} port"),
            PortsKind::Range(first, last) => write!(f, "{protocol} ports {first}-{last}"),
            PortsKind::One(port) => write!(f, "{protocol} port {port}"),
        }
    }
}

/// How ports are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortsKind {
    Every,
    Range(u16, u16),
    One(u16),
}

/// Two rules that contradict each other, or one that matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The same packets are to have two marks.
    #[error("{address}: {ports} are to have mark {mark}, but {other} have mark {other_mark}")]
    TwoMarks {
        /// Address of both rules.
        address: IpAddr,
        /// Ports of the new rule.
        ports: Ports,
        /// Mark of the new rule.
        mark: NonZeroU32,
        /// Ports of the rule that is there.
        other: Ports,
        /// Its mark.
        other_mark: NonZeroU32,
    },
    /// The last port is below the first.
    #[error("{address}: {ports}: the last port is below the first")]
    Reversed {
        /// Address of the rule.
        address: IpAddr,
        /// Its ports.
        ports: Ports,
    },
}

/// Which packets get which mark, by address and ports of their destination.
///
/// Of several rules that fit a packet the narrowest decides: a single port before a range, a range before every port.
/// Two ranges of an address may overlap only if their marks are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MarkRules {
    marks: BTreeMap<(IpAddr, Ports), NonZeroU32>,
}

impl MarkRules {
    /// Adds a rule. What is there already is not added again.
    ///
    /// # Errors
    /// When it contradicts a rule of the same kind. The rules stay as they were.
    pub fn insert(
        &mut self,
        address: IpAddr,
        ports: Ports,
        mark: NonZeroU32,
    ) -> Result<(), Conflict> {
        if matches!(ports.kind(), PortsKind::Range(first, last) if first > last) {
            return Err(Conflict::Reversed { address, ports });
        }
        if let Some((other, other_mark)) = self.contradiction(address, ports, mark) {
            return Err(Conflict::TwoMarks {
                address,
                ports,
                mark,
                other,
                other_mark,
            });
        }
        self.marks.insert((address, ports), mark);
        Ok(())
    }

    fn contradiction(
        &self,
        address: IpAddr,
        ports: Ports,
        mark: NonZeroU32,
    ) -> Option<(Ports, NonZeroU32)> {
        if let Some(other) = self.marks.get(&(address, ports)) {
            return (*other != mark).then_some((ports, *other));
        }
        let PortsKind::Range(first, last) = ports.kind() else {
            return None;
        };
        let protocol = ports.protocol();
        let lowest = Ports::one(protocol, 0);
        // Ranges are ordered by their first ports: those that begin after the last one cannot overlap.
        let highest = Ports::Range {
            protocol,
            first: last,
            last: u16::MAX,
        };
        self.marks
            .range((address, lowest)..=(address, highest))
            .find_map(|((_, other), other_mark)| match other.kind() {
                PortsKind::Range(_, end) if end >= first && *other_mark != mark => {
                    Some((*other, *other_mark))
                }
                _ => None,
            })
    }

    /// The rules in their order.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, Ports, NonZeroU32)> {
        self.marks
            .iter()
            .map(|((address, ports), mark)| (*address, *ports, *mark))
    }

    /// Number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether no packet gets a mark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

#[cfg(test)]
mod tests;
