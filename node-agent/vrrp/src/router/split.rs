//! Two Active Routers at a time.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Output, Router, State};
use crate::packet::Advertisement;
use crate::time::Monotonic;

/// Another router that calls itself Active while this one is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Split {
    peer: IpAddr,
    since: Monotonic,
    /// When it will have been silent for its down interval.
    pub(super) healed_at: Monotonic,
}

impl Router {
    /// `source` calls itself Active while this router is, too. Within this router's first
    /// interval that is no split: the other's last words, under way while it was succeeded.
    pub(super) fn note_split(
        &mut self,
        source: IpAddr,
        advertisement: &Advertisement,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        let State::Active { since, .. } = self.state else {
            return;
        };
        let is_established = now >= since + self.own_interval();
        let silence =
            advertisement.interval.duration() * u32::from(self.config.down_advertisements);
        match &mut self.split {
            Some(split) if split.peer == source => split.healed_at = now + silence,
            None if is_established => {
                self.split = Some(Split {
                    peer: source,
                    since: now,
                    healed_at: now + silence,
                });
                outputs.push(Output::SplitBrain {
                    peer: source,
                    priority: advertisement.priority,
                    since: now,
                });
            }
            Some(_) | None => {}
        }
    }

    /// `peer` leaves: if it was the other of a split, that is over.
    pub(super) fn heal_with(&mut self, peer: IpAddr, now: Monotonic, outputs: &mut Vec<Output>) {
        if self.split.is_some_and(|split| split.peer == peer) {
            self.heal(outputs);
            self.announce_all_anew(now, outputs);
        }
    }

    pub(super) fn heal_if_silent(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        if self.split.is_some_and(|split| split.healed_at <= now) {
            self.heal(outputs);
            // Whoever learned the other's hardware address shall forget it.
            self.announce_all_anew(now, outputs);
        }
    }

    pub(super) fn heal(&mut self, outputs: &mut Vec<Output>) {
        if let Some(split) = self.split.take() {
            outputs.push(Output::SplitHealed {
                peer: split.peer,
                since: split.since,
            });
        }
    }
}
