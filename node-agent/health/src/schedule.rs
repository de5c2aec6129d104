//! Rise, fall and timing of one probe.

use std::time::{Duration, Instant};

use crate::{Failure, Policy};

/// First runs are spread over at most this time: long enough that ten thousand new probes are no
/// burst, short enough that a new server gets its traffic at once.
const FIRST_RUN_SPREAD: Duration = Duration::from_secs(1);

/// State machine of one probe: when it runs next, and whether its server is up.
///
/// It has no clock and does no I/O. Its owner calls [`Schedule::start`] when a run begins and
/// [`Schedule::finish`] with the result; between the two nothing is due, so a probe never overlaps
/// itself.
#[derive(Clone, Debug)]
pub struct Schedule {
    policy: Policy,
    seed: u64,
    up: bool,
    since: Instant,
    /// Results in a row that contradict `up`.
    contrary: u32,
    checked: bool,
    failure: Option<Failure>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Waiting { due: Instant, first: bool },
    Running { started: Instant, first: bool },
}

impl Schedule {
    /// A probe that has not run yet. `seed` spreads probes over time: the same seed gives the same
    /// times.
    #[must_use]
    pub fn new(policy: Policy, up: bool, seed: u64, now: Instant) -> Self {
        let policy = policy.clamped();
        Self {
            policy,
            seed,
            up,
            since: now,
            contrary: 0,
            checked: false,
            failure: None,
            phase: first_run(&policy, seed, now),
        }
    }

    /// The same state under another policy or for another probe; only the timing starts anew.
    #[must_use]
    pub fn succeeded_by(&self, policy: Policy, seed: u64, now: Instant) -> Self {
        let policy = policy.clamped();
        Self {
            policy,
            seed,
            phase: first_run(&policy, seed, now),
            ..self.clone()
        }
    }

    /// When the next run is due; `None` while one is under way.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { due, .. } => Some(due),
            Phase::Running { .. } => None,
        }
    }

    /// A run begins.
    pub fn start(&mut self, now: Instant) {
        if let Phase::Waiting { first, .. } = self.phase {
            self.phase = Phase::Running {
                started: now,
                first,
            };
        }
    }

    /// A run ended. Returns whether what this schedule says of its server has changed.
    pub fn finish(&mut self, result: Result<(), Failure>, now: Instant) -> bool {
        let Phase::Running { started, first } = self.phase else {
            return false;
        };
        let mut changed = !self.checked;
        self.checked = true;
        let failed = result.is_err();
        changed |= match result {
            Err(failure) if failure.is_local() => self.show(Some(failure)),
            Ok(()) => self.succeeded(now),
            Err(failure) => self.failed(failure, now),
        };
        let due = if failed && self.up {
            now + self.policy.retry_interval
        } else if first {
            started + self.second_run_delay()
        } else {
            started + self.policy.interval
        };
        self.phase = Phase::Waiting {
            due: due.max(now),
            first: first && failed && self.up,
        };
        changed
    }

    fn succeeded(&mut self, now: Instant) -> bool {
        if self.up {
            self.contrary = 0;
            return self.show(None);
        }
        self.contrary += 1;
        if self.contrary < self.policy.rise {
            return false;
        }
        self.turn(true, None, now)
    }

    fn failed(&mut self, failure: Failure, now: Instant) -> bool {
        if !self.up {
            self.contrary = 0;
            return self.show(Some(failure));
        }
        self.contrary += 1;
        if self.contrary < self.policy.fall {
            return self.show(None);
        }
        self.turn(false, Some(failure), now)
    }

    fn turn(&mut self, up: bool, failure: Option<Failure>, now: Instant) -> bool {
        self.up = up;
        self.since = now;
        self.contrary = 0;
        self.failure = failure;
        true
    }

    /// Replaces the failure that is shown, unless it is of the same kind: a server whose wrong
    /// banner has the time in it must not make its status change with every probe.
    fn show(&mut self, failure: Option<Failure>) -> bool {
        let same = match (&self.failure, &failure) {
            (None, None) => true,
            (Some(old), Some(new)) => old.same_kind(new),
            _ => false,
        };
        if !same {
            self.failure = failure;
        }
        !same
    }

    /// From the first start to the second: between half an interval and a whole one. This spreads
    /// long intervals over more than [`FIRST_RUN_SPREAD`], and never makes a probe late.
    fn second_run_delay(&self) -> Duration {
        let half = self.policy.interval / 2;
        half + fraction(half, self.seed >> 32)
    }

    /// Whether the server is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether a run has ended since the server is known.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// When the server turned up or down, or when it became known.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why the server is down or could not be checked, as far as it is known.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

fn first_run(policy: &Policy, seed: u64, now: Instant) -> Phase {
    Phase::Waiting {
        due: now + fraction(policy.interval.min(FIRST_RUN_SPREAD), seed),
        first: true,
    }
}

/// The part of `span` that the low 32 bits of `seed` name, less than the whole.
fn fraction(span: Duration, seed: u64) -> Duration {
    let part = (span.as_nanos() * u128::from(seed & u64::from(u32::MAX))) >> 32;
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
