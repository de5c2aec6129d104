//! Connection synchronisation daemons. Pure.

use lvs_ipvs::{Command, SyncDaemon, SyncRole};

use super::Diff;
use crate::observe::Observed;
use crate::op::Op;
use crate::ownership::Ownership;
use crate::plan::{Plan, Problem};

/// Starts what is missing and replaces what is ours and different. The kernel runs one daemon of a
/// role, so one of somebody else stands in the way; it stays.
pub(super) fn start(plan: &Plan, observed: &Observed, ownership: &Ownership, diff: &mut Diff) {
    for daemon in plan.daemons.iter().flatten() {
        match running(observed, daemon.role) {
            None => {}
            Some(running) if daemon.is_met_by(running) => continue,
            Some(_) if ownership.has_daemon(daemon.role) => {
                diff.with_services
                    .push(Op::Ipvs(Command::StopDaemon(daemon.role)));
            }
            Some(running) => {
                diff.problems.push(foreign(daemon, running));
                continue;
            }
        }
        diff.with_services
            .push(Op::Ipvs(Command::StartDaemon(daemon.clone())));
    }
}

/// Stops those of ours that are not planned.
pub(super) fn stop(plan: &Plan, observed: &Observed, ownership: &Ownership, diff: &mut Diff) {
    let Some(planned) = &plan.daemons else {
        return;
    };
    for role in [SyncRole::Master, SyncRole::Backup] {
        let is_planned = planned.iter().any(|daemon| daemon.role == role);
        if !is_planned && ownership.has_daemon(role) && running(observed, role).is_some() {
            diff.after.push(Op::Ipvs(Command::StopDaemon(role)));
        }
    }
}

fn running(observed: &Observed, role: SyncRole) -> Option<&SyncDaemon> {
    observed.daemons.iter().find(|daemon| daemon.role == role)
}

fn foreign(planned: &SyncDaemon, running: &SyncDaemon) -> Problem {
    Problem::of_node(format!(
        "connection synchronisation: another program runs the {} daemon on {} with sync id {}, and the kernel has room \
         for one; stop it with: ipvsadm --stop-daemon {}",
        planned.role, running.interface, running.sync_id, planned.role
    ))
}
