//! Messages of the family `fou` and of the controller that knows its number. Pure.

use lvs_crds::v1alpha1::AddressFamily;
use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_ACK, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NetlinkMessage, NlasIterator, parse_u8, parse_u16,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use nix::libc::{AF_INET, AF_INET6};

use super::{FouKind, FouPort};

/// Name of the family (`FOU_GENL_NAME`).
const NAME: &str = "fou";
/// Length of `struct genlmsghdr`.
const HEADER_BYTES: usize = 4;
/// `CTRL_ATTR_FAMILY_ID`.
const FAMILY_ID: u16 = 1;

/// `FOU_ATTR_PORT`, in network byte order.
const PORT: u16 = 1;
/// `FOU_ATTR_AF`.
const FAMILY: u16 = 2;
/// `FOU_ATTR_TYPE`.
const TYPE: u16 = 4;
/// `FOU_ENCAP_GUE`.
const GUE: u8 = 2;

/// `FOU_CMD_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Delete,
    Get,
}

/// One netlink message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// A message of the family.
    Payload(&'a [u8]),
    /// The last word: 0, or a positive error number.
    End(i32),
}

#[derive(Debug)]
struct Message {
    command: Command,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        NAME
    }

    fn command(&self) -> u8 {
        match self.command {
            Command::Add => 1,
            Command::Delete => 2,
            Command::Get => 3,
        }
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

/// Asks for the family's number.
pub(super) fn family_request(sequence: u32) -> Vec<u8> {
    let message = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(NAME.to_owned())],
    });
    bytes(message, sequence)
}

/// The number in the controller's answer. Its other attributes are passed over.
pub(super) fn family(payload: &[u8]) -> Result<Option<u16>, DecodeError> {
    attribute(payload, FAMILY_ID, parse_u16)
}

/// A request of the family, for a port of GUE.
pub(super) fn request(command: Command, port: FouPort, family: u16, sequence: u32) -> Vec<u8> {
    let mut attributes = vec![
        DefaultNla::new(PORT, port.port.to_be_bytes().into()),
        DefaultNla::new(FAMILY, vec![number(port.outer)]),
    ];
    if command == Command::Add {
        attributes.push(DefaultNla::new(TYPE, vec![GUE]));
    }
    let mut message = GenlMessage::from_payload(Message {
        command,
        attributes,
    });
    message.set_resolved_family_id(family);
    bytes(message, sequence)
}

/// What is in the packets of the port that an answer is about.
pub(super) fn kind(payload: &[u8]) -> Result<FouKind, DecodeError> {
    let kind = attribute(payload, TYPE, parse_u8)?.ok_or("FOU_ATTR_TYPE is missing")?;
    Ok(match kind {
        GUE => FouKind::Gue,
        _ => FouKind::Direct,
    })
}

/// The messages of a datagram that answer `sequence`. What follows a broken one is passed over.
pub(super) fn answers(datagram: &[u8], sequence: u32) -> impl Iterator<Item = Answer<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let buffer = NetlinkBuffer::new_checked(rest).ok()?;
        let length = usize::try_from(buffer.length()).ok()?.next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        let payload = buffer.payload();
        // The error number comes first in both; the end of a dump may lack it.
        let answer = match buffer.message_type() {
            NLMSG_ERROR | NLMSG_DONE => {
                let errno = payload
                    .first_chunk()
                    .map(|bytes| i32::from_ne_bytes(*bytes));
                Answer::End(errno.unwrap_or_default().saturating_neg())
            }
            _ => Answer::Payload(payload),
        };
        Some((buffer.sequence_number(), answer))
    })
    .filter_map(move |(answered, answer)| (answered == sequence).then_some(answer))
}

fn number(family: AddressFamily) -> u8 {
    let number = match family {
        AddressFamily::IPv4 => AF_INET,
        AddressFamily::IPv6 => AF_INET6,
    };
    u8::try_from(number).unwrap_or_default()
}

fn bytes<T: GenlFamily + Emitable + std::fmt::Debug>(
    message: GenlMessage<T>,
    sequence: u32,
) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.sequence_number = sequence;
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Decodes the first attribute of a kind.
fn attribute<T>(
    payload: &[u8],
    kind: u16,
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let attributes = payload
        .get(HEADER_BYTES..)
        .ok_or("the header of generic netlink is cut short")?;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() == kind {
            return decode(attribute.value()).map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
