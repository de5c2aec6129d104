//! Which routers there are, and what they are told of the plan and of what is tracked.

use std::collections::BTreeMap;
use std::io;

use lvs_vrrp::Adjustment;

use super::super::addresses::{Change, KernelAddress};
use super::super::clock::clock;
use super::super::device::DeviceChange;
use super::super::groups::Groups;
use super::super::member::{Member, Start};
use super::super::plan::{RouterPlan, VrrpPlan};
use super::super::routes::RouteChange;
use super::VrrpThread;
use crate::track::Verdict;

impl VrrpThread {
    /// Starts, changes and stops routers until they are those of the plan.
    pub(super) fn reconcile(&mut self) -> io::Result<()> {
        let now = clock();
        let Self {
            shared,
            interfaces,
            plan,
            members,
            verdicts,
            ..
        } = self;
        let mut shell = shared.shell();
        for member in members.iter_mut() {
            let planned = plan
                .routers
                .iter()
                .find(|router| member.is(&router.instance, router.family));
            match planned {
                None => member.stop(now, &mut shell),
                Some(router) => {
                    let moved = member.moves_with(router);
                    member.reconfigure(router.clone(), now, &mut shell);
                    if moved && interfaces.get(&router.interface_index) == Some(&true) {
                        member.link(true, now, &mut shell);
                    }
                }
            }
        }
        let starting: Vec<_> = plan
            .routers
            .iter()
            .filter(|router| {
                !members
                    .iter()
                    .any(|member| member.is(&router.instance, router.family))
            })
            .collect();
        if starting.is_empty() {
            self.regroup()?;
            return self.remove_others_of_ours();
        }
        let present = shell.netlink.addresses()?;
        for router in starting {
            let running = interfaces.get(&router.interface_index) == Some(&true);
            let verdict = verdict(plan, verdicts, router);
            let start = Start {
                running,
                present: &present,
                verdict,
            };
            let member = Member::start(router.clone(), start, now, &mut shell);
            members.push(member);
        }
        self.regroup()?;
        self.remove_leftovers(&present)
    }

    /// Members came, went or changed.
    fn regroup(&mut self) -> io::Result<()> {
        self.groups = Groups::of(&self.members);
        let count = self.members.len();
        for member in &mut self.members {
            member.share_memory(count);
        }
        self.apply_verdicts();
        let addresses = self.members.iter().flat_map(Member::claimable);
        self.claims.hear(&addresses.copied().collect::<Vec<_>>())
    }

    /// Tells every router what tracked things do to it.
    pub(super) fn apply_verdicts(&mut self) {
        let now = clock();
        let Self {
            shared,
            plan,
            members,
            verdicts,
            ..
        } = self;
        let mut shell = shared.shell();
        for router in &plan.routers {
            let member = members
                .iter_mut()
                .find(|member| member.is(&router.instance, router.family));
            if let Some(member) = member {
                member.judge(verdict(plan, verdicts, router), now, &mut shell);
            }
        }
    }

    /// Removes VIPs that an earlier run left and that no router of the plan has.
    fn remove_leftovers(&mut self, present: &[KernelAddress]) -> io::Result<()> {
        let leftovers: Vec<_> = present
            .iter()
            .filter(|address| address.is_ours(false))
            .map(|address| address.vip)
            .filter(|vip| {
                let mut members = self.members.iter();
                !members.any(|member| member.plans(*vip) || member.holds(*vip))
            })
            .map(|vip| Change::Delete { vip })
            .collect();
        // A failure means that it has expired meanwhile.
        self.shared.netlink.apply(&leftovers)?;
        self.remove_others_of_ours()
    }

    /// Removes routes and devices that an earlier run left and that no router has, once.
    fn remove_others_of_ours(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_looked_for_leftovers, true) {
            return Ok(());
        }
        let leftovers: Vec<_> = self
            .shared
            .netlink
            .routes()?
            .into_iter()
            .filter(|route| !self.members.iter().any(|member| member.carries(route)))
            .map(|route| RouteChange::Delete { route })
            .collect();
        self.shared.netlink.apply(&leftovers)?;
        let leftovers: Vec<_> = self
            .shared
            .netlink
            .devices()?
            .into_iter()
            .filter(|device| {
                let mut planned = self.plan.routers.iter().flat_map(|it| &it.virtual_device);
                !planned.any(|planned| device.is(planned))
            })
            .map(|device| DeviceChange::Delete {
                index: device.index,
            })
            .collect();
        self.shared.netlink.apply(&leftovers).map(drop)
    }

    /// Drops routers that have ended. One that the plan has again meanwhile starts anew.
    pub(super) fn reap(&mut self) -> io::Result<()> {
        let before = self.members.len();
        self.members.retain(|member| !member.is_stopped());
        if self.members.len() == before {
            return Ok(());
        }
        self.has_changed = true;
        self.reconcile()
    }
}

/// What tracked things do to a router: the priorities of a sync group stay alike.
fn verdict(plan: &VrrpPlan, verdicts: &BTreeMap<String, Verdict>, router: &RouterPlan) -> Verdict {
    let group = plan
        .routers
        .iter()
        .filter(|other| other.group == router.group);
    let adjustments = group.map(|other| {
        let verdict = verdicts.get(&other.instance);
        verdict
            .map(|verdict| verdict.adjustment)
            .unwrap_or_default()
    });
    let own = verdicts.get(&router.instance);
    Verdict {
        adjustment: Adjustment::lowest(adjustments),
        failed: own.map(|own| own.failed.clone()).unwrap_or_default(),
    }
}
