//! The deadlines that the product promises, each with what a busy machine may add. Benchmarks measure; a test
//! tells a promise that is kept from one that is broken.

use std::time::Duration;

/// What a busy machine may add: the nodes of the lab and the clients share its processors.
pub const ROOM: Duration = Duration::from_secs(2);

/// RFC 9568, section 6.1: three adverts of one second, and the skew of priority 100, `156/256` s.
pub const ACTIVE_DOWN_INTERVAL: Duration = Duration::from_millis(3610);

/// An Active Router that is gone is replaced.
pub const TAKEN_OVER: Duration = ACTIVE_DOWN_INTERVAL.saturating_add(ROOM);

/// A VIP moves on purpose: 200 ms, and less than any takeover needs.
pub const HANDED_OVER: Duration = Duration::from_millis(200).saturating_add(ROOM);

/// Requests that two planned moves may catch at 100 a second: of connections that the kernel has not told the other
/// director of, which it does at their third packet and up to 20 ms later, and between the moves of two addresses.
pub const CAUGHT: usize = 10;

/// A change by hand is repaired, and a change through the API is in the kernel, within a second.
pub const CARRIED_OUT: Duration = Duration::from_secs(1).saturating_add(ROOM);

/// A real server that does not answer is out: six seconds with the default checks.
pub const OUT: Duration = Duration::from_secs(6).saturating_add(ROOM);
