//! How soon a VIP that another program removed is added again: at once, unless that program keeps
//! removing it. Pure.

use std::time::Duration;

use lvs_vrrp::Monotonic;

/// So often a VIP is added again at once.
const FREE: u32 = 3;
/// The pause before it is added again for the next time; it doubles from time to time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A VIP that stays this long is not fought over any more.
const CALM: Duration = Duration::from_secs(60);

/// What is known of the removals of one VIP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Brake {
    restored: u32,
    /// When it was last added again.
    restored_at: Monotonic,
}

impl Brake {
    /// The VIP was added again at `now`.
    pub(super) fn restored(&mut self, now: Monotonic) {
        if self.is_calm(now) {
            self.restored = 0;
        }
        self.restored = self.restored.saturating_add(1);
        self.restored_at = now;
    }

    /// When it may be added again, if it is removed at `now`.
    pub(super) fn next_at(&self, now: Monotonic) -> Monotonic {
        if self.restored < FREE || self.is_calm(now) {
            return now;
        }
        let doublings = (self.restored - FREE).min(8);
        let pause = (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
        now.max(self.restored_at + pause)
    }

    /// Whether the VIP is being fought over.
    pub(super) fn is_fight(&self, now: Monotonic) -> bool {
        self.restored >= FREE && !self.is_calm(now)
    }

    /// When a fight is over unless the VIP is removed again.
    pub(super) fn calm_at(&self) -> Monotonic {
        self.restored_at + CALM
    }

    fn is_calm(&self, now: Monotonic) -> bool {
        self.calm_at() <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Monotonic {
        Monotonic::from_epoch(Duration::from_secs(1000) + Duration::from_millis(milliseconds))
    }

    /// The pauses before each of `count` times that a VIP is added again, when it is removed at once.
    fn pauses(count: usize) -> Vec<u128> {
        let mut brake = Brake::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..count {
            let next = brake.next_at(now);
            pauses.push(next.saturating_since(now).as_millis());
            now = next;
            brake.restored(now);
        }
        pauses
    }

    #[test]
    fn the_pauses_grow_to_a_bound() {
        assert_eq!(
            pauses(10),
            [0, 0, 0, 500, 1000, 2000, 4000, 8000, 8000, 8000]
        );
        // An hour of it: no more than one each 8 s.
        assert_eq!(pauses(1000).last(), Some(&8000));
    }

    #[test]
    fn a_vip_that_stays_is_fought_over_no_more() {
        let mut brake = Brake::default();
        for _ in 0..9 {
            brake.restored(at(0));
        }
        assert!(brake.is_fight(at(0)));
        assert_eq!(brake.next_at(at(1)), at(8000));
        assert_eq!(brake.next_at(at(9000)), at(9000), "long enough ago");
        assert_eq!(brake.calm_at(), at(60_000));
        assert!(!brake.is_fight(at(60_000)));
        assert_eq!(brake.next_at(at(60_000)), at(60_000));
        brake.restored(at(60_000));
        assert_eq!(brake.next_at(at(60_001)), at(60_001));
        assert!(!brake.is_fight(at(60_001)));
    }
}
