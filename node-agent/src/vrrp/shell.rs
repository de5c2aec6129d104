//! What the routers of the VRRP thread share.

use tokio::sync::mpsc;

use super::announce::PacketSocket;
use super::metrics::VrrpMetrics;
use super::netlink::Netlink;
use super::recorder::Recording;
use super::report::VrrpEvent;
use super::sockets::Sockets;

/// What routers share.
pub(super) struct Shell<'a> {
    pub(super) netlink: &'a mut Netlink,
    pub(super) packets: &'a PacketSocket,
    pub(super) sockets: &'a mut Sockets,
    pub(super) metrics: &'a VrrpMetrics,
    pub(super) events: &'a mpsc::Sender<VrrpEvent>,
    pub(super) recordings: &'a mpsc::Sender<Recording>,
}

impl Shell<'_> {
    /// Passes an event on. Never waits: an advertisement is worth more than a line of the log.
    pub(super) fn tell(&self, event: VrrpEvent) {
        if self.events.try_send(event).is_err() {
            self.metrics.events_lost.increment();
        }
    }

    /// Passes a recording on, which is written elsewhere. None is made if too many wait for that.
    pub(super) fn record(&self, recording: impl FnOnce() -> Recording) {
        match self.recordings.try_reserve() {
            Ok(place) => place.send(recording()),
            Err(_) => self.metrics.recordings_lost.increment(),
        }
    }
}
