//! Attributes of a destination (`IPVS_DEST_ATTR_*`).

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorContext as _, NLA_F_NESTED, Nla, NlaBuffer, Parseable, parse_u8,
    parse_u16, parse_u16_be, parse_u32,
};

use super::StatsAttribute;
use super::value::{Value, parse_attributes, parse_bytes, parse_unknown};

const ADDRESS: u16 = 1;
const PORT: u16 = 2;
const FORWARDING: u16 = 3;
const WEIGHT: u16 = 4;
const UPPER_THRESHOLD: u16 = 5;
const LOWER_THRESHOLD: u16 = 6;
const ACTIVE_CONNECTIONS: u16 = 7;
const INACTIVE_CONNECTIONS: u16 = 8;
const PERSISTENT_CONNECTIONS: u16 = 9;
const STATS: u16 = 10;
const ADDRESS_FAMILY: u16 = 11;
const STATS64: u16 = 12;
const TUNNEL_KIND: u16 = 13;
const TUNNEL_PORT: u16 = 14;
const TUNNEL_FLAGS: u16 = 15;

/// An attribute of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationAttribute {
    /// The address; an IPv4 address stands in the first 4 bytes.
    Address([u8; 16]),
    /// The port, big-endian on the wire.
    Port(u16),
    /// Connection flags; the forwarding method is in the low 3 bits.
    Forwarding(u32),
    /// Weight.
    Weight(u32),
    /// Upper threshold of connections.
    UpperThreshold(u32),
    /// Lower threshold of connections.
    LowerThreshold(u32),
    /// Active connections.
    ActiveConnections(u32),
    /// Inactive connections.
    InactiveConnections(u32),
    /// Persistent connections.
    PersistentConnections(u32),
    /// Counters modulo 2³².
    Stats(Vec<StatsAttribute>),
    /// `AF_INET` or `AF_INET6`, kernel 3.18 and later.
    AddressFamily(u16),
    /// Counters, kernel 4.1 and later.
    Stats64(Vec<StatsAttribute>),
    /// Encapsulation of a tunnel, kernel 5.2 and later.
    TunnelKind(u8),
    /// UDP port of a tunnel, big-endian on the wire, kernel 5.2 and later.
    TunnelPort(u16),
    /// Flags of a tunnel, kernel 5.3 and later.
    TunnelFlags(u16),
    /// An attribute unknown to this crate.
    Other(DefaultNla),
}

impl DestinationAttribute {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Address(bytes) => Value::Bytes(bytes),
            Self::Port(port) | Self::TunnelPort(port) => Value::Be16(*port),
            Self::Forwarding(number)
            | Self::Weight(number)
            | Self::UpperThreshold(number)
            | Self::LowerThreshold(number)
            | Self::ActiveConnections(number)
            | Self::InactiveConnections(number)
            | Self::PersistentConnections(number) => Value::U32(*number),
            Self::Stats(attributes) | Self::Stats64(attributes) => Value::nest(attributes),
            Self::AddressFamily(number) | Self::TunnelFlags(number) => Value::U16(*number),
            Self::TunnelKind(number) => Value::U8(*number),
            Self::Other(raw) => Value::Raw(raw),
        }
    }
}

impl Nla for DestinationAttribute {
    fn value_len(&self) -> usize {
        self.value().len()
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Address(_) => ADDRESS,
            Self::Port(_) => PORT,
            Self::Forwarding(_) => FORWARDING,
            Self::Weight(_) => WEIGHT,
            Self::UpperThreshold(_) => UPPER_THRESHOLD,
            Self::LowerThreshold(_) => LOWER_THRESHOLD,
            Self::ActiveConnections(_) => ACTIVE_CONNECTIONS,
            Self::InactiveConnections(_) => INACTIVE_CONNECTIONS,
            Self::PersistentConnections(_) => PERSISTENT_CONNECTIONS,
            Self::Stats(_) => STATS | NLA_F_NESTED,
            Self::AddressFamily(_) => ADDRESS_FAMILY,
            Self::Stats64(_) => STATS64 | NLA_F_NESTED,
            Self::TunnelKind(_) => TUNNEL_KIND,
            Self::TunnelPort(_) => TUNNEL_PORT,
            Self::TunnelFlags(_) => TUNNEL_FLAGS,
            Self::Other(raw) => raw.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        self.value().emit(buffer);
    }
}

impl Parseable<NlaBuffer<&[u8]>> for DestinationAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        let number = |what: &'static str| parse_u32(value).context(what);
        Ok(match attribute.kind() {
            ADDRESS => Self::Address(parse_bytes(value).context("IPVS_DEST_ATTR_ADDR")?),
            PORT => Self::Port(parse_u16_be(value).context("IPVS_DEST_ATTR_PORT")?),
            FORWARDING => Self::Forwarding(number("IPVS_DEST_ATTR_FWD_METHOD")?),
            WEIGHT => Self::Weight(number("IPVS_DEST_ATTR_WEIGHT")?),
            UPPER_THRESHOLD => Self::UpperThreshold(number("IPVS_DEST_ATTR_U_THRESH")?),
            LOWER_THRESHOLD => Self::LowerThreshold(number("IPVS_DEST_ATTR_L_THRESH")?),
            ACTIVE_CONNECTIONS => Self::ActiveConnections(number("IPVS_DEST_ATTR_ACTIVE_CONNS")?),
            INACTIVE_CONNECTIONS => {
                Self::InactiveConnections(number("IPVS_DEST_ATTR_INACT_CONNS")?)
            }
            PERSISTENT_CONNECTIONS => {
                Self::PersistentConnections(number("IPVS_DEST_ATTR_PERSIST_CONNS")?)
            }
            STATS => Self::Stats(parse_attributes(value, "IPVS_DEST_ATTR_STATS")?),
            ADDRESS_FAMILY => {
                Self::AddressFamily(parse_u16(value).context("IPVS_DEST_ATTR_ADDR_FAMILY")?)
            }
            STATS64 => Self::Stats64(parse_attributes(value, "IPVS_DEST_ATTR_STATS64")?),
            TUNNEL_KIND => Self::TunnelKind(parse_u8(value).context("IPVS_DEST_ATTR_TUN_TYPE")?),
            TUNNEL_PORT => {
                Self::TunnelPort(parse_u16_be(value).context("IPVS_DEST_ATTR_TUN_PORT")?)
            }
            TUNNEL_FLAGS => {
                Self::TunnelFlags(parse_u16(value).context("IPVS_DEST_ATTR_TUN_FLAGS")?)
            }
            _ => Self::Other(parse_unknown(attribute)?),
        })
    }
}
