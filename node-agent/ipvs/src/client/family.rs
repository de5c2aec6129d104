//! The number of the family `IPVS`, from the controller of generic netlink (`linux/genetlink.h`).

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NlasIterator, parse_u16,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily as _, GenlMessage};

use crate::wire::Message;

/// Length of `struct genlmsghdr`.
const HEADER_BYTES: usize = 4;
/// `CTRL_ATTR_FAMILY_ID`
const FAMILY_ID: u16 = 1;
/// The controller's answer when it does not know the family: `ENOENT`.
pub(super) const UNKNOWN: i32 = 2;

/// Asks for the family's number.
pub(super) fn request(sequence: u32) -> Vec<u8> {
    let name = GenlCtrlAttrs::FamilyName(Message::family_name().to_owned());
    let mut message = NetlinkMessage::from(GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![name],
    }));
    message.header.sequence_number = sequence;
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Reads the answer. Of its many attributes only the number is looked at: the crate's own decoder refuses those that
/// it does not know.
pub(super) fn read(payload: &[u8]) -> Result<u16, DecodeError> {
    let attributes = payload.get(HEADER_BYTES..).unwrap_or_default();
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() == FAMILY_ID {
            return parse_u16(attribute.value());
        }
    }
    Err("attribute CTRL_ATTR_FAMILY_ID is missing".into())
}

#[cfg(test)]
mod tests;
