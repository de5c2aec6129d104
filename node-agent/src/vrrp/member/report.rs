//! What a router says of itself.

use lvs_crds::v1alpha1::RouterState;
use lvs_vrrp::{Monotonic, Role};

use super::super::recorder::Recording;
use super::super::report::RouterReport;
use super::Member;

impl Member {
    /// What it went through.
    pub(in super::super) fn recording(&self) -> Recording {
        let plan = &self.plan;
        self.recorder
            .recording(&plan.instance, plan.family, &plan.interface_name)
    }

    /// Whether another is Active beside it.
    pub(in super::super) fn is_split(&self) -> bool {
        self.split_brain.is_some()
    }

    /// What the rest of the agent is told of this router.
    pub(in super::super) fn report(&self, now: Monotonic) -> RouterReport {
        RouterReport {
            instance: self.plan.instance.clone(),
            family: self.plan.family,
            interface: self.plan.interface_name.clone(),
            state: self.state(self.router.role()),
            vips_present: self.vips.has_all(&self.plan.config.virtual_addresses),
            foreign_vips: self.vips.foreign().collect(),
            fought_vips: self.vips.fought_over(now).collect(),
            refused_routes: self.routes.refused(),
            send_error: self.sending.error(),
            split_brain: self.split_brain,
            conflicts: self.conflicts().collect(),
            lost_peer: self.lost_peer,
            failed_tracks: self.tracked.failed.clone(),
            fault: self.what_is_at_fault(),
        }
    }

    pub(super) fn state(&self, role: Role) -> RouterState {
        match role {
            Role::Active => RouterState::Active,
            Role::Backup => RouterState::Backup,
            Role::Initialize if self.what_is_at_fault().is_some() => RouterState::Fault,
            Role::Initialize => RouterState::Initialize,
        }
    }

    fn what_is_at_fault(&self) -> Option<String> {
        if let Some(fault) = &self.fault {
            Some(fault.clone())
        } else if !self.running {
            let interface = &self.plan.interface_name;
            Some(format!("interface {interface} is down or missing"))
        } else if self.tracked.adjustment.is_fault {
            Some(match self.tracked.failed.join(", ") {
                none if none.is_empty() => "something that its sync group tracks has failed".into(),
                failed => format!("tracked and failed: {failed}"),
            })
        } else {
            None
        }
    }
}
