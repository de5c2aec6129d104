//! Firewall marks. Pure.

use lvs_nftables::{Change, Table, changes};

use super::Diff;
use crate::kernel::marks::ObservedMarks;
use crate::observe::Observed;
use crate::op::Op;
use crate::plan::Plan;

/// Adds what is missing, before the services that the marks lead to: what leads to services that go
/// stays as long as they do.
pub(super) fn add(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    let ObservedMarks::Known(found) = &observed.marks else {
        return;
    };
    if let Some(wanted) = Table::new(&plan.marks.rules) {
        let both = both(found.as_ref(), wanted);
        push(changes(found.as_ref(), Some(&both)), &mut diff.before);
    }
}

/// Deletes the rest, once the services are gone.
pub(super) fn delete(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    let ObservedMarks::Known(found) = &observed.marks else {
        return;
    };
    if !plan.marks.is_whole {
        return;
    }
    let wanted = Table::new(&plan.marks.rules);
    let now = match wanted.clone() {
        Some(wanted) => Some(both(found.as_ref(), wanted)),
        None => found.clone(),
    };
    push(changes(now.as_ref(), wanted.as_ref()), &mut diff.after);
}

/// A table that does what is wanted, and goes on with all that was found beside it.
fn both(found: Option<&Table>, wanted: Table) -> Table {
    let Some(found) = found else {
        return wanted;
    };
    let mut both = found.clone();
    both.flags = wanted.flags;
    both.chains.extend(wanted.chains);
    for (name, map) in wanted.maps {
        let entry = both.maps.entry(name).or_default();
        entry.kind = map.kind;
        entry.elements.extend(map.elements);
    }
    both
}

fn push(changes: Vec<Change>, ops: &mut Vec<Op>) {
    if !changes.is_empty() {
        ops.push(Op::SetMarks(changes));
    }
}

#[cfg(test)]
mod tests;
