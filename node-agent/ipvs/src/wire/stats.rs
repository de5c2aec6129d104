//! Attributes of counters (`IPVS_STATS_ATTR_*`).

use netlink_packet_core::{DecodeError, DefaultNla, ErrorContext as _, Nla, NlaBuffer, Parseable};

use super::value::{Value, parse_bytes, parse_unknown};

const CONNECTIONS: u16 = 1;
const INCOMING_PACKETS: u16 = 2;
const OUTGOING_PACKETS: u16 = 3;
const INCOMING_BYTES: u16 = 4;
const OUTGOING_BYTES: u16 = 5;
const CONNECTIONS_PER_SECOND: u16 = 6;
const INCOMING_PACKETS_PER_SECOND: u16 = 7;
const OUTGOING_PACKETS_PER_SECOND: u16 = 8;
const INCOMING_BYTES_PER_SECOND: u16 = 9;
const OUTGOING_BYTES_PER_SECOND: u16 = 10;

/// A counter. The nest `STATS` has both widths, the nest `STATS64` wide ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// 4 bytes on the wire.
    U32(u32),
    /// 8 bytes on the wire.
    U64(u64),
}

impl Counter {
    /// The count.
    #[must_use]
    pub const fn get(self) -> u64 {
        match self {
            Self::U32(count) => count as u64,
            Self::U64(count) => count,
        }
    }

    fn parse(value: &[u8]) -> Result<Self, DecodeError> {
        if value.len() == 4 {
            Ok(Self::U32(u32::from_ne_bytes(parse_bytes(value)?)))
        } else {
            Ok(Self::U64(u64::from_ne_bytes(parse_bytes(value)?)))
        }
    }
}

/// An attribute of counters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatsAttribute {
    /// Connections scheduled.
    Connections(Counter),
    /// Packets from clients.
    IncomingPackets(Counter),
    /// Packets to clients.
    OutgoingPackets(Counter),
    /// Bytes from clients.
    IncomingBytes(Counter),
    /// Bytes to clients.
    OutgoingBytes(Counter),
    /// New connections per second.
    ConnectionsPerSecond(Counter),
    /// Packets from clients per second.
    IncomingPacketsPerSecond(Counter),
    /// Packets to clients per second.
    OutgoingPacketsPerSecond(Counter),
    /// Bytes from clients per second.
    IncomingBytesPerSecond(Counter),
    /// Bytes to clients per second.
    OutgoingBytesPerSecond(Counter),
    /// An attribute unknown to this crate, or padding.
    Other(DefaultNla),
}

impl StatsAttribute {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Connections(counter)
            | Self::IncomingPackets(counter)
            | Self::OutgoingPackets(counter)
            | Self::IncomingBytes(counter)
            | Self::OutgoingBytes(counter)
            | Self::ConnectionsPerSecond(counter)
            | Self::IncomingPacketsPerSecond(counter)
            | Self::OutgoingPacketsPerSecond(counter)
            | Self::IncomingBytesPerSecond(counter)
            | Self::OutgoingBytesPerSecond(counter) => match counter {
                Counter::U32(count) => Value::U32(*count),
                Counter::U64(count) => Value::U64(*count),
            },
            Self::Other(raw) => Value::Raw(raw),
        }
    }
}

impl Nla for StatsAttribute {
    fn value_len(&self) -> usize {
        self.value().len()
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Connections(_) => CONNECTIONS,
            Self::IncomingPackets(_) => INCOMING_PACKETS,
            Self::OutgoingPackets(_) => OUTGOING_PACKETS,
            Self::IncomingBytes(_) => INCOMING_BYTES,
            Self::OutgoingBytes(_) => OUTGOING_BYTES,
            Self::ConnectionsPerSecond(_) => CONNECTIONS_PER_SECOND,
            Self::IncomingPacketsPerSecond(_) => INCOMING_PACKETS_PER_SECOND,
            Self::OutgoingPacketsPerSecond(_) => OUTGOING_PACKETS_PER_SECOND,
            Self::IncomingBytesPerSecond(_) => INCOMING_BYTES_PER_SECOND,
            Self::OutgoingBytesPerSecond(_) => OUTGOING_BYTES_PER_SECOND,
            Self::Other(raw) => raw.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        self.value().emit(buffer);
    }
}

impl Parseable<NlaBuffer<&[u8]>> for StatsAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let counter = |what: &'static str| Counter::parse(attribute.value()).context(what);
        Ok(match attribute.kind() {
            CONNECTIONS => Self::Connections(counter("IPVS_STATS_ATTR_CONNS")?),
            INCOMING_PACKETS => Self::IncomingPackets(counter("IPVS_STATS_ATTR_INPKTS")?),
            OUTGOING_PACKETS => Self::OutgoingPackets(counter("IPVS_STATS_ATTR_OUTPKTS")?),
            INCOMING_BYTES => Self::IncomingBytes(counter("IPVS_STATS_ATTR_INBYTES")?),
            OUTGOING_BYTES => Self::OutgoingBytes(counter("IPVS_STATS_ATTR_OUTBYTES")?),
            CONNECTIONS_PER_SECOND => Self::ConnectionsPerSecond(counter("IPVS_STATS_ATTR_CPS")?),
            INCOMING_PACKETS_PER_SECOND => {
                Self::IncomingPacketsPerSecond(counter("IPVS_STATS_ATTR_INPPS")?)
            }
            OUTGOING_PACKETS_PER_SECOND => {
                Self::OutgoingPacketsPerSecond(counter("IPVS_STATS_ATTR_OUTPPS")?)
            }
            INCOMING_BYTES_PER_SECOND => {
                Self::IncomingBytesPerSecond(counter("IPVS_STATS_ATTR_INBPS")?)
            }
            OUTGOING_BYTES_PER_SECOND => {
                Self::OutgoingBytesPerSecond(counter("IPVS_STATS_ATTR_OUTBPS")?)
            }
            _ => Self::Other(parse_unknown(attribute)?),
        })
    }
}
