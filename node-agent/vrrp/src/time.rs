//! Points in time, handed in by the caller.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on a clock that never goes back, as the time since that clock's epoch.
///
/// The agent uses `CLOCK_MONOTONIC`, whose epoch outlives a process: a point written down before a
/// restart still means the same after it, which [`crate::Input::StartActive`] rests on. A simulation
/// starts at zero.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "u64", into = "u64")]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The clock's epoch.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The point `elapsed` after the epoch.
    #[must_use]
    pub const fn from_epoch(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Time since the epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Saturates at the end of time instead of panicking.
impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// From nanoseconds since the epoch.
impl From<u64> for Monotonic {
    fn from(nanoseconds: u64) -> Self {
        Self(Duration::from_nanos(nanoseconds))
    }
}

/// Nanoseconds since the epoch, which last for 584 years.
impl From<Monotonic> for u64 {
    fn from(point: Monotonic) -> Self {
        Self::try_from(point.0.as_nanos()).unwrap_or(Self::MAX)
    }
}
