//! Whether the loop is alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The loop does something at least this often.
pub const PERIOD: Duration = Duration::from_secs(30);

/// The time of the loop's last sign of life. Clones share it.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    start: Instant,
    /// Milliseconds from `start` to the last beat.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    /// A heart that beats at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            start: now,
            last: Arc::default(),
        }
    }

    /// Beats.
    pub fn beat(&self, now: Instant) {
        let since_start = now.duration_since(self.start).as_millis();
        self.last.store(
            u64::try_from(since_start).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// Whether the loop has done something within twice its longest period.
    #[must_use]
    pub fn is_alive(&self, now: Instant) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.duration_since(self.start).saturating_sub(last) < PERIOD * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_not_alive() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(start);
        assert!(heartbeat.is_alive(start + Duration::from_secs(59)));
        assert!(!heartbeat.is_alive(start + Duration::from_secs(60)));
        heartbeat.clone().beat(start + Duration::from_secs(50));
        assert!(heartbeat.is_alive(start + Duration::from_secs(109)));
    }
}
