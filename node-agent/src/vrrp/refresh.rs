//! Renewing the lifetime of VIPs.

use std::io;
use std::time::Duration;

use lvs_vrrp::Monotonic;

use super::addresses::Change;
use super::clock::clock;
use super::member::Member;
use super::netlink::Netlink;

/// The next refresh of VIPs, encoded once and sent as often as needed.
#[derive(Default)]
pub(super) struct Refresh {
    batch: Vec<u8>,
    pub(super) due: Option<Monotonic>,
    interval: Duration,
    /// Routers have changed since it was encoded.
    pub(super) outdated: bool,
}

impl Refresh {
    /// Encodes the VIPs of all Active routers anew; they are due at once.
    pub(super) fn encode(&mut self, members: &[Member]) {
        self.outdated = false;
        self.batch.clear();
        self.interval = Duration::MAX;
        let mut sequence = 0;
        for (interval, lifetime_seconds, vips) in members.iter().filter_map(Member::refreshes) {
            for vip in vips {
                sequence += 1;
                self.interval = self.interval.min(interval);
                let change = Change::Refresh {
                    vip,
                    lifetime_seconds,
                };
                change.encode(sequence, &mut self.batch);
            }
        }
        self.due = (sequence > 0).then(clock);
    }

    /// Sends what was encoded, in one system call, when it is due.
    pub(super) fn send_if_due(&mut self, now: Monotonic, netlink: &mut Netlink) -> io::Result<()> {
        let Some(due) = self.due.filter(|due| *due <= now) else {
            return Ok(());
        };
        // The rhythm is kept, so that refreshes and advertisements share their wake-ups.
        let next = due + self.interval;
        self.due = Some(if next > now {
            next
        } else {
            now + self.interval
        });
        // An interface that went away takes its VIPs along; its notice tells the router.
        netlink.exchange(&self.batch, 1, &mut Vec::new())
    }
}
