//! What the routers of the VRRP thread share.

use tokio::sync::mpsc;

use super::announce::PacketSocket;
use super::metrics::VrrpMetrics;
use super::netlink::Netlink;
use super::report::VrrpEvent;

/// What routers share.
pub(super) struct Shell<'a> {
    pub(super) netlink: &'a mut Netlink,
    pub(super) packets: &'a PacketSocket,
    pub(super) metrics: &'a VrrpMetrics,
    pub(super) events: &'a mpsc::Sender<VrrpEvent>,
}

impl Shell<'_> {
    /// Passes an event on. Never waits: an advertisement is worth more than a line of the log.
    pub(super) fn tell(&self, event: VrrpEvent) {
        if self.events.try_send(event).is_err() {
            self.metrics.events_lost.increment();
        }
    }
}
