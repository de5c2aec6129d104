//! Sync groups: routers of one director that are Active together or not at all.
//!
//! RFC 9568 elects each virtual router by itself. A director that translates addresses must be
//! Active on its outside and its inside, and an instance that has IPv4 and IPv6 addresses in both
//! families. [`settle`] says what the routers of a group are told; it looks at where they stand and
//! at nothing else, so a group has no state of its own that could be lost or be wrong.
//!
//! - *Taking over.* Once the timer of one has run out, all take over at once, unless another still
//!   hears a living Active Router: nobody who is heard is contested. Of a router that released its
//!   role the group expects that it released all; see [`next_deadline`].
//! - *Giving up.* When one cannot run, or has lost its role, the others offer theirs (priority 0)
//!   and hold it until they hear a successor, or until every Backup would have taken over.
//! - *Coming back.* None takes over before all can.
//!
//! The directors of a group must have different priorities, each the same one on all routers:
//! otherwise one could win here and another there, and both would step back.

use serde::{Deserialize, Serialize};

use crate::router::Input;
use crate::time::Monotonic;

#[cfg(test)]
mod tests;

/// What its group lets a router do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupOrder {
    /// It moves with no other: it takes over when its own timer runs out.
    #[default]
    Independent,
    /// It takes over when it is told to ([`Input::TakeOver`]).
    Together,
    /// It gives its role up: it offers it, and lets go of it when nobody takes it.
    Release,
}

/// Where a router of a group stands: [`crate::Router::standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub(crate) order: GroupOrder,
    pub(crate) stand: Stand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It takes no part: its interface does not work.
    Unable,
    Backup(Waiting),
    Active,
}

/// A Backup's view of the Active Router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// When its timer runs out.
    pub(crate) expires_at: Monotonic,
    /// One advertisement before that: of an Active Router that lives at least two were lost then.
    pub(crate) near_at: Monotonic,
    /// When the next advertisement of an Active Router that lives is overdue.
    pub(crate) overdue_at: Monotonic,
    /// The Active Router has released its role.
    pub(crate) is_released: bool,
    /// It became Backup because another Active Router won.
    pub(crate) was_outranked: bool,
    /// It has heard an Active Router since it is Backup.
    pub(crate) has_followed: bool,
}

/// What the routers of a group are to be told at `now`, by their place in `standings`. To be asked
/// after every input of one of them, and at [`next_deadline`]; nothing when all is as it should be.
#[must_use]
pub fn settle(standings: &[Standing], now: Monotonic) -> Vec<(usize, Input)> {
    let is_alone = standings.len() < 2;
    let takes_over =
        joins(standings) || next_deadline(standings).is_some_and(|deadline| deadline <= now);
    let are_all_active = standings
        .iter()
        .all(|standing| standing.stand == Stand::Active);
    let mut inputs = Vec::new();
    for (place, standing) in standings.iter().enumerate() {
        let is_active = standing.stand == Stand::Active;
        let order = if is_alone {
            GroupOrder::Independent
        } else if is_active && !are_all_active && !takes_over {
            GroupOrder::Release
        } else {
            GroupOrder::Together
        };
        if order != standing.order {
            inputs.push((place, Input::Group(order)));
        }
        if takes_over && !is_active {
            inputs.push((place, Input::TakeOver));
        }
    }
    inputs
}

/// When the group takes over if nothing is heard until then; `None` if it cannot, or need not.
///
/// - When every timer has run out.
/// - When one has, and the others lack one advertisement until theirs does: whose Active Router dies
///   does not wait for the phase of the other segments' advertisements.
/// - When one has because of a release, and the others' next advertisement is overdue.
///
/// The latter two are conclusions from one segment to another. Once a router of the group was
/// outranked while another hears nobody, they have proved wrong: a segment is cut here, and the
/// Active Router lives on the others. They are not drawn again before all have heard one.
#[must_use]
pub fn next_deadline(standings: &[Standing]) -> Option<Monotonic> {
    if standings.len() < 2 || is_any_unable(standings) {
        return None;
    }
    let all_at = backups(standings).map(|backup| backup.expires_at).max()?;
    let was_outranked = backups(standings).any(|backup| backup.was_outranked);
    if was_outranked && backups(standings).any(|backup| !backup.has_followed) {
        return Some(all_at);
    }
    let first_at = backups(standings).map(|backup| backup.expires_at).min();
    let near_at = backups(standings).map(|backup| backup.near_at).max();
    let together_at = first_at.max(near_at);
    let released_at = backups(standings)
        .filter(|backup| backup.is_released)
        .map(|backup| backup.expires_at)
        .min()
        .map(|released_at| {
            backups(standings)
                .filter(|backup| !backup.is_released)
                .map(|backup| backup.overdue_at)
                .fold(released_at, Monotonic::max)
        });
    [Some(all_at), together_at, released_at]
        .into_iter()
        .flatten()
        .min()
}

/// Whether a router has come to a group that is Active: it takes part at once.
fn joins(standings: &[Standing]) -> bool {
    let mut active = standings
        .iter()
        .filter(|standing| standing.stand == Stand::Active)
        .peekable();
    active.peek().is_some()
        && active.all(|standing| standing.order != GroupOrder::Release)
        && !is_any_unable(standings)
        && backups(standings).next().is_some()
        && backups(standings).all(|backup| !backup.has_followed)
}

fn is_any_unable(standings: &[Standing]) -> bool {
    standings
        .iter()
        .any(|standing| standing.stand == Stand::Unable)
}

fn backups(standings: &[Standing]) -> impl Iterator<Item = Waiting> {
    standings
        .iter()
        .filter_map(|standing| match standing.stand {
            Stand::Backup(waiting) => Some(waiting),
            Stand::Unable | Stand::Active => None,
        })
}
