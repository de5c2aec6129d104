//! Sysctls, and the values that they had before. Pure.

use lvs_crds::v1alpha1::condition::reason;

use super::Diff;
use crate::kernel::sysctls::Sysctl;
use crate::observe::Observed;
use crate::op::Op;
use crate::ownership::Ownership;
use crate::plan::{Plan, Problem};

/// Writes those whose value is not the planned one. One of a director that does not exist is a problem
/// and nothing waits for it; one of a real server is written all the same, because its VIPs must not
/// be added when that fails.
pub(super) fn set(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    for (sysctl, value) in plan.sysctls() {
        let found = observed.sysctls.get(sysctl).map(String::as_str);
        if found == Some(value) {
            continue;
        }
        if found.is_none() && plan.director_sysctls.contains_key(sysctl) {
            diff.problems.push(missing(sysctl, value));
            continue;
        }
        diff.before.push(Op::SetSysctl {
            sysctl: sysctl.clone(),
            value: value.to_owned(),
        });
    }
}

/// Says which of those that are only looked at differ.
pub(super) fn check(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    for (sysctl, wanted) in &plan.checked_sysctls {
        match observed.sysctls.get(sysctl) {
            None => diff.problems.push(missing(sysctl, wanted)),
            Some(found) if found != wanted => diff.problems.push(Problem::advice(
                reason::SYSCTL_DIFFERS,
                format!(
                    "sysctl {sysctl} is {found} and should be {wanted}: set it with \
                     `sysctl -w {sysctl}={wanted}`, or set sysctls.mode of the DirectorPair to Managed"
                ),
            )),
            Some(_) => {}
        }
    }
}

fn missing(sysctl: &Sysctl, wanted: &str) -> Problem {
    Problem::advice(
        reason::UNSUPPORTED_BY_KERNEL,
        format!(
            "this kernel has no sysctl {sysctl}, which should be {wanted}: remove it from sysctls of the \
             DirectorPair, or upgrade the kernel"
        ),
    )
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
