//! What the routers of the VRRP thread share.

use std::cell::OnceCell;
use std::time::Duration;

use lvs_vrrp::Monotonic;
use tokio::sync::mpsc;

use super::announce::PacketSocket;
use super::clock::time_of_day;
use super::metrics::VrrpMetrics;
use super::netlink::Netlink;
use super::recorder::Recording;
use super::report::VrrpEvent;
use super::sockets::Sockets;
use super::thread::Links;

/// What the thread has for its routers.
pub(super) struct Shared {
    pub(super) links: Links,
    pub(super) netlink: Netlink,
    pub(super) packets: PacketSocket,
    pub(super) sockets: Sockets,
    /// When the advertisements were due that were sent in this turn.
    pub(super) sent_due: Vec<Monotonic>,
}

impl Shared {
    /// What a router is handed.
    pub(super) fn shell(&mut self) -> Shell<'_> {
        Shell {
            netlink: &mut self.netlink,
            packets: &self.packets,
            sockets: &mut self.sockets,
            sent_due: &mut self.sent_due,
            time_of_day: OnceCell::new(),
            metrics: &self.links.metrics,
            events: &self.links.events,
            recordings: &self.links.recordings,
        }
    }
}

/// What routers share.
pub(super) struct Shell<'a> {
    pub(super) netlink: &'a mut Netlink,
    pub(super) packets: &'a PacketSocket,
    pub(super) sockets: &'a mut Sockets,
    /// When the advertisements were due that were sent in this turn.
    pub(super) sent_due: &'a mut Vec<Monotonic>,
    /// Read once, when it is needed.
    pub(super) time_of_day: OnceCell<Duration>,
    pub(super) metrics: &'a VrrpMetrics,
    pub(super) events: &'a mpsc::Sender<VrrpEvent>,
    pub(super) recordings: &'a mpsc::Sender<Recording>,
}

impl Shell<'_> {
    /// Time since the Unix epoch: the same for all that this is handed to.
    pub(super) fn time_of_day(&self) -> Duration {
        *self.time_of_day.get_or_init(time_of_day)
    }

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
