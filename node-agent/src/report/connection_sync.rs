//! Whether a director and its peers know each other's connections. Pure.

use lvs_crds::v1alpha1::condition::{self, reason};
use lvs_crds::v1alpha1::{ConnectionSyncMode, DirectorRole};
use lvs_ipvs::{SyncDaemon, SyncRole};

use super::ReportedCondition;
use crate::plan::sync_hold::SyncHold;

/// The condition `ConnectionSynced` of a director that is to synchronise connections.
#[must_use]
pub fn condition(
    role: &DirectorRole,
    daemons: &[SyncDaemon],
    hold: &SyncHold,
) -> Option<ReportedCondition> {
    if role.connection_sync.mode != ConnectionSyncMode::Enabled {
        return None;
    }
    let runs = |role| daemons.iter().any(|daemon| daemon.role == role);
    let waiting: Vec<&str> = hold.waiting_instances().collect();
    let (reason, message) = if !runs(SyncRole::Master) || !runs(SyncRole::Backup) {
        (
            reason::SYNC_DAEMON_MISSING,
            "the kernel does not run both sync daemons; condition Programmed says why, and ipvsadm \
             -L --daemon shows them"
                .to_owned(),
        )
    } else if !waiting.is_empty() {
        (
            reason::CATCHING_UP,
            format!(
                "instance {} is being told of the Active Router's connections, and leaves it alone until \
                 it knows them",
                waiting.join(", ")
            ),
        )
    } else {
        return Some(ReportedCondition {
            type_: condition::CONNECTION_SYNCED,
            status: true,
            reason: reason::AS_EXPECTED,
            message: "connections are told to the other directors, and theirs are known".to_owned(),
        });
    };
    Some(ReportedCondition {
        type_: condition::CONNECTION_SYNCED,
        status: false,
        reason,
        message,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use lvs_crds::v1alpha1::RouterState;
    use lvs_ipvs::Name;
    use serde_json::json;

    use super::*;
    use crate::fixture;

    fn daemon(role: SyncRole) -> SyncDaemon {
        SyncDaemon::new(role, Name::new("eth0").expect("a name"), 1)
    }

    #[test]
    fn it_is_true_when_both_daemons_run_and_nobody_waits() {
        let bundle = fixture::director(&json!([]), &json!([]));
        let mut role = bundle.plan.director.expect("a director");
        role.connection_sync.mode = ConnectionSyncMode::Enabled;
        let both = [daemon(SyncRole::Master), daemon(SyncRole::Backup)];
        let mut hold = SyncHold::default();
        let reason = |role: &DirectorRole, daemons: &[SyncDaemon], hold: &SyncHold| {
            condition(role, daemons, hold).map(|condition| (condition.status, condition.reason))
        };
        assert_eq!(
            reason(&role, &both, &hold),
            Some((true, reason::AS_EXPECTED))
        );
        for one in &both {
            let one = std::slice::from_ref(one);
            assert_eq!(
                reason(&role, one, &hold),
                Some((false, reason::SYNC_DAEMON_MISSING))
            );
        }
        let states = [("default", RouterState::Backup)].into();
        hold.states(&states, Instant::now());
        assert_eq!(
            reason(&role, &both, &hold),
            Some((false, reason::CATCHING_UP))
        );
        role.connection_sync.mode = ConnectionSyncMode::Disabled;
        assert_eq!(reason(&role, &both, &hold), None);
    }
}
