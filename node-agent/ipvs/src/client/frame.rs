//! Framing: netlink messages in datagrams.

use netlink_packet_core::{
    DoneBuffer, NLA_TYPE_MASK, NLM_F_ACK, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN,
    NetlinkBuffer, NetlinkMessage, NlasIterator, parse_i32,
};
use netlink_packet_generic::GenlMessage;

use crate::Origin;
use crate::wire::Message;

/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

/// Acknowledgement without the request's payload (`NLM_F_CAPPED`).
const CAPPED: u16 = 0x100;
/// Acknowledgement with attributes (`NLM_F_ACK_TLVS`).
const WITH_ATTRIBUTES: u16 = 0x200;
/// Attribute of an acknowledgement: the kernel's words (`NLMSGERR_ATTR_MSG`).
const WORDS: u16 = 1;

/// The kernel's last word on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// 0, or a positive error number.
    pub(super) errno: i32,
    /// The kernel's explanation of an error.
    pub(super) detail: Option<String>,
}

impl Answer {
    /// The command was carried out.
    pub(super) const SUCCESS: Self = Self {
        errno: 0,
        detail: None,
    };
}

/// What a netlink message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// A message of a family: its payload.
    Payload(&'a [u8]),
    /// An acknowledgement or an error.
    Answer(Answer),
    /// The end of a dump.
    Done(Answer),
    /// Part of the answer was lost.
    Overrun,
    /// To be passed over.
    Nothing,
}

/// A netlink message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incoming<'a> {
    pub(super) sequence: u32,
    pub(super) flags: u16,
    pub(super) content: Content<'a>,
}

/// Makes a message ask for an acknowledgement also of its success.
pub(super) fn ask_for_acknowledgement(message: &mut [u8]) {
    if let Ok(mut message) = NetlinkBuffer::new_checked(message) {
        message.set_flags(message.flags() | NLM_F_ACK);
    }
}

/// The bytes of a message of the family `IPVS`.
pub(super) fn encode(message: Message, origin: Origin, sequence: u32, flags: u16) -> Vec<u8> {
    let mut message = GenlMessage::from_payload(message);
    message.set_resolved_family_id(origin.family);
    let mut message = NetlinkMessage::from(message);
    message.header.sequence_number = sequence;
    message.header.port_number = origin.port;
    message.header.flags = flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The messages of a datagram. What follows a broken one is passed over.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = Incoming<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let buffer = NetlinkBuffer::new_checked(rest).ok()?;
        let length = usize::try_from(buffer.length()).ok()?.next_multiple_of(4);
        let incoming = read(&buffer);
        rest = rest.get(length..).unwrap_or_default();
        Some(incoming)
    })
}

fn read<'a>(buffer: &NetlinkBuffer<&'a [u8]>) -> Incoming<'a> {
    let (flags, payload) = (buffer.flags(), buffer.payload());
    let content = match buffer.message_type() {
        NLMSG_NOOP => Content::Nothing,
        NLMSG_ERROR => read_answer(flags, payload).map_or(Content::Nothing, Content::Answer),
        NLMSG_DONE => Content::Done(read_done(payload)),
        NLMSG_OVERRUN => Content::Overrun,
        _ => Content::Payload(payload),
    };
    Incoming {
        sequence: buffer.sequence_number(),
        flags,
        content,
    }
}

/// `struct nlmsgerr`: the error number, the request's header, its payload unless capped, attributes.
fn read_answer(flags: u16, payload: &[u8]) -> Option<Answer> {
    let (code, rest) = payload.split_at_checked(4)?;
    let errno = parse_i32(code).ok()?.saturating_neg();
    let detail = (flags & WITH_ATTRIBUTES != 0).then(|| {
        // An acknowledgement of success never carries the payload.
        let length = if flags & CAPPED != 0 || errno == 0 {
            HEADER_BYTES
        } else {
            let length = rest
                .first_chunk()
                .map_or(0, |length| u32::from_ne_bytes(*length));
            usize::try_from(length)
                .ok()?
                .max(HEADER_BYTES)
                .checked_next_multiple_of(4)?
        };
        words(rest.get(length..)?)
    });
    Some(Answer {
        errno,
        detail: detail.flatten(),
    })
}

/// The error number of a dump that failed half-way, and attributes. Kernels may leave both out.
fn read_done(payload: &[u8]) -> Answer {
    DoneBuffer::new_checked(payload).map_or(
        Answer {
            errno: 0,
            detail: None,
        },
        |done| Answer {
            errno: done.code().saturating_neg(),
            detail: words(done.extended_ack()),
        },
    )
}

fn words(attributes: &[u8]) -> Option<String> {
    let text = NlasIterator::new(attributes)
        .flatten()
        .find(|attribute| attribute.kind() & NLA_TYPE_MASK == WORDS)?;
    let text = text.value().split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
