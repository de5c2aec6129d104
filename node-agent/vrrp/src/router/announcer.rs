//! When to announce which virtual addresses.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::GratuitousAnnouncements;
use crate::time::Monotonic;

const SHORTEST_REPETITION: Duration = Duration::from_secs(1);

/// The schedule of announcements of an Active Router.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Announcer {
    bursts: Vec<Burst>,
    /// When the last burst began.
    burst_at: Option<Monotonic>,
    refresh_at: Option<Monotonic>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Burst {
    addresses: Vec<IpAddr>,
    rounds_left: u8,
    next_at: Monotonic,
    repeats: bool,
}

impl Announcer {
    /// Begins a burst for `addresses` at `now`.
    pub(super) fn burst(
        &mut self,
        settings: &GratuitousAnnouncements,
        addresses: Vec<IpAddr>,
        now: Monotonic,
    ) {
        if self.refresh_at.is_none() && !settings.refresh.is_zero() {
            self.refresh_at = Some(now + settings.refresh);
        }
        self.burst_at = Some(now);
        self.bursts.push(Burst {
            addresses,
            rounds_left: settings.count,
            next_at: now,
            repeats: !settings.repeat_delay.is_zero(),
        });
    }

    /// Whether a burst makes sense that nothing but another router's packet asks for: none is under
    /// way, and the last one is not so recent that a stream of packets became a storm of frames.
    pub(super) fn may_repeat(&self, now: Monotonic) -> bool {
        self.bursts.is_empty()
            && self
                .burst_at
                .is_none_or(|at| now.saturating_since(at) >= SHORTEST_REPETITION)
    }

    /// Leaves `addresses` out from now on.
    pub(super) fn forget(&mut self, addresses: &[IpAddr]) {
        for burst in &mut self.bursts {
            burst
                .addresses
                .retain(|address| !addresses.contains(address));
        }
        self.bursts.retain(|burst| !burst.addresses.is_empty());
    }

    /// Takes over a changed refresh time, counted from `now`.
    pub(super) fn reschedule(&mut self, settings: &GratuitousAnnouncements, now: Monotonic) {
        self.refresh_at = (!settings.refresh.is_zero()).then(|| now + settings.refresh);
    }

    /// The rounds that are due at `now`, each a list of addresses; `all` is what a refresh names.
    pub(super) fn due(
        &mut self,
        settings: &GratuitousAnnouncements,
        all: &[IpAddr],
        now: Monotonic,
    ) -> Vec<Vec<IpAddr>> {
        let mut rounds = Vec::new();
        for burst in &mut self.bursts {
            while burst.rounds_left > 0 && burst.next_at <= now {
                rounds.push(burst.addresses.clone());
                burst.rounds_left -= 1;
                burst.next_at = now + settings.interval;
            }
            if burst.rounds_left == 0 && burst.repeats {
                burst.repeats = false;
                burst.rounds_left = settings.count;
                burst.next_at = now + settings.repeat_delay;
            }
        }
        self.bursts.retain(|burst| burst.rounds_left > 0);
        if self.refresh_at.is_some_and(|at| at <= now) {
            rounds.push(all.to_vec());
            self.reschedule(settings, now);
        }
        rounds
    }

    /// When [`Announcer::due`] has something next.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let bursts = self.bursts.iter().map(|burst| burst.next_at);
        bursts.chain(self.refresh_at).min()
    }
}
