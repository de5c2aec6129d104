//! Other hosts that claim the router's VIPs.

use std::net::IpAddr;

use lvs_vrrp::conflict::{Conflict, Defence};
use lvs_vrrp::{Monotonic, Role};

use super::super::claims::Claim;
use super::super::clock::clock;
use super::super::report::{AddressConflict, VrrpEventKind};
use super::super::shell::Shell;
use super::Member;
use super::frames::Frame;

impl Member {
    /// Its VIPs, of which claims are heard.
    pub(in super::super) fn claimable(&self) -> &[IpAddr] {
        &self.plan.config.virtual_addresses
    }

    /// A host claims an address. Two routers that are Active do so as well, but that is told of as a split.
    pub(in super::super) fn claimed(
        &mut self,
        claim: &Claim,
        now: Monotonic,
        shell: &mut Shell<'_>,
    ) {
        let index = Some(claim.interface_index);
        let is_here = index == Some(self.plan.interface_index) || index == self.vip_interface();
        let is_own = self
            .port
            .is_some_and(|port| port.hardware() == claim.hardware)
            || self.announced_hardware() == Some(claim.hardware);
        let is_vip = self.claimable().contains(&claim.address);
        if is_here && is_vip && !is_own && !self.is_split() {
            let defences = self.conflicts.claimed(claim.address, claim.hardware, now);
            self.defend(defences, shell);
        }
    }

    /// What time does to conflicts.
    pub(super) fn watch_conflicts(&mut self, now: Monotonic, shell: &mut Shell<'_>) {
        let defences = self.conflicts.tick(now);
        self.defend(defences, shell);
    }

    /// The VIPs have changed.
    pub(super) fn keep_conflicts(&mut self, shell: &mut Shell<'_>) {
        let defences = self.conflicts.keep(&self.plan.config.virtual_addresses);
        self.defend(defences, shell);
    }

    /// The router's role has changed.
    pub(super) fn role_changed(&mut self, to: Role, now: Monotonic, shell: &mut Shell<'_>) {
        if to == Role::Active {
            self.conflicts.begin(now);
        } else {
            let defences = self.conflicts.end();
            self.defend(defences, shell);
        }
    }

    /// The conflicts that last.
    pub(in super::super) fn conflicts(&self) -> impl Iterator<Item = AddressConflict> {
        self.conflicts.conflicts().map(told)
    }

    fn defend(&mut self, defences: Vec<Defence>, shell: &mut Shell<'_>) {
        for defence in defences {
            match defence {
                Defence::Probe => {
                    let probes: Vec<_> =
                        self.claimable().iter().copied().map(Frame::Probe).collect();
                    self.send_later(probes);
                }
                Defence::Announce(address) => self.announce(&[address], shell),
                Defence::Found(conflict) => {
                    self.changed = true;
                    self.tell(VrrpEventKind::ConflictFound(told(conflict)), shell);
                }
                Defence::Over(conflict) => {
                    self.changed = true;
                    let lasted = clock().saturating_since(conflict.since);
                    let conflict = told(conflict);
                    self.tell(VrrpEventKind::ConflictOver { conflict, lasted }, shell);
                }
            }
        }
    }
}

fn told(conflict: Conflict) -> AddressConflict {
    AddressConflict {
        address: conflict.address,
        hardware: conflict.hardware,
    }
}
