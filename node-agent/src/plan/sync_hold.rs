//! How long a director that returns leaves the Active Router alone: until it has been told of the
//! connections that go through that one. Pure.
//!
//! The Active Router tells of a connection when it begins and then once in each
//! `net.ipv4.vs.sync_refresh_period`, as long as packets come. So a director that has listened for two
//! periods, of which the second brought nothing new, knows what there is to know.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lvs_crds::v1alpha1::RouterState;

/// Growth of the table in one period, in percent, up to which it counts as complete: connections begin
/// and end all the time.
const GROWTH_PERCENT: u64 = 1;

/// Periods that a director listens at least.
const PERIODS: u32 = 2;

/// What the directors' plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How often the Active Router tells of each connection; zero: never again.
    pub refresh_period: Duration,
    /// Longest wait.
    pub timeout: Duration,
}

/// What an instance waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It waits since then.
    Waiting(Instant),
    /// It waits no more, until it has been out of service.
    Ready,
}

/// What is remembered from look to look.
#[derive(Clone, Debug, Default)]
pub struct SyncHold {
    /// Since when the daemon runs that listens for connections.
    daemon_since: Option<Instant>,
    /// Instances in service.
    instances: BTreeMap<String, Standing>,
    /// When the connections were counted last, and how many they were.
    last_look: Option<(Instant, u64)>,
    /// Whether the table had stopped growing then.
    is_level: bool,
}

impl SyncHold {
    /// Takes in whether the listening daemon runs.
    pub fn daemon(&mut self, is_running: bool, now: Instant) {
        if !is_running {
            self.daemon_since = None;
            self.forget_looks();
        } else if self.daemon_since.is_none() {
            self.daemon_since = Some(now);
        }
    }

    /// Takes in the states of all instances. One that is Active has every connection; one that could
    /// not run has missed some.
    pub fn states(&mut self, states: &BTreeMap<&str, RouterState>, now: Instant) {
        self.instances
            .retain(|instance, _| states.contains_key(instance.as_str()));
        let mut is_new = false;
        for (&instance, state) in states {
            match state {
                RouterState::Active => {
                    self.instances.insert(instance.to_owned(), Standing::Ready);
                }
                RouterState::Backup => {
                    self.instances
                        .entry(instance.to_owned())
                        .or_insert_with(|| {
                            is_new = true;
                            Standing::Waiting(now)
                        });
                }
                RouterState::Initialize | RouterState::Fault => {
                    self.instances.remove(instance);
                }
            }
        }
        if is_new {
            self.forget_looks();
        }
    }

    fn forget_looks(&mut self) {
        self.last_look = None;
        self.is_level = false;
    }

    /// Whether the connections are to be counted now.
    #[must_use]
    pub fn is_look_due(&self, rule: Rule, now: Instant) -> bool {
        self.next_look(rule).is_some_and(|at| at <= now)
    }

    /// When the connections are to be counted next; `None` while nothing waits for that.
    #[must_use]
    pub fn next_look(&self, rule: Rule) -> Option<Instant> {
        let since = self.listening_since()?;
        if rule.refresh_period.is_zero() {
            return None;
        }
        let at = match self.last_look {
            None => since,
            Some((last, _)) => last + rule.refresh_period,
        };
        Some(at)
    }

    /// Takes in how many connections the table has.
    pub fn look(&mut self, connections: u64, now: Instant) {
        self.is_level = self.last_look.is_some_and(|(_, before)| {
            connections.saturating_sub(before).saturating_mul(100) <= before * GROWTH_PERCENT
        });
        self.last_look = Some((now, connections));
    }

    /// Lets go of the instances whose wait is over.
    pub fn settle(&mut self, rule: Rule, now: Instant) {
        for (instance, standing) in &mut self.instances {
            let Standing::Waiting(since) = *standing else {
                continue;
            };
            let listening = self.daemon_since.map(|daemon| daemon.max(since));
            let least = rule.refresh_period * PERIODS;
            let is_covered = self.is_level
                && listening
                    .zip(self.last_look)
                    .is_some_and(|(began, (look, _))| look >= began + least);
            let is_over = now >= since + rule.timeout;
            if is_covered || is_over {
                *standing = Standing::Ready;
                let waited_seconds = now.saturating_duration_since(since).as_secs();
                tracing::info!(instance, waited_seconds, is_covered, "may preempt");
            }
        }
    }

    /// Whether an instance is to leave an Active Router of lower priority alone.
    #[must_use]
    pub fn is_held(&self, instance: &str) -> bool {
        self.instances.get(instance) != Some(&Standing::Ready)
    }

    /// The instances that wait.
    pub fn waiting_instances(&self) -> impl Iterator<Item = &str> {
        self.waiting().map(|(instance, _)| instance)
    }

    /// When the first wait ends at the latest.
    #[must_use]
    pub fn next_timeout(&self, rule: Rule) -> Option<Instant> {
        let since = self.waiting().map(|(_, since)| since);
        since.min().map(|since| since + rule.timeout)
    }

    /// Since when something waits and is told of connections.
    fn listening_since(&self) -> Option<Instant> {
        let daemon = self.daemon_since?;
        let since = self.waiting().map(|(_, since)| since);
        since.max().map(|since| since.max(daemon))
    }

    /// Who waits, and since when.
    fn waiting(&self) -> impl Iterator<Item = (&str, Instant)> {
        self.instances
            .iter()
            .filter_map(|(instance, standing)| match standing {
                Standing::Waiting(since) => Some((instance.as_str(), *since)),
                Standing::Ready => None,
            })
    }
}

#[cfg(test)]
mod tests;
