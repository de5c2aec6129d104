//! The clock that routers and the kernel's address time stamps count by, and the time of day.

use std::time::Duration;

use lvs_vrrp::Monotonic;
use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, which address time stamps of the kernel count by as well.
pub(super) fn clock() -> Monotonic {
    // It fails for unknown clocks only.
    Monotonic::from_epoch(
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_or_else(|_| Duration::ZERO, Duration::from),
    )
}

/// Time since the Unix epoch (`CLOCK_REALTIME`), which the peers of a VRID agree about.
pub(super) fn time_of_day() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or_else(|_| Duration::ZERO, Duration::from)
}
