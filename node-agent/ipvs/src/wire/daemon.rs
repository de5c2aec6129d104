//! Attributes of a synchronisation daemon (`IPVS_DAEMON_ATTR_*`).

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorContext as _, Nla, NlaBuffer, Parseable, parse_u8, parse_u16,
    parse_u32,
};

use super::value::{Value, parse_bytes, parse_text, parse_unknown};

const STATE: u16 = 1;
const INTERFACE: u16 = 2;
const SYNC_ID: u16 = 3;
const MAX_LENGTH: u16 = 4;
const GROUP: u16 = 5;
const GROUP6: u16 = 6;
const PORT: u16 = 7;
const TTL: u16 = 8;

/// An attribute of a synchronisation daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DaemonAttribute {
    /// Role: `IP_VS_STATE_MASTER` or `IP_VS_STATE_BACKUP`.
    State(u32),
    /// Name of the multicast interface.
    Interface(String),
    /// Identity of the group of directors.
    SyncId(u32),
    /// Largest UDP payload in bytes.
    MaxLength(u16),
    /// IPv4 multicast group.
    Group([u8; 4]),
    /// IPv6 multicast group.
    Group6([u8; 16]),
    /// UDP port, in the machine's byte order.
    Port(u16),
    /// Time to live.
    Ttl(u8),
    /// An attribute unknown to this crate.
    Other(DefaultNla),
}

impl DaemonAttribute {
    fn value(&self) -> Value<'_> {
        match self {
            Self::State(number) | Self::SyncId(number) => Value::U32(*number),
            Self::Interface(name) => Value::Text(name),
            Self::MaxLength(number) | Self::Port(number) => Value::U16(*number),
            Self::Group(bytes) => Value::Bytes(bytes),
            Self::Group6(bytes) => Value::Bytes(bytes),
            Self::Ttl(number) => Value::U8(*number),
            Self::Other(raw) => Value::Raw(raw),
        }
    }
}

impl Nla for DaemonAttribute {
    fn value_len(&self) -> usize {
        self.value().len()
    }

    fn kind(&self) -> u16 {
        match self {
            Self::State(_) => STATE,
            Self::Interface(_) => INTERFACE,
            Self::SyncId(_) => SYNC_ID,
            Self::MaxLength(_) => MAX_LENGTH,
            Self::Group(_) => GROUP,
            Self::Group6(_) => GROUP6,
            Self::Port(_) => PORT,
            Self::Ttl(_) => TTL,
            Self::Other(raw) => raw.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        self.value().emit(buffer);
    }
}

impl Parseable<NlaBuffer<&[u8]>> for DaemonAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            STATE => Self::State(parse_u32(value).context("IPVS_DAEMON_ATTR_STATE")?),
            INTERFACE => Self::Interface(parse_text(value).context("IPVS_DAEMON_ATTR_MCAST_IFN")?),
            SYNC_ID => Self::SyncId(parse_u32(value).context("IPVS_DAEMON_ATTR_SYNC_ID")?),
            MAX_LENGTH => {
                Self::MaxLength(parse_u16(value).context("IPVS_DAEMON_ATTR_SYNC_MAXLEN")?)
            }
            GROUP => Self::Group(parse_bytes(value).context("IPVS_DAEMON_ATTR_MCAST_GROUP")?),
            GROUP6 => Self::Group6(parse_bytes(value).context("IPVS_DAEMON_ATTR_MCAST_GROUP6")?),
            PORT => Self::Port(parse_u16(value).context("IPVS_DAEMON_ATTR_MCAST_PORT")?),
            TTL => Self::Ttl(parse_u8(value).context("IPVS_DAEMON_ATTR_MCAST_TTL")?),
            _ => Self::Other(parse_unknown(attribute)?),
        })
    }
}
