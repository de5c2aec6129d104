//! Changes by others, told once they are repaired. Pure.

use std::collections::BTreeMap;

use lvs_ipvs::{Command, ServiceKey};

use crate::op::Op;
use crate::plan::Plan;
use crate::report::{Drift, Subject};

/// Reason of the Events.
pub const REASON: &str = "DriftRepaired";
/// Repairs that one Event names.
const NAMED: usize = 5;

/// Groups the repairs of what `plan` had left otherwise by the object that they belong to.
#[must_use]
pub fn drifts<'a>(plan: &Plan, repairs: impl IntoIterator<Item = &'a Op>) -> Vec<Drift> {
    let mut by_subject: BTreeMap<Subject, Vec<String>> = BTreeMap::new();
    for op in repairs {
        let subject = service_of(op)
            .and_then(|key| plan.services.get(&key))
            .map_or(Subject::Node, |planned| planned.subject.as_ref().clone());
        by_subject.entry(subject).or_default().push(op.to_string());
    }
    by_subject
        .into_iter()
        .map(|(subject, repairs)| Drift {
            subject,
            reason: REASON,
            message: message(&repairs),
        })
        .collect()
}

fn service_of(op: &Op) -> Option<ServiceKey> {
    match op {
        Op::Ipvs(Command::AddService(service) | Command::SetService(service)) => Some(service.key),
        Op::Ipvs(
            Command::AddDestination { service, .. }
            | Command::SetDestination { service, .. }
            | Command::DeleteDestination { service, .. },
        ) => Some(*service),
        _ => None,
    }
}

fn message(repairs: &[String]) -> String {
    let named = repairs
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    match repairs.len().checked_sub(NAMED) {
        None | Some(0) => format!("changed by another program; repaired with: {named}"),
        Some(more) => {
            format!("changed by another program; repaired with: {named}; and {more} more")
        }
    }
}

#[cfg(test)]
mod tests;
