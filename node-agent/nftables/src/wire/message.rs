//! Messages: the netlink header, `struct nfgenmsg`, attributes.

use netlink_packet_core::{
    DecodeError, Emitable as _, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};

use super::attribute::Writer;
use super::uapi::{
    NFNETLINK_V0, NFNL_SUBSYS_NFTABLES, NFPROTO_INET, NFT_MSG_GETCHAIN, NFT_MSG_GETGEN,
    NFT_MSG_GETRULE, NFT_MSG_GETSET, NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE, NFTA_RULE_TABLE,
    NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_TABLE, NFTA_TABLE_NAME,
};
use crate::table::TABLE;

/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// Length of `struct nfgenmsg`: family, version, resource number in network byte order.
const NFGENMSG_BYTES: usize = 4;

/// The type of a message about `nf_tables`.
pub(super) const fn message_type(message: u8) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message as u16
}

/// Appends a message to a datagram.
pub(super) fn push(
    datagram: &mut Vec<u8>,
    (message_type, flags, sequence): (u16, u16, u32),
    (family, resource): (u8, u16),
    attributes: &[u8],
) {
    let length = HEADER_BYTES + NFGENMSG_BYTES + attributes.len();
    let mut header = NetlinkHeader::default();
    // A datagram that is longer than 4 GiB is refused by the kernel before it is looked at.
    header.length = u32::try_from(length).unwrap_or(u32::MAX);
    header.message_type = message_type;
    header.flags = flags;
    header.sequence_number = sequence;
    let mut bytes = [0; HEADER_BYTES];
    header.emit(&mut bytes);
    datagram.extend(bytes);
    datagram.extend([family, NFNETLINK_V0]);
    datagram.extend(resource.to_be_bytes());
    datagram.extend(attributes);
}

/// A question to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// The number of the ruleset's generation: it changes with each transaction of anybody.
    Generation,
    /// Our table.
    Table,
    /// All chains of the family; the kernel does not filter.
    Chains,
    /// The rules of our table.
    Rules,
    /// The maps of our table.
    Maps,
    /// The elements of a map of our table.
    Elements(&'a str),
}

impl Request<'_> {
    /// The message.
    #[must_use]
    pub fn encode(self, sequence: u32) -> Vec<u8> {
        let mut attributes = Writer::default();
        let (message, dump) = match self {
            Self::Generation => (NFT_MSG_GETGEN, false),
            Self::Table => {
                attributes.string(NFTA_TABLE_NAME, TABLE);
                (NFT_MSG_GETTABLE, false)
            }
            Self::Chains => (NFT_MSG_GETCHAIN, true),
            Self::Rules => {
                attributes.string(NFTA_RULE_TABLE, TABLE);
                (NFT_MSG_GETRULE, true)
            }
            Self::Maps => {
                attributes.string(NFTA_SET_TABLE, TABLE);
                (NFT_MSG_GETSET, true)
            }
            Self::Elements(map) => {
                attributes
                    .string(NFTA_SET_ELEM_LIST_TABLE, TABLE)
                    .string(NFTA_SET_ELEM_LIST_SET, map);
                (NFT_MSG_GETSETELEM, true)
            }
        };
        let flags = NLM_F_REQUEST | if dump { NLM_F_DUMP } else { NLM_F_ACK };
        let mut datagram = Vec::new();
        push(
            &mut datagram,
            (message_type(message), flags, sequence),
            (NFPROTO_INET, 0),
            &attributes.into_bytes(),
        );
        datagram
    }
}

/// A message about `nf_tables` that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// `NFT_MSG_…`
    pub message: u8,
    /// Family of the object.
    pub family: u8,
    /// Attributes.
    pub attributes: Vec<u8>,
}

/// A netlink message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Number of the request that it answers.
    pub sequence: u32,
    /// Port of the socket that caused it.
    pub port: u32,
    /// Flags.
    pub flags: u16,
    /// What it is.
    pub payload: Payload,
}

/// What a netlink message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// About `nf_tables`.
    Packet(Packet),
    /// An acknowledgement (0) or an error number, positive.
    Answer(i32),
    /// End of a dump: 0, or the number of the error that broke it off, positive.
    Done(i32),
    /// Part of the answer was lost.
    Overrun,
    /// To be passed over.
    Nothing,
}

/// What `netlink-packet-core` shall make of a payload. None if it is of another subsystem.
struct Content(Option<Packet>);

impl NetlinkDeserializable for Content {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let [subsystem, message] = header.message_type.to_be_bytes();
        if u16::from(subsystem) != NFNL_SUBSYS_NFTABLES {
            return Ok(Self(None));
        }
        let Some((&[family, ..], attributes)) = payload.split_first_chunk::<NFGENMSG_BYTES>()
        else {
            return Err("the message ends before its attributes".into());
        };
        Ok(Self(Some(Packet {
            message,
            family,
            attributes: attributes.to_vec(),
        })))
    }
}

/// The messages of a datagram. What follows a broken one is passed over.
pub fn packets(datagram: &[u8]) -> impl Iterator<Item = Result<Incoming, DecodeError>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = NetlinkMessage::<Content>::deserialize(rest);
        rest = match &message {
            Ok(message) => usize::try_from(message.header.length)
                .ok()
                .and_then(|length| rest.get(length.checked_next_multiple_of(4)?..))
                .unwrap_or_default(),
            Err(_) => &[],
        };
        Some(message.map(incoming))
    })
}

fn incoming(message: NetlinkMessage<Content>) -> Incoming {
    let (header, payload) = message.into_parts();
    Incoming {
        sequence: header.sequence_number,
        port: header.port_number,
        flags: header.flags,
        payload: match payload {
            NetlinkPayload::InnerMessage(Content(Some(packet))) => Payload::Packet(packet),
            NetlinkPayload::Error(error) => Payload::Answer(error.raw_code().saturating_neg()),
            NetlinkPayload::Done(done) => Payload::Done(done.code.saturating_neg()),
            NetlinkPayload::Overrun(_) => Payload::Overrun,
            _ => Payload::Nothing,
        },
    }
}
