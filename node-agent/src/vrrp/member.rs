//! One router with its interface: carries out what the state machine says. No decisions.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lvs_vrrp::conflict::ConflictWatch;
use lvs_vrrp::group::Standing;
use lvs_vrrp::ip::IpHeader;
use lvs_vrrp::{Input, Monotonic, Output, Role, Router, Wire, active_down_interval};

use super::addresses::{KernelAddress, Vip, lifetime_seconds};
use super::announce::Port;
use super::carried::CarriedRoutes;
use super::plan::{Family, RouterPlan};
use super::recorder::Recorder;
use super::refresh::{Refresh, Renewal};
use super::report::{LostPeer, SplitBrain};
use super::shell::Shell;
use super::socket::AdvertisementSocket;
use super::vips::Vips;
use crate::track::Verdict;
use device::Device;
use frames::Frame;

mod conflicts;
mod device;
mod frames;
mod link;
mod outputs;
mod report;
mod routes;

/// What has failed is tried again this much later.
const RETRY: Duration = Duration::from_secs(1);

/// How far a router is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Stopping,
    Stopped,
}

/// What a router starts with.
pub(super) struct Start<'a> {
    /// Whether its interface works.
    pub(super) running: bool,
    /// What the kernel has: VIPs of a run that ended a moment ago mean that the router may go on as
    /// Active.
    pub(super) present: &'a [KernelAddress],
    /// What tracked things do to it.
    pub(super) verdict: Verdict,
}

/// A router and what it needs of its interface.
pub(super) struct Member {
    plan: RouterPlan,
    router: Router,
    recorder: Recorder,
    /// What tracked things do to it.
    tracked: Verdict,
    split_brain: Option<SplitBrain>,
    conflicts: ConflictWatch,
    /// Whose silence made it Active.
    lost_peer: Option<LostPeer>,
    /// Who sent a packet last that was of no use, and when.
    unusable: Option<(IpAddr, Monotonic)>,
    wire: Wire,
    /// While the interface runs.
    socket: Option<Arc<AdvertisementSocket>>,
    port: Option<Port>,
    device: Device,
    /// Why there is no socket.
    fault: Option<String>,
    running: bool,
    vips: Vips,
    routes: CarriedRoutes,
    /// When it was last told that routes were added again.
    route_restored_at: Option<Monotonic>,
    refresh: Refresh,
    /// When to try again what has failed.
    retry_at: Option<Monotonic>,
    life: Life,
    /// The report is another than before.
    changed: bool,
    sending: Sending,
    /// What is to be sent when there is nothing more urgent.
    frames: VecDeque<Frame>,
}

/// Errors of what was last sent; each is told once.
#[derive(Default)]
struct Sending {
    advertisement: Option<String>,
    announcement: Option<String>,
}

impl Sending {
    fn error(&self) -> Option<String> {
        let errors: Vec<_> = [&self.advertisement, &self.announcement]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}

impl Member {
    /// Starts a router.
    pub(super) fn start(
        plan: RouterPlan,
        start: Start<'_>,
        now: Monotonic,
        shell: &mut Shell<'_>,
    ) -> Self {
        let router = Router::new(plan.config.clone());
        let mut member = Self {
            recorder: Recorder::new(router.clone()),
            router,
            tracked: Verdict::default(),
            split_brain: None,
            conflicts: ConflictWatch::default(),
            lost_peer: None,
            unusable: None,
            wire: Wire::new(plan.config.clone()),
            plan,
            socket: None,
            port: None,
            device: Device::default(),
            fault: None,
            running: false,
            vips: Vips::default(),
            routes: CarriedRoutes::default(),
            route_restored_at: None,
            refresh: Refresh::default(),
            retry_at: None,
            life: Life::Running,
            changed: true,
            sending: Sending::default(),
            frames: VecDeque::new(),
        };
        if start.running {
            member.open(shell);
        }
        let mut age = None;
        for address in member.left_behind(start.present) {
            let since = address.age(now.since_epoch());
            age = Some(age.map_or(since, |age: Duration| age.max(since)));
            member.vips.adopt(address);
        }
        let resumes = age.is_some_and(|age| age < member.plan.config.resume_within());
        if member.plan.drain {
            member.input(Input::Drain(true), now, shell);
        }
        if member.plan.hold_preemption {
            member.input(Input::HoldPreemption(true), now, shell);
        }
        member.judge(start.verdict, now, shell);
        if member.socket.is_none() {
            member.input(Input::InterfaceDown, now, shell);
        }
        let input = if resumes {
            Input::StartActive
        } else {
            Input::Start
        };
        member.input(input, now, shell);
        member
    }

    fn left_behind<'a>(&self, present: &'a [KernelAddress]) -> Vec<&'a KernelAddress> {
        let planned = |address: &KernelAddress| {
            Some(address.vip.interface_index) == self.vip_interface()
                && self.plan.prefix_lengths.contains_key(&address.vip.address)
        };
        present
            .iter()
            .filter(|address| planned(address) && address.is_ours(true))
            .collect()
    }

    /// Takes over a changed plan without a change of role.
    pub(super) fn reconfigure(&mut self, plan: RouterPlan, now: Monotonic, shell: &mut Shell<'_>) {
        if self.plan == plan {
            return;
        }
        if self.moves_with(&plan) {
            // VIPs leave the old interface with the role.
            self.link(false, now, shell);
            self.delete_device(shell);
        }
        let drain = plan.drain != self.plan.drain;
        let hold_preemption = plan.hold_preemption != self.plan.hold_preemption;
        let prefixes = plan.prefix_lengths != self.plan.prefix_lengths;
        self.plan = plan;
        self.changed = true;
        self.refresh.outdate();
        self.wire.reconfigure(self.plan.config.clone());
        let config = Box::new(self.plan.config.clone());
        self.input(Input::Reconfigure(config), now, shell);
        self.keep_conflicts(shell);
        if prefixes && self.router.role() == Role::Active {
            let all = self.plan.config.virtual_addresses.clone();
            self.perform(Output::AddVips(all), shell);
        }
        self.settle_routes(&[], shell);
        if drain {
            self.input(Input::Drain(self.plan.drain), now, shell);
        }
        if hold_preemption {
            let hold = Input::HoldPreemption(self.plan.hold_preemption);
            self.input(hold, now, shell);
        }
    }

    /// Whether this is the router of an instance and family.
    pub(super) fn is(&self, instance: &str, family: Family) -> bool {
        self.plan.instance == instance && self.plan.family == family
    }

    /// The instance by which its sync group is called; `None` when it is about to end.
    pub(super) fn group(&self) -> Option<&str> {
        (self.life == Life::Running).then_some(self.plan.group.as_str())
    }

    /// Where it stands, for its group.
    pub(super) fn standing(&self) -> Standing {
        self.router.standing()
    }

    /// What its group tells it.
    pub(super) fn told_by_group(&mut self, input: Input, now: Monotonic, shell: &mut Shell<'_>) {
        self.input(input, now, shell);
    }

    /// Takes in what tracked things do to it.
    pub(super) fn judge(&mut self, verdict: Verdict, now: Monotonic, shell: &mut Shell<'_>) {
        if self.tracked == verdict {
            return;
        }
        self.changed = true;
        let is_adjusted = verdict.adjustment != self.tracked.adjustment;
        let adjustment = verdict.adjustment;
        self.tracked = verdict;
        if is_adjusted {
            self.input(Input::Priority(adjustment), now, shell);
        }
    }

    /// Shares the memory of the flight recorder among `routers` routers.
    pub(super) fn share_memory(&mut self, routers: usize) {
        self.recorder.share(routers);
    }

    /// Index of the interface.
    pub(super) fn interface_index(&self) -> u32 {
        self.plan.interface_index
    }

    /// Whether it hears on this socket.
    pub(super) fn is_on(&self, socket: &Arc<AdvertisementSocket>) -> bool {
        let own = self.socket.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, socket))
    }

    /// Whether an advertisement with this number is its virtual router's.
    pub(super) fn has_id(&self, virtual_router_id: u8) -> bool {
        self.plan.config.virtual_router_id == virtual_router_id
    }

    /// Whether the socket is to be read even if nothing is known to wait. Before a timer is served it always is:
    /// packets may have come since, and a thread that was late must not take that for a silent peer. The timer of a
    /// Backup in a group is served by that.
    pub(super) fn is_to_be_heard(&self, now: Monotonic) -> bool {
        self.router.next_deadline().is_none_or(|due| due <= now)
    }

    /// When to call [`Member::tick`].
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        let own = [
            self.router.next_deadline(),
            self.refresh.overdue_at(self.lifetime_seconds()),
            self.vips.next_deadline(),
            self.conflicts.next_deadline(),
            self.retry_at,
        ];
        own.into_iter().flatten().min()
    }

    /// Whether the report has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether `vip` is held by this router.
    pub(super) fn holds(&self, vip: Vip) -> bool {
        self.vips.holds(vip)
    }

    /// Whether `vip` is one that this router plans, where it plans it.
    pub(super) fn plans(&self, vip: Vip) -> bool {
        Some(vip.interface_index) == self.vip_interface()
            && self.plan.prefix_lengths.contains_key(&vip.address)
    }

    /// Whether `plan` has its VIPs elsewhere.
    pub(super) fn moves_with(&self, plan: &RouterPlan) -> bool {
        plan.interface_index != self.plan.interface_index
            || plan.interface_name != self.plan.interface_name
            || plan.virtual_device != self.plan.virtual_device
    }

    /// Whether this node may answer for its VIPs.
    pub(super) fn may_answer(&self) -> bool {
        self.router.role() == Role::Active || self.vips.held().next().is_some()
    }

    /// Whether the router has ended after [`Member::stop`].
    pub(super) fn is_stopped(&self) -> bool {
        self.life == Life::Stopped
    }

    fn lifetime_seconds(&self) -> u32 {
        let config = &self.plan.config;
        lifetime_seconds(active_down_interval(
            config.version,
            1,
            config.advertisement_interval,
            config.down_advertisements,
        ))
    }

    /// Ends the router, handing over if it is Active.
    pub(super) fn stop(&mut self, now: Monotonic, shell: &mut Shell<'_>) {
        // A second `Stop` would cut the hand-over short.
        if self.life == Life::Running {
            self.life = Life::Stopping;
            self.input(Input::Stop, now, shell);
        }
    }

    /// Serves the timers.
    pub(super) fn tick(&mut self, now: Monotonic, shell: &mut Shell<'_>) {
        self.input(Input::Tick, now, shell);
        if self.vips.next_deadline().is_some_and(|at| at <= now) {
            self.restore_due(now, shell);
        }
        self.watch_conflicts(now, shell);
        let overdue_at = self.refresh.overdue_at(self.lifetime_seconds());
        if overdue_at.is_some_and(|at| at <= now) {
            self.refresh.want(now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.retry(now, shell);
            self.schedule_retry(now);
        }
    }

    fn restore_due(&mut self, now: Monotonic, shell: &mut Shell<'_>) {
        self.changed = true;
        self.refresh.outdate();
        let lifetime = self.lifetime_seconds();
        let mut told = Vec::new();
        let restored = self
            .vips
            .restore_due(lifetime, now, shell.netlink, &mut told);
        for kind in told {
            self.tell(kind, shell);
        }
        for address in restored {
            shell.metrics.vips_restored.increment();
            self.settle_routes_anew(address, shell);
            self.announce(&[address], shell);
        }
    }

    /// Whether the lifetime of its VIPs is to be renewed.
    pub(super) fn wants_refresh(&self) -> bool {
        self.refresh.is_wanted()
    }

    /// Adds the renewal of its VIPs' lifetime, if it is wanted, to what is to be sent.
    pub(super) fn collect_refresh(&mut self, renewal: &mut Renewal) {
        if self.refresh.is_wanted() {
            let lifetime = self.lifetime_seconds();
            self.refresh.collect(self.vips.held(), lifetime, renewal);
        }
    }

    /// Whether it was collected since this was last asked.
    pub(super) fn take_refreshed(&mut self) -> bool {
        self.refresh.take_wanted()
    }

    /// Tries again what has failed: the interface's socket, and VIPs that the kernel did not take.
    fn retry(&mut self, now: Monotonic, shell: &mut Shell<'_>) {
        if self.running && self.socket.is_none() {
            self.link(true, now, shell);
        }
        let failed = self.vips.failed();
        if failed.is_empty() || self.router.role() != Role::Active {
            return;
        }
        let wanted = self.with_prefixes(&failed);
        let lifetime = self.lifetime_seconds();
        let mut told = Vec::new();
        self.vips.add(&wanted, lifetime, shell.netlink, &mut told);
        self.refresh.outdate();
        for kind in told {
            self.tell(kind, shell);
        }
        self.settle_routes(&[], shell);
        let added: Vec<IpAddr> = wanted
            .iter()
            .filter(|vip| self.vips.holds(**vip))
            .map(|vip| vip.address)
            .collect();
        self.changed |= self.vips.failed().len() != failed.len();
        self.announce(&added, shell);
    }

    fn schedule_retry(&mut self, now: Monotonic) {
        let has_failed = (self.running && self.socket.is_none()) || self.vips.has_failed();
        if !has_failed {
            self.retry_at = None;
        } else if self.retry_at.is_none() {
            self.retry_at = Some(now + RETRY);
        }
    }

    /// A packet with its number arrived.
    pub(super) fn received(
        &mut self,
        header: &IpHeader,
        payload: &[u8],
        now: Monotonic,
        shell: &mut Shell<'_>,
    ) {
        match self.wire.decode(header, payload, shell.time_of_day()) {
            Ok(None) => {}
            Ok(Some(advertisement)) => {
                shell.metrics.advertisements_received.increment();
                let input = Input::Received {
                    source: header.source,
                    advertisement,
                };
                self.input(input, now, shell);
            }
            Err(reason) => {
                self.unusable = Some((header.source, now));
                shell.metrics.reject(reason);
            }
        }
    }

    /// An address is gone from the kernel.
    pub(super) fn address_gone(&mut self, vip: Vip, now: Monotonic, shell: &mut Shell<'_>) {
        if self.router.role() != Role::Active || Some(vip.interface_index) != self.vip_interface() {
            return;
        }
        let mut told = Vec::new();
        let lifetime = self.lifetime_seconds();
        let restored = self.vips.foreign_gone(vip)
            || self
                .vips
                .restore(vip, lifetime, now, shell.netlink, &mut told);
        self.changed = true;
        self.refresh.outdate();
        for kind in told {
            self.tell(kind, shell);
        }
        if restored {
            shell.metrics.vips_restored.increment();
            self.perform(Output::AddVips(vec![vip.address]), shell);
            self.settle_routes_anew(vip.address, shell);
            self.perform(Output::Announce(vec![vip.address]), shell);
            // Whoever removed it may have done more.
            self.input(Input::Tick, now, shell);
        }
    }

    /// VIPs that are held but that the kernel, after notices were lost, does not have.
    pub(super) fn missing(&self, present: &[KernelAddress]) -> Vec<Vip> {
        self.vips
            .held()
            .filter(|vip| !present.iter().any(|address| address.vip == *vip))
            .collect()
    }
}
