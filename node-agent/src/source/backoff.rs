//! How soon a watch that failed is begun again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// Longest pause. The client library's own is 30 s, during which an API server that is back would be
/// waited for in vain.
const LONGEST: Duration = Duration::from_secs(5);

/// The client library's growing pauses, but none longer than 5 s.
#[derive(Default)]
pub(crate) struct WatchBackoff(DefaultBackoff);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_longer_than_five_seconds() {
        let mut pauses = WatchBackoff::default();
        let first = pauses.next().expect("a pause");
        assert!(first < LONGEST, "{first:?}");
        assert!(pauses.take(20).all(|pause| pause <= LONGEST));
    }
}
