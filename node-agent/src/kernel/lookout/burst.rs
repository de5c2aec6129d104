//! Many notices in a row are one. Pure.

use std::time::{Duration, Instant};

/// A notice is told when no other has come for so long: a change by hand is over then, and `ipvsadm -R` is not.
const QUIET: Duration = Duration::from_millis(20);
/// Longest time for which others may put a notice off.
const PATIENCE: Duration = Duration::from_millis(250);
/// Time between two that are told: each means that the table is read.
const SPACING: Duration = Duration::from_millis(500);

/// Notices that wait to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Burst {
    waiting: Option<Waiting>,
    told: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    first: Instant,
    last: Instant,
}

impl Burst {
    /// A notice has come.
    pub(super) fn notice(&mut self, now: Instant) {
        let first = self.waiting.map_or(now, |waiting| waiting.first);
        self.waiting = Some(Waiting { first, last: now });
    }

    /// What has come is known.
    pub(super) const fn forget(&mut self) {
        self.waiting = None;
    }

    /// When to tell, if there is something to.
    pub(super) fn due(&self) -> Option<Instant> {
        let waiting = self.waiting?;
        let due = (waiting.last + QUIET).min(waiting.first + PATIENCE);
        Some(self.told.map_or(due, |told| due.max(told + SPACING)))
    }

    /// It was told.
    pub(super) const fn tell(&mut self, now: Instant) {
        self.waiting = None;
        self.told = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn one_notice_is_told_after_a_moment_of_quiet() {
        let start = Instant::now();
        let mut burst = Burst::default();
        assert_eq!(burst.due(), None);
        burst.notice(start);
        assert_eq!(burst.due(), Some(start + ms(20)));
        burst.notice(start + ms(15));
        assert_eq!(burst.due(), Some(start + ms(35)));
        burst.forget();
        assert_eq!(burst.due(), None);
    }

    #[test]
    fn a_long_burst_is_told_well_within_a_second_and_not_more_than_twice_in_one() {
        let start = Instant::now();
        let mut burst = Burst::default();
        let mut told = Vec::new();
        for now in (0..2000).map(|now| start + ms(now)) {
            burst.notice(now);
            if burst.due().is_some_and(|due| due <= now) {
                burst.tell(now);
                told.push(now - start);
            }
        }
        assert_eq!(told.first(), Some(&ms(250)));
        let spacing: Vec<_> = told
            .windows(2)
            .map(|pair| pair[1].abs_diff(pair[0]))
            .collect();
        assert_eq!(spacing, [ms(500); 3]);
    }
}
