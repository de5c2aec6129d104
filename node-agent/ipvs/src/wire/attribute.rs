//! Attributes of the first level (`IPVS_CMD_ATTR_*`, and `IPVS_INFO_ATTR_*` in the answer to `GET_INFO`).

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorContext as _, NLA_F_NESTED, Nla, NlaBuffer,
    ParseableParametrized, parse_u32,
};

use super::value::{Value, parse_attributes, parse_unknown};
use super::{CommandCode, DaemonAttribute, DestinationAttribute, ServiceAttribute};

pub(crate) const SERVICE: u16 = 1;
pub(crate) const DESTINATION: u16 = 2;
pub(crate) const DAEMON: u16 = 3;
const TIMEOUT_TCP: u16 = 4;
const TIMEOUT_TCP_FIN: u16 = 5;
const TIMEOUT_UDP: u16 = 6;

const INFO_VERSION: u16 = 1;
const INFO_CONNECTION_TABLE_SIZE: u16 = 2;

/// An attribute of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// A virtual service (`IPVS_CMD_ATTR_SERVICE`).
    Service(Vec<ServiceAttribute>),
    /// A destination (`IPVS_CMD_ATTR_DEST`).
    Destination(Vec<DestinationAttribute>),
    /// A synchronisation daemon (`IPVS_CMD_ATTR_DAEMON`).
    Daemon(Vec<DaemonAttribute>),
    /// Timeout of TCP connections in seconds.
    TimeoutTcp(u32),
    /// Timeout of TCP connections after a FIN in seconds.
    TimeoutTcpFin(u32),
    /// Timeout of UDP in seconds.
    TimeoutUdp(u32),
    /// Version as `major << 16 | minor << 8 | patch`. In [`CommandCode::SET_INFO`] only.
    Version(u32),
    /// Buckets of the connection table. In [`CommandCode::SET_INFO`] only.
    ConnectionTableSize(u32),
    /// An attribute unknown to this crate.
    Other(DefaultNla),
}

impl Attribute {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Service(attributes) => Value::nest(attributes),
            Self::Destination(attributes) => Value::nest(attributes),
            Self::Daemon(attributes) => Value::nest(attributes),
            Self::TimeoutTcp(number)
            | Self::TimeoutTcpFin(number)
            | Self::TimeoutUdp(number)
            | Self::Version(number)
            | Self::ConnectionTableSize(number) => Value::U32(*number),
            Self::Other(raw) => Value::Raw(raw),
        }
    }
}

impl Nla for Attribute {
    fn value_len(&self) -> usize {
        self.value().len()
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Service(_) => SERVICE | NLA_F_NESTED,
            Self::Destination(_) => DESTINATION | NLA_F_NESTED,
            Self::Daemon(_) => DAEMON | NLA_F_NESTED,
            Self::TimeoutTcp(_) => TIMEOUT_TCP,
            Self::TimeoutTcpFin(_) => TIMEOUT_TCP_FIN,
            Self::TimeoutUdp(_) => TIMEOUT_UDP,
            Self::Version(_) => INFO_VERSION,
            Self::ConnectionTableSize(_) => INFO_CONNECTION_TABLE_SIZE,
            Self::Other(raw) => raw.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        self.value().emit(buffer);
    }
}

impl ParseableParametrized<NlaBuffer<&[u8]>, CommandCode> for Attribute {
    fn parse_with_param(
        attribute: &NlaBuffer<&[u8]>,
        command: CommandCode,
    ) -> Result<Self, DecodeError> {
        let value = attribute.value();
        let number = |what: &'static str| parse_u32(value).context(what);
        Ok(match attribute.kind() {
            INFO_VERSION if command == CommandCode::SET_INFO => {
                Self::Version(number("IPVS_INFO_ATTR_VERSION")?)
            }
            INFO_CONNECTION_TABLE_SIZE if command == CommandCode::SET_INFO => {
                Self::ConnectionTableSize(number("IPVS_INFO_ATTR_CONN_TAB_SIZE")?)
            }
            _ if command == CommandCode::SET_INFO => Self::Other(parse_unknown(attribute)?),
            SERVICE => Self::Service(parse_attributes(value, "IPVS_CMD_ATTR_SERVICE")?),
            DESTINATION => Self::Destination(parse_attributes(value, "IPVS_CMD_ATTR_DEST")?),
            DAEMON => Self::Daemon(parse_attributes(value, "IPVS_CMD_ATTR_DAEMON")?),
            TIMEOUT_TCP => Self::TimeoutTcp(number("IPVS_CMD_ATTR_TIMEOUT_TCP")?),
            TIMEOUT_TCP_FIN => Self::TimeoutTcpFin(number("IPVS_CMD_ATTR_TIMEOUT_TCP_FIN")?),
            TIMEOUT_UDP => Self::TimeoutUdp(number("IPVS_CMD_ATTR_TIMEOUT_UDP")?),
            _ => Self::Other(parse_unknown(attribute)?),
        })
    }
}
