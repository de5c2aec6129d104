//! Sysctls, and the values that they had before. Pure.

use super::Diff;
use crate::observe::Observed;
use crate::op::Op;
use crate::ownership::Ownership;
use crate::plan::Plan;

/// Writes those whose value is not the planned one.
pub(super) fn set(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    for (sysctl, value) in plan.sysctls() {
        // One that does not exist is written too: the error says so.
        if observed.sysctls.get(sysctl).map(String::as_str) != Some(value) {
            diff.before.push(Op::SetSysctl {
                sysctl: sysctl.clone(),
                value: value.to_owned(),
            });
        }
    }
}

/// Puts back what is not planned any more, unless somebody else has changed it since.
pub(super) fn put_back(plan: &Plan, observed: &Observed, ownership: &Ownership, diff: &mut Diff) {
    if plan.real_server.is_none() {
        return;
    }
    let planned = plan.sysctls();
    for recorded in ownership.sysctls() {
        let is_still_ours = observed.sysctls.get(&recorded.sysctl) == Some(&recorded.ours);
        if !planned.contains_key(&recorded.sysctl)
            && is_still_ours
            && recorded.original != recorded.ours
        {
            diff.after.push(Op::SetSysctl {
                sysctl: recorded.sysctl.clone(),
                value: recorded.original.clone(),
            });
        }
    }
}
