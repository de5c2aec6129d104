//! Changes by others, told once they are repaired. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::op::Op;
use crate::report::{Drift, Subject};

/// Reason of the Events.
pub const REASON: &str = "DriftRepaired";
/// Repairs that one Event names.
const NAMED: usize = 5;

/// Repairs of what others have changed, by the object that they belong to.
#[derive(Debug, Default)]
pub struct Repairs(BTreeMap<Arc<Subject>, Named>);

#[derive(Debug, Default)]
struct Named {
    first: Vec<String>,
    count: usize,
}

impl Repairs {
    /// Takes in a repair.
    pub fn note(&mut self, subject: &Arc<Subject>, op: &Op) {
        let named = self.0.entry(Arc::clone(subject)).or_default();
        named.count += 1;
        if named.first.len() < NAMED {
            named.first.push(op.to_string());
        }
    }

    /// What to tell of them.
    pub fn into_drifts(self) -> impl Iterator<Item = Drift> {
        self.0.into_iter().map(|(subject, named)| Drift {
            subject: subject.as_ref().clone(),
            reason: REASON,
            message: message(&named),
        })
    }
}

fn message(named: &Named) -> String {
    let first = named.first.join("; ");
    match named.count - named.first.len() {
        0 => format!("changed by another program; repaired with: {first}"),
        more => format!("changed by another program; repaired with: {first}; and {more} more"),
    }
}

#[cfg(test)]
mod tests;
