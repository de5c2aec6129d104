//! Attributes of a virtual service (`IPVS_SVC_ATTR_*`).

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorContext as _, NLA_F_NESTED, Nla, NlaBuffer, Parseable, parse_u16,
    parse_u16_be, parse_u32,
};

use super::StatsAttribute;
use super::value::{Value, parse_attributes, parse_bytes, parse_text, parse_unknown};

const ADDRESS_FAMILY: u16 = 1;
const PROTOCOL: u16 = 2;
const ADDRESS: u16 = 3;
const PORT: u16 = 4;
const FIREWALL_MARK: u16 = 5;
const SCHEDULER: u16 = 6;
const FLAGS: u16 = 7;
const TIMEOUT: u16 = 8;
const NETMASK: u16 = 9;
const STATS: u16 = 10;
const PERSISTENCE_ENGINE: u16 = 11;
const STATS64: u16 = 12;

/// An attribute of a virtual service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceAttribute {
    /// `AF_INET` or `AF_INET6`.
    AddressFamily(u16),
    /// Number of the transport protocol.
    Protocol(u16),
    /// The address; an IPv4 address stands in the first 4 bytes.
    Address([u8; 16]),
    /// The port, big-endian on the wire.
    Port(u16),
    /// The firewall mark.
    FirewallMark(u32),
    /// Name of the scheduler.
    Scheduler(String),
    /// `struct ip_vs_flags`: of the flags, those in `mask` are meant.
    Flags {
        /// Flags, `IP_VS_SVC_F_*`.
        flags: u32,
        /// Which of them are meant.
        mask: u32,
    },
    /// Persistence timeout in seconds.
    Timeout(u32),
    /// Persistence netmask: the mask's bytes for IPv4, a prefix length in the machine's byte order for IPv6.
    Netmask([u8; 4]),
    /// Counters modulo 2³².
    Stats(Vec<StatsAttribute>),
    /// Name of the persistence engine.
    PersistenceEngine(String),
    /// Counters, kernel 4.1 and later.
    Stats64(Vec<StatsAttribute>),
    /// An attribute unknown to this crate.
    Other(DefaultNla),
}

impl ServiceAttribute {
    fn value(&self) -> Value<'_> {
        match self {
            Self::AddressFamily(number) | Self::Protocol(number) => Value::U16(*number),
            Self::Address(bytes) => Value::Bytes(bytes),
            Self::Port(port) => Value::Be16(*port),
            Self::FirewallMark(number) | Self::Timeout(number) => Value::U32(*number),
            Self::Scheduler(name) | Self::PersistenceEngine(name) => Value::Text(name),
            Self::Flags { flags, mask } => Value::U32Pair(*flags, *mask),
            Self::Netmask(bytes) => Value::Bytes(bytes),
            Self::Stats(attributes) | Self::Stats64(attributes) => Value::nest(attributes),
            Self::Other(raw) => Value::Raw(raw),
        }
    }
}

impl Nla for ServiceAttribute {
    fn value_len(&self) -> usize {
        self.value().len()
    }

    fn kind(&self) -> u16 {
        match self {
            Self::AddressFamily(_) => ADDRESS_FAMILY,
            Self::Protocol(_) => PROTOCOL,
            Self::Address(_) => ADDRESS,
            Self::Port(_) => PORT,
            Self::FirewallMark(_) => FIREWALL_MARK,
            Self::Scheduler(_) => SCHEDULER,
            Self::Flags { .. } => FLAGS,
            Self::Timeout(_) => TIMEOUT,
            Self::Netmask(_) => NETMASK,
            Self::Stats(_) => STATS | NLA_F_NESTED,
            Self::PersistenceEngine(_) => PERSISTENCE_ENGINE,
            Self::Stats64(_) => STATS64 | NLA_F_NESTED,
            Self::Other(raw) => raw.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        self.value().emit(buffer);
    }
}

impl Parseable<NlaBuffer<&[u8]>> for ServiceAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            ADDRESS_FAMILY => Self::AddressFamily(parse_u16(value).context("IPVS_SVC_ATTR_AF")?),
            PROTOCOL => Self::Protocol(parse_u16(value).context("IPVS_SVC_ATTR_PROTOCOL")?),
            ADDRESS => Self::Address(parse_bytes(value).context("IPVS_SVC_ATTR_ADDR")?),
            PORT => Self::Port(parse_u16_be(value).context("IPVS_SVC_ATTR_PORT")?),
            FIREWALL_MARK => Self::FirewallMark(parse_u32(value).context("IPVS_SVC_ATTR_FWMARK")?),
            SCHEDULER => Self::Scheduler(parse_text(value).context("IPVS_SVC_ATTR_SCHED_NAME")?),
            FLAGS => parse_flags(value).context("IPVS_SVC_ATTR_FLAGS")?,
            TIMEOUT => Self::Timeout(parse_u32(value).context("IPVS_SVC_ATTR_TIMEOUT")?),
            NETMASK => Self::Netmask(parse_bytes(value).context("IPVS_SVC_ATTR_NETMASK")?),
            STATS => Self::Stats(parse_attributes(value, "IPVS_SVC_ATTR_STATS")?),
            PERSISTENCE_ENGINE => {
                Self::PersistenceEngine(parse_text(value).context("IPVS_SVC_ATTR_PE_NAME")?)
            }
            STATS64 => Self::Stats64(parse_attributes(value, "IPVS_SVC_ATTR_STATS64")?),
            _ => Self::Other(parse_unknown(attribute)?),
        })
    }
}

fn parse_flags(value: &[u8]) -> Result<ServiceAttribute, DecodeError> {
    let [f0, f1, f2, f3, m0, m1, m2, m3] = parse_bytes(value)?;
    Ok(ServiceAttribute::Flags {
        flags: u32::from_ne_bytes([f0, f1, f2, f3]),
        mask: u32::from_ne_bytes([m0, m1, m2, m3]),
    })
}
