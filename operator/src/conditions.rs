//! No client: building the conditions of a status.

use std::borrow::Cow;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use lvs_crds::v1alpha1::condition::{self, reason};

/// How many names a message lists.
const NAMES_LIMIT: usize = 3;

/// What a condition says: its status, and why in a word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `True`, `False`, or `None` for `Unknown`.
    pub status: Option<bool>,
    /// One word in `CamelCase`.
    pub reason: Cow<'static, str>,
    /// For a person at 3 a.m.: what is so, and what to do.
    pub message: String,
}

impl Finding {
    /// It is so.
    #[must_use]
    pub fn yes(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            status: Some(true),
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// It is not so.
    #[must_use]
    pub fn no(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            status: Some(false),
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// Nobody knows.
    #[must_use]
    pub fn unknown(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            status: None,
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// Whether it is so.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == Some(true)
    }
}

/// The conditions of one object in the making.
#[derive(Clone, Debug)]
pub struct Conditions {
    generation: i64,
    now: Timestamp,
    findings: Vec<(&'static str, Finding)>,
}

impl Conditions {
    /// No conditions yet, of this generation.
    #[must_use]
    pub fn new(generation: i64, now: Timestamp) -> Self {
        Self {
            generation,
            now,
            findings: Vec::new(),
        }
    }

    /// Adds a condition.
    pub fn set(&mut self, type_: &'static str, finding: Finding) {
        self.findings.push((type_, finding));
    }

    /// The reason of a condition that was added.
    #[must_use]
    pub fn reason_of(&self, type_: &str) -> Option<&str> {
        self.findings
            .iter()
            .find(|(name, _)| *name == type_)
            .map(|(_, finding)| finding.reason.as_ref())
    }

    /// Adds `Ready`: True when all of `needed` are, else what the first says that is not. With it
    /// go `Stalled`, while the object is not accepted, and `Reconciling`, while it is not programmed.
    pub fn summarize(&mut self, needed: &[&str], ready: Finding) {
        let first_bad = needed.iter().find_map(|type_| {
            self.findings
                .iter()
                .find(|(name, finding)| name == type_ && !finding.is_true())
        });
        let summary = match first_bad {
            None => ready,
            Some((_, bad)) => Finding::no(bad.reason.clone(), bad.message.clone()),
        };
        let find = |type_: &str| {
            self.findings
                .iter()
                .find(|(name, _)| *name == type_)
                .map(|(_, finding)| finding)
        };
        let abnormal = match (find(condition::ACCEPTED), find(condition::PROGRAMMED)) {
            (Some(accepted), _) if !accepted.is_true() => Some((
                condition::STALLED,
                Finding::yes(accepted.reason.clone(), accepted.message.clone()),
            )),
            (_, Some(programmed)) if !programmed.is_true() => Some((
                condition::RECONCILING,
                Finding::yes(programmed.reason.clone(), programmed.message.clone()),
            )),
            _ => None,
        };
        self.set(condition::READY, summary);
        if let Some((type_, finding)) = abnormal {
            self.set(type_, finding);
        }
    }

    /// The list to write, beside the one that is there.
    #[must_use]
    pub fn finish(self, old: &[Condition]) -> Vec<Condition> {
        let new = self
            .findings
            .into_iter()
            .map(|(type_, finding)| Condition {
                last_transition_time: Time(self.now),
                message: finding.message,
                observed_generation: Some(self.generation),
                reason: finding.reason.into_owned(),
                status: match finding.status {
                    Some(true) => "True",
                    Some(false) => "False",
                    None => "Unknown",
                }
                .to_owned(),
                type_: type_.to_owned(),
            })
            .collect();
        condition::merge(old, new)
    }
}

/// The status of a condition in a list.
#[must_use]
pub fn status_of<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a str> {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .map(|condition| condition.status.as_str())
}

/// Whether a condition was True for this generation already.
#[must_use]
pub fn held(conditions: &[Condition], type_: &str, generation: i64) -> bool {
    conditions.iter().any(|condition| {
        condition.type_ == type_
            && condition.status == "True"
            && condition.observed_generation == Some(generation)
    })
}

/// `Accepted` of an object that nothing is wrong with.
#[must_use]
pub fn accepted() -> Finding {
    Finding::yes(reason::ACCEPTED, "the object is valid beside all others")
}

/// The first names of a list that may be long, for a message.
#[must_use]
pub fn some_of(names: &[&str]) -> String {
    let list: Vec<_> = names.iter().take(NAMES_LIMIT).copied().collect();
    let list = list.join(", ");
    match names.len().saturating_sub(NAMES_LIMIT) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(some_of(&["a", "b", "c"]), "a, b, c");
        assert_eq!(some_of(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
