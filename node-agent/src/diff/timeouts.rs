//! How long the kernel keeps silent connections. Pure.

use lvs_ipvs::{Command, Timeouts};

use super::Diff;
use crate::observe::Observed;
use crate::op::Op;
use crate::ownership::Ownership;
use crate::plan::Plan;

/// Sets them if they differ. Kernels without IPVS show none.
pub(super) fn set(plan: &Plan, observed: &Observed, diff: &mut Diff) {
    if let (Some(planned), Some(found)) = (plan.timeouts, observed.timeouts)
        && planned != found
    {
        diff.with_services.push(op(planned));
    }
}

/// Puts back what was there before, unless somebody else has changed it since.
pub(super) fn put_back(plan: &Plan, observed: &Observed, ownership: &Ownership, diff: &mut Diff) {
    if let (None, Some(recorded)) = (plan.timeouts, ownership.timeouts())
        && observed.timeouts == Some(recorded.ours)
        && recorded.original != recorded.ours
    {
        diff.after.push(op(recorded.original));
    }
}

fn op(timeouts: Timeouts) -> Op {
    Op::Ipvs(Command::SetTimeouts(timeouts))
}
