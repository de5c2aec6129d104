//! What several checks say together.

use std::time::Instant;

use crate::{Check, Mode, Schedule};

/// What is known of a target, or of one of its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it should get new connections.
    pub up: bool,
    /// Why it is not up, or why a check could not be made, as a person wants to read it:
    /// `tcp 192.168.1.130:80: connection refused`.
    pub reason: Option<String>,
    /// Whether every check has ended at least once. Until then `up` is what the caller said.
    pub checked: bool,
    /// When `up` became what it is.
    pub since: Instant,
}

impl Health {
    /// What one check says.
    #[must_use]
    pub fn of_check(check: &Check, schedule: &Schedule) -> Self {
        let Check { name, probe, .. } = check;
        let up = schedule.is_up();
        let reason = match schedule.failure() {
            Some(failure) => Some(format!("{name} {probe}: {failure}")),
            None if up => None,
            None if schedule.is_checked() => {
                Some(format!("{name} {probe}: too few successes in a row yet"))
            }
            None => Some(format!("{name} {probe}: not checked yet")),
        };
        Self {
            up,
            reason,
            checked: schedule.is_checked(),
            since: schedule.since(),
        }
    }
}

/// Combines the checks of a target. No checks at all are up: nothing speaks against the target.
#[must_use]
pub fn combine(mode: Mode, checks: &[Health], now: Instant) -> Health {
    let up = match mode {
        Mode::All => checks.iter().all(|check| check.up),
        Mode::Any => checks.is_empty() || checks.iter().any(|check| check.up),
    };
    // The state began with the last check to agree where all must agree, else with the first.
    let agreeing = checks.iter().filter(|check| check.up == up);
    let since = if up == (mode == Mode::All) {
        agreeing.map(|check| check.since).max()
    } else {
        agreeing.map(|check| check.since).min()
    };
    let reasons: Vec<&str> = checks
        .iter()
        .filter_map(|check| check.reason.as_deref())
        .collect();
    Health {
        up,
        reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        checked: checks.iter().all(|check| check.checked),
        since: since.unwrap_or(now),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(up: bool, reason: Option<&str>, since: Instant) -> Health {
        Health {
            up,
            reason: reason.map(Into::into),
            checked: true,
            since,
        }
    }

    #[test]
    fn all_needs_every_check_and_any_needs_one() {
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let good = check(true, None, start);
        let bad = check(false, Some("tcp 10.0.0.1:80: connection refused"), later);
        let worse = check(false, Some("icmp 10.0.0.1: no answer in 1000 ms"), start);
        let none = [];
        let mixed = [good.clone(), bad.clone()];
        let failed = [bad.clone(), worse];
        for (mode, checks, up, since) in [
            (Mode::All, none.as_slice(), true, later),
            (Mode::Any, &none, true, later),
            (Mode::All, std::slice::from_ref(&good), true, start),
            (Mode::All, &mixed, false, later),
            (Mode::Any, &mixed, true, start),
            (Mode::All, &failed, false, start),
            (Mode::Any, &failed, false, later),
        ] {
            let health = combine(mode, checks, later);
            assert_eq!(
                (health.up, health.since),
                (up, since),
                "{mode:?} {checks:?}"
            );
        }
    }

    #[test]
    fn every_reason_is_named() {
        let now = Instant::now();
        let checks = [
            check(false, Some("icmp 10.0.0.1: no answer in 1000 ms"), now),
            check(true, None, now),
            check(false, Some("smtp 10.0.0.1:25: connection refused"), now),
        ];
        assert_eq!(
            combine(Mode::All, &checks, now).reason.as_deref(),
            Some("icmp 10.0.0.1: no answer in 1000 ms; smtp 10.0.0.1:25: connection refused"),
        );
    }

    #[test]
    fn a_target_is_checked_when_its_last_check_is() {
        let now = Instant::now();
        let mut checks = [check(true, None, now), check(true, None, now)];
        assert!(combine(Mode::All, &checks, now).checked);
        checks[1].checked = false;
        assert!(!combine(Mode::All, &checks, now).checked);
    }
}
