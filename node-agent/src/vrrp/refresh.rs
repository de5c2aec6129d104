//! Renewing the lifetime of a router's VIPs.
//!
//! A refresh goes with an advertisement and with nothing else: when an agent has been killed, the
//! time stamp that the kernel keeps of the last refresh says until when the peers wait for it. It
//! follows once everything that was due has been sent, those of all routers in one system call.

use std::time::Duration;

use lvs_vrrp::Monotonic;

use super::addresses::{Change, Vip};
use super::metrics::VrrpMetrics;
use super::netlink::{BATCH_BYTES, Netlink};

/// Shortest time from one refresh to the next, however short the advertisement interval: a little
/// less than 100 ms, so that an interval of 100 ms is refreshed each time in spite of jitter.
const SHORTEST: Duration = Duration::from_millis(90);

/// The refresh of a router's VIPs, encoded once and sent as often as needed.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    batches: Vec<Vec<u8>>,
    is_outdated: bool,
    wanted_at: Option<Monotonic>,
    sent_at: Option<Monotonic>,
}

impl Refresh {
    /// The VIPs or their lifetime are others than before.
    pub(super) fn outdate(&mut self) {
        self.is_outdated = true;
    }

    /// The router is not Active any more.
    pub(super) fn end(&mut self) {
        self.wanted_at = None;
        self.sent_at = None;
    }

    /// Something was advertised at `now`, or a refresh is overdue: it is to be sent.
    pub(super) fn want(&mut self, now: Monotonic) {
        self.wanted_at = Some(now);
    }

    /// Whether it is to be sent.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted_at.is_some()
    }

    /// The same; it is not afterwards.
    pub(super) fn take_wanted(&mut self) -> bool {
        self.wanted_at.take().is_some()
    }

    /// Whether an advertisement at `now` brings a refresh along.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        self.sent_at
            .is_none_or(|at| now.saturating_since(at) >= SHORTEST)
    }

    /// When to refresh though nothing was advertised. A router that stops is silent, but holds its
    /// VIPs until it hears its successor.
    pub(super) fn overdue_at(&self, lifetime_seconds: u32) -> Option<Monotonic> {
        let half = Duration::from_secs(lifetime_seconds.into()) / 2;
        self.sent_at.map(|at| at + half)
    }

    /// Adds the refresh to what is to be sent.
    pub(super) fn collect(
        &mut self,
        vips: impl Iterator<Item = Vip>,
        lifetime_seconds: u32,
        renewal: &mut Renewal,
    ) {
        if self.is_outdated {
            self.encode(vips, lifetime_seconds);
        }
        self.sent_at = self.wanted_at;
        for batch in &self.batches {
            open_batch(&mut renewal.batches).extend_from_slice(batch);
        }
    }

    fn encode(&mut self, vips: impl Iterator<Item = Vip>, lifetime_seconds: u32) {
        self.is_outdated = false;
        self.batches.clear();
        let changes = vips.map(|vip| Change::Refresh {
            vip,
            lifetime_seconds,
        });
        for (sequence, change) in (1..).zip(changes) {
            change.encode(sequence, open_batch(&mut self.batches));
        }
    }
}

/// The refreshes of several routers.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    batches: Vec<Vec<u8>>,
}

impl Renewal {
    /// Sends them: up to some hundred VIPs in each system call. A failure is counted; the next refresh
    /// makes it good.
    pub(super) fn send(self, netlink: &mut Netlink, metrics: &VrrpMetrics) {
        // An interface that went away takes its VIPs along; its notice tells the router.
        for batch in &self.batches {
            let mut failed = Vec::new();
            if netlink.exchange(batch, 1, &mut failed).is_err() || !failed.is_empty() {
                metrics.send_errors.increment();
            }
        }
    }
}

/// The batch that has room for one more change.
fn open_batch(batches: &mut Vec<Vec<u8>>) -> &mut Vec<u8> {
    match batches.pop_if(|batch| batch.len() < BATCH_BYTES) {
        Some(batch) => batches.push_mut(batch),
        None => batches.push_mut(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_is_longer_than_the_send_buffer_takes() {
        let mut refresh = Refresh::default();
        let vips = (0..5000_u32).map(|number| Vip {
            interface_index: 2,
            address: std::net::Ipv4Addr::from(0x0a00_0000 + number).into(),
            prefix_length: 32,
        });
        refresh.encode(vips, 6);
        assert!(refresh.batches.len() > 1);
        let longest = refresh.batches.iter().map(Vec::len).max();
        assert!(longest < Some(BATCH_BYTES + 1024), "{longest:?}");
    }

    #[test]
    fn the_refreshes_of_many_routers_are_one_batch() {
        let mut renewal = Renewal::default();
        let mut lengths = 0;
        for number in 0..255_u32 {
            let mut refresh = Refresh::default();
            refresh.outdate();
            refresh.want(Monotonic::ZERO);
            let vip = Vip {
                interface_index: 2,
                address: std::net::Ipv4Addr::from(0x0a00_0000 + number).into(),
                prefix_length: 32,
            };
            refresh.collect(std::iter::once(vip), 4, &mut renewal);
            assert!(refresh.take_wanted() && !refresh.is_wanted());
            lengths += refresh.batches.iter().map(Vec::len).sum::<usize>();
        }
        let [batch] = renewal.batches.as_slice() else {
            panic!("{} batches", renewal.batches.len());
        };
        assert_eq!(batch.len(), lengths);
    }

    #[test]
    fn advertisements_bring_refreshes_along_but_not_more_than_ten_a_second() {
        let at = |milliseconds| Monotonic::from_epoch(Duration::from_millis(milliseconds));
        let mut refresh = Refresh::default();
        assert!(refresh.is_due(at(0)));
        assert_eq!(refresh.overdue_at(4), None, "nothing was refreshed yet");
        refresh.sent_at = Some(at(5000));
        assert!(!refresh.is_due(at(5010)));
        assert!(refresh.is_due(at(5100)));
        assert_eq!(refresh.overdue_at(4), Some(at(7000)));
        refresh.end();
        assert_eq!(refresh.overdue_at(4), None);
    }
}
