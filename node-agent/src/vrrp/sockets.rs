//! The sockets of the thread: one for each interface and family, which the routers there share.
//!
//! The kernel gives every raw socket all advertisements that come in on its interface. With one for each router, 255
//! of them would be given 65,025 packets in each interval.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use super::plan::Family;
use super::socket::AdvertisementSocket;

/// Those that routers have.
#[derive(Default)]
pub(super) struct Sockets(BTreeMap<(u32, Family), Shared>);

struct Shared {
    /// Closed when the last router has dropped it.
    socket: Weak<AdvertisementSocket>,
    /// Packets may wait.
    is_readable: bool,
}

impl Sockets {
    /// That of an interface and family. Opened if no router has it: a fresh one joins the group anew, which makes the
    /// kernel tell switches that forgot us while the link was down (IGMP, MLD).
    pub(super) fn open(
        &mut self,
        interface: &str,
        index: u32,
        family: Family,
    ) -> io::Result<Arc<AdvertisementSocket>> {
        let key = (index, family);
        let known = self.0.get(&key);
        if let Some(socket) = known.and_then(|shared| shared.socket.upgrade()) {
            return Ok(socket);
        }
        let socket = Arc::new(AdvertisementSocket::open(interface, index, family)?);
        let shared = Shared {
            socket: Arc::downgrade(&socket),
            is_readable: true,
        };
        self.0.insert(key, shared);
        Ok(socket)
    }

    /// All of them, in the order of [`Sockets::note_readable`].
    pub(super) fn all(&mut self) -> Vec<Arc<AdvertisementSocket>> {
        self.0.retain(|_, shared| shared.socket.strong_count() > 0);
        let shared = self.0.values();
        shared
            .filter_map(|shared| shared.socket.upgrade())
            .collect()
    }

    /// Takes in for each whether packets wait.
    pub(super) fn note_readable(&mut self, readable: impl IntoIterator<Item = bool>) {
        for (shared, is_readable) in self.0.values_mut().zip(readable) {
            shared.is_readable |= is_readable;
        }
    }

    /// Those in which packets may wait, and those that `is_wanted` says.
    pub(super) fn take_readable(
        &mut self,
        is_wanted: impl Fn(&Arc<AdvertisementSocket>) -> bool,
    ) -> Vec<Arc<AdvertisementSocket>> {
        let shared = self.0.values_mut().filter_map(|shared| {
            let socket = shared.socket.upgrade()?;
            let is_readable = std::mem::take(&mut shared.is_readable);
            (is_readable || is_wanted(&socket)).then_some(socket)
        });
        shared.collect()
    }
}
