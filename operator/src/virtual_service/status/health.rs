//! No client: how the members of a virtual service are.

use lvs_crds::v1alpha1::{
    BackendCount, MemberPlan, ServicePlan, UnhealthyBackend, condition::reason,
};

use crate::conditions::{Finding, some_of};

/// Reason: no member gets new connections, because somebody asked for it or until it is ready.
pub(super) const ALL_MEMBERS_DRAINING: &str = "AllBackendsDraining";

/// Counts members. One that fails is down, whatever its weight.
pub(super) fn count<'a>(
    plan: &ServicePlan,
    pools: impl Iterator<Item = &'a [MemberPlan]>,
    unhealthy: &[&UnhealthyBackend],
) -> BackendCount {
    let mut backends = BackendCount::default();
    for member in pools.flatten() {
        let fails = unhealthy.iter().any(|backend| {
            backend.address == member.address && (member.port == 0 || backend.port == member.port)
        });
        backends.total += 1;
        if fails {
            backends.down += 1;
        } else if plan.drain.is_some() || member.weight == 0 {
            backends.draining += 1;
        } else {
            backends.up += 1;
        }
    }
    backends
}

/// What to say when the quorum is lost. Without a fallback and without any member it is said in
/// plainer words.
pub(super) fn quorum(plan: &ServicePlan, backends: &BackendCount, lost: bool) -> Option<Finding> {
    if !lost || plan.drain.is_some() || (plan.fallback.is_none() && backends.up == 0) {
        return None;
    }
    let serves = match &plan.fallback {
        Some(fallback) => format!("the fallback {} serves", fallback.address),
        None => format!("the {} that are up go on", backends.up),
    };
    Some(Finding::no(
        reason::QUORUM_LOST,
        format!(
            "{} of {} real servers are up, and their weight is below the quorum of {}; {serves}",
            backends.up, backends.total, plan.quorum.minimum_weight
        ),
    ))
}

pub(super) fn health<'a>(
    backends: &BackendCount,
    unhealthy: &[&UnhealthyBackend],
    waiting: impl Iterator<Item = &'a String>,
) -> Finding {
    let failing = || {
        let list: Vec<_> = unhealthy
            .iter()
            .take(3)
            .map(|backend| {
                format!(
                    "{} port {}: {}",
                    backend.address, backend.port, backend.reason
                )
            })
            .collect();
        list.join("; ")
    };
    match *backends {
        BackendCount { total: 0, .. } => Finding::no(
            reason::NO_BACKENDS,
            "spec.backends gives no real server; kubectl get realservers --show-labels shows what \
             realServerSelector can match",
        ),
        BackendCount { up: 0, down, .. } if down > 0 => {
            Finding::no(reason::ALL_BACKENDS_DOWN, failing())
        }
        BackendCount { up: 0, .. } => {
            let names: Vec<_> = waiting.map(String::as_str).collect();
            Finding::no(
                ALL_MEMBERS_DRAINING,
                if names.is_empty() {
                    "every real server has weight 0 because somebody asked for it".to_owned()
                } else {
                    format!(
                        "waiting for the VIPs on the loopback of {}, before which they would drop \
                         what they get",
                        some_of(&names)
                    )
                },
            )
        }
        BackendCount { down, .. } if down > 0 => Finding::no(reason::SOME_BACKENDS_DOWN, failing()),
        _ => Finding::yes(
            reason::AS_EXPECTED,
            "every real server that should be in is up",
        ),
    }
}
