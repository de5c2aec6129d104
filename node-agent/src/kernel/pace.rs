//! How often something is looked at that costs the more the larger it is.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Longest pause for the sake of differences alone.
const LONGEST: Duration = Duration::from_secs(30);
/// Doublings of the pause after looks that showed a difference each.
const DOUBLINGS: u32 = 10;

/// A pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Shortest pause.
    pub(super) least: Duration,
    /// At most one part in so many of a CPU is used.
    pub(super) share: u32,
}

impl Pace {
    /// For looks at `/proc/net/ip_vs` with nothing else to find changes by: at most 1 % of a CPU.
    pub(super) const ALONE: Self = Self {
        least: Duration::from_millis(500),
        share: 100,
    };
    /// For what `nlmon` does not show: at most 0.2 % of a CPU.
    pub(super) const BESIDE_NLMON: Self = Self {
        least: Duration::from_secs(2),
        share: 500,
    };
    /// For what neither shows, by reading the whole table over netlink: at most a third of 1 % of a CPU.
    /// It is asked every 30 s whether it is time, so the least is a little less.
    pub(super) const WHOLE: Self = Self {
        least: Duration::from_secs(25),
        share: 300,
    };

    /// The pause after a look that took `cost` of a CPU. `differences` looks in a row, this one included, showed
    /// something else than expected: each means that the whole table is read, so they become fewer.
    pub(super) fn pause(self, cost: Duration, differences: u32) -> Duration {
        let fair = cost.saturating_mul(self.share).max(self.least);
        let patient = self
            .least
            .saturating_mul(1 << differences.min(DOUBLINGS))
            .min(LONGEST);
        fair.max(patient)
    }
}

/// Time that this thread has spent on a CPU: what a look has cost is a difference of two.
pub(super) fn cpu_time() -> Duration {
    // It fails for unknown clocks only.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_table_is_looked_at_twice_a_second_and_a_large_one_as_its_cost_allows() {
        let cost = Duration::from_micros(300);
        assert_eq!(Pace::ALONE.pause(cost, 0), Duration::from_millis(500));
        assert_eq!(Pace::BESIDE_NLMON.pause(cost, 0), Duration::from_secs(2));
        let cost = Duration::from_millis(80);
        assert_eq!(Pace::ALONE.pause(cost, 0), Duration::from_secs(8));
        assert_eq!(Pace::BESIDE_NLMON.pause(cost, 0), Duration::from_secs(40));
    }

    #[test]
    fn differences_that_stay_are_looked_at_less_and_less() {
        let pauses: Vec<_> = (0..=8)
            .map(|differences| Pace::ALONE.pause(Duration::ZERO, differences).as_millis())
            .collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
    }

    proptest! {
        #[test]
        fn the_share_of_a_cpu_is_never_exceeded(milliseconds in 0..100_000_u64, differences: u32) {
            let cost = Duration::from_millis(milliseconds);
            for pace in [Pace::ALONE, Pace::BESIDE_NLMON, Pace::WHOLE] {
                let pause = pace.pause(cost, differences);
                prop_assert!(pause >= cost * pace.share && pause >= pace.least);
            }
        }
    }
}
