//! Whether the reading of a list can be trusted.
//!
//! The kernel goes on with a dump at a position, and lets go of its lock between two parts. An object that was added in
//! front of the position makes another come twice; one that was removed there makes another be left out, and nothing
//! in the answer tells (IPVS does not set `NLM_F_DUMP_INTR`).

use super::reply::Outcome;

/// One reading of a list.
pub(super) struct Reading<K> {
    pub(super) outcome: Outcome,
    /// The keys of the objects, sorted.
    pub(super) keys: Vec<K>,
}

impl<K: Ord> Reading<K> {
    /// Whether nothing is missing and nothing is there twice, judged with the reading right before this one.
    pub(super) fn is_sound(&self, before: Option<&Self>) -> bool {
        self.is_possible()
            && (self.outcome.parts <= 1
                || before.is_some_and(|before| before.is_possible() && before.keys == self.keys))
    }

    fn is_possible(&self) -> bool {
        !self.outcome.interrupted && self.keys.is_sorted_by(|left, right| left < right)
    }
}

#[cfg(test)]
mod tests;
