//! Numbers that only grow, and who has sent which.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Senders that are remembered: several routers send at the same time only while they compete.
const SENDERS: usize = 4;

/// The number of a signed message: 32 bits of seconds, 16 of their fraction, 16 of a counter. Numbers
/// are compared modulo 2^64 (RFC 1982), so that the end of 32 bits of seconds in 2106 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The first number at `time_of_day`.
    #[must_use]
    pub fn at(time_of_day: Duration) -> Self {
        let fraction = (u64::from(time_of_day.subsec_nanos()) << 16) / 1_000_000_000;
        Self((time_of_day.as_secs() << 32) | (fraction << 16))
    }

    /// The number with this value.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its value.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The number of a sender's next message after this one: the time, or one more where the clock has
    /// not advanced. When a clock was set back, receivers that check the time would refuse all that is
    /// ahead of them; with [`AntiReplay::Time`] the sender goes back, too, and they forget the old.
    #[must_use]
    pub fn next(self, anti_replay: AntiReplay, time_of_day: Duration) -> Self {
        let now = Self::at(time_of_day);
        if now.is_after(self) || !anti_replay.is_fresh(self, time_of_day) {
            return now;
        }
        Self(self.0.wrapping_add(1))
    }

    fn is_after(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    fn seconds(self) -> u32 {
        let [first, second, third, fourth, ..] = self.0.to_be_bytes();
        u32::from_be_bytes([first, second, third, fourth])
    }
}

/// What keeps recorded messages from being sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AntiReplay {
    /// A message's time must be the present, and its number above the sender's last. Clocks must agree.
    Time {
        /// By how many seconds clocks may differ, 1 to 300.
        window_seconds: u16,
    },
    /// A message's number must be above the sender's last. A router that was just started knows none.
    Monotonic,
}

impl AntiReplay {
    /// Whether the time of a message is the present.
    pub(super) fn is_fresh(self, sequence: Sequence, time_of_day: Duration) -> bool {
        match self {
            Self::Monotonic => true,
            Self::Time { window_seconds } => {
                let now = Sequence::at(time_of_day).seconds();
                let difference = now.wrapping_sub(sequence.seconds()).cast_signed();
                difference.unsigned_abs() <= u32::from(window_seconds)
            }
        }
    }
}

/// The last number of each sender, for the four heard last.
#[derive(Clone, Debug)]
pub struct Senders {
    anti_replay: AntiReplay,
    /// The one heard last is the last.
    heard: Vec<(IpAddr, Sequence)>,
}

impl Senders {
    /// Nobody has been heard.
    #[must_use]
    pub const fn new(anti_replay: AntiReplay) -> Self {
        Self {
            anti_replay,
            heard: Vec::new(),
        }
    }

    /// What keeps recorded messages out.
    #[must_use]
    pub const fn anti_replay(&self) -> AntiReplay {
        self.anti_replay
    }

    /// Remembers the number of an authentic message; false if it is not above the last one.
    pub(super) fn accept(
        &mut self,
        source: IpAddr,
        sequence: Sequence,
        time_of_day: Duration,
    ) -> bool {
        let place = self.heard.iter().position(|(sender, _)| *sender == source);
        let last = place.map(|place| self.heard.remove(place).1);
        // Outside the window it orders only what the window refuses; a sender whose clock was set back
        // must be able to go on.
        let last = last.filter(|last| self.anti_replay.is_fresh(*last, time_of_day));
        let is_above = last.is_none_or(|last| sequence.is_after(last));
        let remembered = if is_above { Some(sequence) } else { last };
        if let Some(remembered) = remembered {
            if self.heard.len() >= SENDERS {
                self.heard.remove(0);
            }
            self.heard.push((source, remembered));
        }
        is_above
    }
}
