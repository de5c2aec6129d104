//! Advertisement intervals and the timers derived from them (RFC 9568 section 6.1, RFC 3768
//! section 6.1), in integers and without truncation to the unit of the packet.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::packet::Version;

/// A time in hundredths of a second: the unit of version 3's Max Advertise Interval.
///
/// Version 2 counts whole seconds on the wire; here both are centiseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Centiseconds(u16);

impl Centiseconds {
    /// The longest interval that version 3 can carry in its 12 bits: 40.95 s.
    pub const MAX_V3: Self = Self(0x0fff);
    /// The longest interval that version 2 can carry in its 8 bits: 255 s.
    pub const MAX_V2: Self = Self(25_500);

    /// `count` hundredths of a second.
    #[must_use]
    pub const fn new(count: u16) -> Self {
        Self(count)
    }

    /// `count` whole seconds, up to the 255 of version 2.
    #[must_use]
    pub fn from_seconds(count: u8) -> Self {
        Self(u16::from(count) * 100)
    }

    /// `milliseconds`, if they are a multiple of 10 within 0 to 655 350.
    #[must_use]
    pub fn from_milliseconds(milliseconds: u32) -> Option<Self> {
        if !milliseconds.is_multiple_of(10) {
            return None;
        }
        u16::try_from(milliseconds / 10).ok().map(Self)
    }

    /// Number of hundredths of a second.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }

    /// The same time as a [`Duration`].
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0) * 10)
    }
}

impl fmt::Display for Centiseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ms", u32::from(self.0) * 10)
    }
}

/// `Skew_Time`: by how much a Backup of `priority` waits longer than one of priority 256 would, so
/// that the best one takes over.
///
/// Version 3 scales it with the interval, version 2 with one second. Exact to a nanosecond.
#[must_use]
pub fn skew_time(version: Version, priority: u8, interval: Centiseconds) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval.duration(),
    };
    unit * (256 - u32::from(priority)) / 256
}

/// `Active_Down_Interval` (`Master_Down_Interval` in version 2): how long a Backup of `priority` hears
/// nothing until it takes over, `advertisements` intervals and the skew. The RFCs have 3
/// advertisements.
#[must_use]
pub fn active_down_interval(
    version: Version,
    priority: u8,
    interval: Centiseconds,
    advertisements: u8,
) -> Duration {
    interval.duration() * u32::from(advertisements) + skew_time(version, priority, interval)
}

/// How long an Active Router that advertises every `interval` can be unheard while it can be heard:
/// it advertises twice in that time.
pub(crate) fn heard_within(interval: Centiseconds) -> Duration {
    interval.duration() * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_is_scaled_in_version_3_only() {
        let (fast, second) = (Centiseconds::new(10), Centiseconds::new(100));
        assert_eq!(
            skew_time(Version::V3, 100, second),
            Duration::from_nanos(609_375_000)
        );
        assert_eq!(
            skew_time(Version::V3, 100, fast),
            Duration::from_nanos(60_937_500)
        );
        assert_eq!(
            skew_time(Version::V2, 100, Centiseconds::from_seconds(10)),
            Duration::from_nanos(609_375_000)
        );
        assert_eq!(
            skew_time(Version::V3, 255, second),
            Duration::from_nanos(3_906_250)
        );
    }

    #[test]
    fn down_interval_has_the_values_of_the_formula() {
        let down = |priority, centiseconds| {
            active_down_interval(Version::V3, priority, Centiseconds::new(centiseconds), 3)
        };
        assert_eq!(down(100, 100), Duration::from_nanos(3_609_375_000));
        assert_eq!(down(254, 100), Duration::from_nanos(3_007_812_500));
        assert_eq!(down(100, 1), Duration::from_nanos(36_093_750));
        assert_eq!(
            active_down_interval(Version::V2, 100, Centiseconds::from_seconds(1), 3),
            Duration::from_nanos(3_609_375_000)
        );
        assert_eq!(
            active_down_interval(Version::V3, 1, Centiseconds::MAX_V3, 10),
            Duration::from_nanos(450_290_039_062)
        );
    }

    #[test]
    fn milliseconds_are_taken_only_if_they_fit_exactly() {
        assert_eq!(
            Centiseconds::from_milliseconds(1000),
            Some(Centiseconds::new(100))
        );
        assert_eq!(Centiseconds::from_milliseconds(15), None);
        assert_eq!(Centiseconds::from_milliseconds(655_360), None);
        assert_eq!(Centiseconds::new(25).to_string(), "250 ms");
    }
}
