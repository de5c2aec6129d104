//! Notifications.

use std::os::fd::{AsFd, BorrowedFd};

use super::socket::{Received, Socket};
use crate::error::Error;
use crate::table::TABLE;
use crate::wire::{Incoming, Payload, packets, table_name};

/// Tells that somebody else changed our table. Its descriptor becomes readable when anybody changes the ruleset; then
/// [`Watch::changed`] says whether it was our table.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    /// Port of the client whose changes are no news.
    own_port: u32,
}

impl Watch {
    pub(super) fn open(own_port: u32) -> Result<Self, Error> {
        Ok(Self {
            socket: Socket::subscribed()?,
            own_port,
        })
    }

    /// Takes all notifications that have come and says whether one of them was about our table and not the client's
    /// own doing. It does not wait. When notifications were lost, it says yes.
    ///
    /// # Errors
    /// [`Error::Socket`].
    pub fn changed(&self) -> Result<bool, Error> {
        let mut changed = false;
        loop {
            match self.socket.receive()? {
                Received::Datagram(bytes) => changed |= is_news(&bytes, self.own_port),
                Received::Overrun => changed = true,
                Received::Nothing => return Ok(changed),
            }
        }
    }
}

/// Whether a datagram has a message about our table that another port caused. What cannot be read may be one.
fn is_news(datagram: &[u8], own_port: u32) -> bool {
    packets(datagram).any(|message| match message {
        Ok(Incoming { port, .. }) if port == own_port => false,
        Ok(Incoming {
            payload: Payload::Packet(packet),
            ..
        }) => table_name(&packet).map_or(true, |name| name.as_deref() == Some(TABLE)),
        Ok(_) => false,
        Err(_) => true,
    })
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
