//! What the messages say that the filter passes. Pure.

use std::collections::VecDeque;

use netlink_packet_core::NLMSG_ERROR;

/// How many requesters are remembered: more than programs change the table at a time.
const REMEMBERED: usize = 64;

/// Where `struct nlmsghdr` has the type.
pub(super) const TYPE: usize = 4;
/// Where `struct nlmsghdr` has the flags.
pub(super) const FLAGS: usize = 6;
/// Where `struct nlmsghdr` has the port.
pub(super) const PORT: usize = 12;
/// Where the payload begins: a request's command (`struct genlmsghdr`), or an acknowledgement's error number (`struct
/// nlmsgerr`), which the request's header follows.
pub(super) const PAYLOAD: usize = 16;
/// Where an acknowledgement has the request's header.
pub(super) const REQUEST: usize = PAYLOAD + 4;

/// Those who have asked for changes, the latest last.
///
/// A request is shown before it is carried out, so its change may not be there yet; its acknowledgement is shown
/// afterwards. An acknowledgement does not say what was asked, but who is answered: one to somebody who never asked for
/// a change is no notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requesters {
    ports: VecDeque<u32>,
}

impl Requesters {
    /// Takes the beginning of a message that has passed the filter. True when the table may be different for it.
    pub(super) fn take(&mut self, message: &[u8]) -> bool {
        let is_acknowledgement = u16_at(message, TYPE) == Some(NLMSG_ERROR);
        let position = if is_acknowledgement {
            REQUEST + PORT
        } else {
            PORT
        };
        let Some(port) = u32_at(message, position) else {
            return false;
        };
        if is_acknowledgement {
            return self.ports.contains(&port);
        }
        if !self.ports.contains(&port) {
            if self.ports.len() == REMEMBERED {
                self.ports.pop_front();
            }
            self.ports.push_back(port);
        }
        true
    }
}

fn u16_at(bytes: &[u8], position: usize) -> Option<u16> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], position: usize) -> Option<u32> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests;
