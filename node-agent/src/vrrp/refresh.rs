//! Renewing the lifetime of VIPs.

use std::time::Duration;

use lvs_vrrp::Monotonic;

use super::addresses::Change;
use super::clock::clock;
use super::member::Member;
use super::metrics::VrrpMetrics;
use super::netlink::{BATCH_BYTES, Netlink};

/// The next refresh of VIPs, encoded once and sent as often as needed.
#[derive(Default)]
pub(super) struct Refresh {
    batches: Vec<Vec<u8>>,
    pub(super) due: Option<Monotonic>,
    interval: Duration,
    /// Routers have changed since it was encoded.
    pub(super) outdated: bool,
}

impl Refresh {
    /// Encodes the VIPs of all Active routers anew; they are due at once.
    pub(super) fn encode(&mut self, members: &[Member]) {
        self.outdated = false;
        self.batches.clear();
        self.interval = Duration::MAX;
        let mut sequence = 0;
        let mut is_needed = false;
        for (interval, lifetime_seconds, vips) in members.iter().filter_map(Member::refreshes) {
            is_needed = true;
            self.interval = self.interval.min(interval);
            for vip in vips {
                sequence += 1;
                let change = Change::Refresh {
                    vip,
                    lifetime_seconds,
                };
                change.encode(sequence, open_batch(&mut self.batches));
            }
        }
        self.due = is_needed.then(clock);
    }

    /// Sends what was encoded when it is due: up to some hundred VIPs in each system call. Says
    /// whether it was due. A failure is counted; the next refresh makes it good.
    pub(super) fn send_if_due(
        &mut self,
        now: Monotonic,
        netlink: &mut Netlink,
        metrics: &VrrpMetrics,
    ) -> bool {
        let Some(due) = self.due.filter(|due| *due <= now) else {
            return false;
        };
        // The rhythm is kept, so that refreshes and advertisements share their wake-ups.
        let next = due + self.interval;
        self.due = Some(if next > now {
            next
        } else {
            now + self.interval
        });
        // An interface that went away takes its VIPs along; its notice tells the router.
        for batch in &self.batches {
            let mut failed = Vec::new();
            if netlink.exchange(batch, 1, &mut failed).is_err() || !failed.is_empty() {
                metrics.send_errors.increment();
            }
        }
        true
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
    use super::super::addresses::Vip;
    use super::*;

    #[test]
    fn no_batch_is_longer_than_the_send_buffer_takes() {
        let mut batches = Vec::new();
        for sequence in 0..5000_u32 {
            let change = Change::Refresh {
                vip: Vip {
                    interface_index: 2,
                    address: std::net::Ipv4Addr::from(0x0a00_0000 + sequence).into(),
                    prefix_length: 32,
                },
                lifetime_seconds: 6,
            };
            change.encode(sequence, open_batch(&mut batches));
        }
        assert!(batches.len() > 1);
        let longest = batches.iter().map(Vec::len).max();
        assert!(longest < Some(BATCH_BYTES + 1024), "{longest:?}");
    }
}
