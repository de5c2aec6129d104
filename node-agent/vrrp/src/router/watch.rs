//! What a Backup knows of the Active Router.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{RoleReason, Router, State};
use crate::group::{Stand, Standing, Waiting};
use crate::time::Monotonic;

/// A sign of life of another router that called itself Active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heard {
    /// Where it came from.
    pub(super) source: IpAddr,
    /// When.
    pub(super) at: Monotonic,
}

/// The watch of a Backup over the Active Router.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Watch {
    /// When the timer runs out.
    pub(super) down_at: Monotonic,
    /// What taking over at `down_at` would be due to.
    pub(super) cause: RoleReason,
    /// Since when nothing has been heard that restarts the timer.
    pub(super) silent_since: Monotonic,
    /// What made this router Backup.
    pub(super) entered_by: RoleReason,
    /// Whether it has heard an Active Router that it follows since it is Backup.
    pub(super) has_followed: bool,
    /// Whether it listens again because it was itself stopped when the timer ran out.
    #[serde(default)]
    pub(super) is_second: bool,
    /// The last that was heard, unless it has left since.
    #[serde(default)]
    pub(super) heard: Option<Heard>,
}

impl Watch {
    /// One that begins at `now` and ends at `down_at`.
    pub(super) fn begin(entered_by: RoleReason, now: Monotonic, down_at: Monotonic) -> Self {
        let followed = match entered_by {
            RoleReason::Outranked { source, .. } | RoleReason::HandedOver { successor: source } => {
                Some(source)
            }
            _ => None,
        };
        Self {
            down_at,
            cause: RoleReason::ActiveDown,
            silent_since: now,
            entered_by,
            has_followed: followed.is_some(),
            is_second: false,
            heard: followed.map(|source| Heard { source, at: now }),
        }
    }

    /// The Active Router whose silence ends this watch. None if it left or if nobody was there; and
    /// none if one was heard that did not restart the timer, because this router preempts it or does
    /// not understand it.
    pub(super) fn lost(&self) -> Option<Heard> {
        self.heard.filter(|heard| {
            self.cause == RoleReason::ActiveDown
                && self.has_followed
                && heard.at <= self.silent_since
        })
    }

    /// Begins anew at `now`: the Active Router was heard.
    pub(super) fn follow(&mut self, now: Monotonic, down_at: Monotonic) {
        self.restart(now, down_at);
        self.has_followed = true;
    }

    /// Begins anew at `now`, though nobody was heard.
    pub(super) fn restart(&mut self, now: Monotonic, down_at: Monotonic) {
        self.down_at = down_at;
        self.silent_since = now;
        self.cause = RoleReason::ActiveDown;
        self.is_second = false;
    }

    /// Goes on until `down_at`: what was to be heard may have been missed.
    pub(super) fn listen_again(&mut self, down_at: Monotonic) {
        self.down_at = down_at;
        self.is_second = true;
    }

    /// The Active Router leaves: nobody is waited for longer than until `latest`.
    pub(super) fn release(&mut self, latest: Monotonic) {
        // Repeated offers must not put the take-over off, so the timer only gets shorter.
        self.down_at = self.down_at.min(latest);
        self.cause = RoleReason::ActiveReleased;
    }
}

impl Router {
    /// Where this router stands, for [`crate::group::settle`].
    #[must_use]
    pub fn standing(&self) -> Standing {
        let stand = match self.state {
            State::Initialize => Stand::Unable,
            State::Active { .. } => Stand::Active,
            State::Backup(watch) => Stand::Backup(self.waiting(&watch)),
        };
        Standing {
            order: self.group_order,
            stand,
        }
    }

    fn waiting(&self, watch: &Watch) -> Waiting {
        let interval = self.active_interval().duration();
        let patience = self.down_interval().saturating_sub(interval);
        Waiting {
            expires_at: watch.down_at,
            near_at: watch.silent_since + patience,
            overdue_at: watch.silent_since + interval + interval / 4,
            is_released: watch.cause == RoleReason::ActiveReleased,
            was_outranked: matches!(watch.entered_by, RoleReason::Outranked { .. }),
            has_followed: watch.has_followed,
        }
    }
}
