//! The loop of the VRRP thread: waits for packets, notices, commands and deadlines, and hands each
//! to the router that it concerns.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use lvs_vrrp::Monotonic;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use tokio::sync::{mpsc, oneshot, watch};

use super::addresses::Vip;
use super::announce::PacketSocket;
use super::claims::Claims;
use super::clock::clock;
use super::groups::Groups;
use super::member::Member;
use super::metrics::VrrpMetrics;
use super::netlink::{Link, Netlink, Notice};
use super::plan::VrrpPlan;
use super::recorder::Recording;
use super::refresh::Renewal;
use super::report::{VrrpEvent, VrrpReport};
use super::shell::{Shared, Shell};
use super::sockets::Sockets;
use super::watchdog::Watchdog;
use crate::track::Verdict;

mod members;
mod packets;

/// Most frames that are sent before packets and timers are looked at again.
const FRAMES_PER_TURN: usize = 32;

/// What the thread is told.
pub(super) enum Command {
    /// Run these routers.
    Configure(VrrpPlan),
    /// What tracked things do to the instances.
    Track(BTreeMap<String, Verdict>),
    /// Say what every router went through.
    Record(oneshot::Sender<Vec<Recording>>),
    /// Hand over and end.
    Stop,
}

/// What connects the thread to the rest of the agent.
pub(super) struct Links {
    pub(super) commands: std_mpsc::Receiver<Command>,
    pub(super) wake: Arc<EventFd>,
    pub(super) report: watch::Sender<VrrpReport>,
    pub(super) events: mpsc::Sender<VrrpEvent>,
    pub(super) recordings: mpsc::Sender<Recording>,
    pub(super) metrics: Arc<VrrpMetrics>,
}

/// The state of the thread.
pub(super) struct VrrpThread {
    shared: Shared,
    claims: Claims,
    /// Interfaces by index, and whether they run.
    interfaces: BTreeMap<u32, bool>,
    plan: VrrpPlan,
    members: Vec<Member>,
    groups: Groups,
    /// What tracked things do to the instances.
    verdicts: BTreeMap<String, Verdict>,
    /// Routers have ended that the last report names.
    has_changed: bool,
    stopping: bool,
    watchdog: Watchdog,
    /// Routes and devices that an earlier run left were looked for.
    has_looked_for_leftovers: bool,
}

impl VrrpThread {
    /// Opens what all routers share.
    pub(super) fn open(links: Links) -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        let interfaces = netlink.links()?;
        Ok(Self {
            shared: Shared {
                links,
                netlink,
                packets: PacketSocket::open()?,
                sockets: Sockets::default(),
                sent_due: Vec::new(),
            },
            claims: Claims::default(),
            interfaces: interfaces
                .into_iter()
                .map(|link| (link.index, link.running))
                .collect(),
            plan: VrrpPlan::default(),
            members: Vec::new(),
            groups: Groups::default(),
            verdicts: BTreeMap::new(),
            has_changed: false,
            stopping: false,
            watchdog: Watchdog::default(),
            has_looked_for_leftovers: false,
        })
    }

    /// Runs until it is told to stop and all routers have handed over.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            // Packets before the timers of the same moment: a thread that was late must not take that for a silent
            // peer.
            let now = clock();
            self.take_packets(now)?;
            self.serve_timers(now);
            self.take_commands()?;
            self.take_notices()?;
            self.take_claims(now)?;
            self.settle_groups();
            self.reap()?;
            self.count_lateness();
            self.refresh_vips();
            self.send_frames();
            self.serve_watchdog();
            self.publish();
            if self.stopping && self.members.is_empty() {
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn take_commands(&mut self) -> io::Result<()> {
        loop {
            match self.shared.links.commands.try_recv() {
                Ok(Command::Configure(plan)) => {
                    self.plan = plan;
                    self.reconcile()?;
                }
                Ok(Command::Track(verdicts)) => {
                    self.verdicts = verdicts;
                    self.apply_verdicts();
                }
                Ok(Command::Record(recordings)) => {
                    // Whoever asked may have gone.
                    let _ = recordings.send(self.members.iter().map(Member::recording).collect());
                }
                Ok(Command::Stop) | Err(std_mpsc::TryRecvError::Disconnected) => {
                    if !self.stopping {
                        self.stopping = true;
                        self.plan = VrrpPlan::default();
                        self.reconcile()?;
                    }
                    return Ok(());
                }
                Err(std_mpsc::TryRecvError::Empty) => return Ok(()),
            }
        }
    }

    fn take_notices(&mut self) -> io::Result<()> {
        while let Some(notice) = self.shared.netlink.notice()? {
            match notice {
                Notice::Link(link) => {
                    self.link(link.index, Some(link.running));
                    self.device(link.index, Some(link.is_up));
                }
                Notice::LinkGone(index) => {
                    self.link(index, None);
                    self.device(index, None);
                }
                Notice::AddressGone(address) => self.address_gone(address.vip),
                Notice::Lost => self.look_anew()?,
            }
        }
        Ok(())
    }

    fn link(&mut self, index: u32, running: Option<bool>) {
        let now = clock();
        match running {
            Some(running) => self.interfaces.insert(index, running),
            None => self.interfaces.remove(&index),
        };
        self.each(|member, shell| {
            if member.interface_index() == index {
                member.link(running.unwrap_or(false), now, shell);
            }
        });
    }

    /// An interface that a router made is up or not; `None` when it is gone.
    fn device(&mut self, index: u32, is_up: Option<bool>) {
        let now = clock();
        self.each(|member, shell| {
            if member.device() == Some(index) {
                member.device_changed(is_up, now, shell);
            }
        });
    }

    fn address_gone(&mut self, vip: Vip) {
        let now = clock();
        self.each(|member, shell| member.address_gone(vip, now, shell));
    }

    /// Notices were lost: compares what is there with what was known.
    fn look_anew(&mut self) -> io::Result<()> {
        let links: BTreeMap<u32, Link> = self
            .shared
            .netlink
            .links()?
            .into_iter()
            .map(|link| (link.index, link))
            .collect();
        let gone: Vec<u32> = self
            .interfaces
            .keys()
            .filter(|index| !links.contains_key(index))
            .copied()
            .collect();
        for index in gone {
            self.link(index, None);
            self.device(index, None);
        }
        for (index, link) in links {
            self.link(index, Some(link.running));
            self.device(index, Some(link.is_up));
        }
        let present = self.shared.netlink.addresses()?;
        let missing: Vec<Vip> = self
            .members
            .iter()
            .flat_map(|member| member.missing(&present))
            .collect();
        for vip in missing {
            self.address_gone(vip);
        }
        Ok(())
    }

    fn serve_timers(&mut self, now: Monotonic) {
        self.each(|member, shell| {
            if member.next_deadline().is_some_and(|due| due <= now) {
                member.tick(now, shell);
            }
        });
    }

    /// Counts how late the advertisements of this turn were, the last of them: to read the clock for each would make
    /// the next later.
    fn count_lateness(&mut self) {
        if self.shared.sent_due.is_empty() {
            return;
        }
        let now = clock();
        for due in self.shared.sent_due.drain(..) {
            let late = now.saturating_since(due);
            self.shared.links.metrics.advertised_late(late);
        }
    }

    /// Does the same to every router, with what they share.
    fn each(&mut self, mut act: impl FnMut(&mut Member, &mut Shell<'_>)) {
        let Self {
            shared, members, ..
        } = self;
        let mut shell = shared.shell();
        for member in members {
            act(member, &mut shell);
        }
    }

    fn settle_groups(&mut self) {
        let now = clock();
        let Self {
            shared,
            members,
            groups,
            ..
        } = self;
        groups.settle(members, now, &mut shared.shell());
    }

    /// Renews the lifetime of VIPs and adds routes again that somebody removed, of every router that has
    /// advertised in this turn.
    fn refresh_vips(&mut self) {
        if !self.members.iter().any(Member::wants_refresh) {
            return;
        }
        let mut renewal = Renewal::default();
        for member in &mut self.members {
            member.collect_refresh(&mut renewal);
        }
        renewal.send(&mut self.shared.netlink, &self.shared.links.metrics);
        let now = clock();
        // Routes may have a VIP as their source, so they are next.
        self.each(|member, shell| {
            if member.take_refreshed() {
                member.refresh_routes(now, shell);
            }
        });
    }

    /// Sends some of the frames that wait for the advertisements.
    fn send_frames(&mut self) {
        let mut most = FRAMES_PER_TURN;
        self.each(|member, shell| most -= member.send_frames(most, shell));
    }

    /// Feeds the watchdog: here, so that a turn that does not come resets the node.
    fn serve_watchdog(&mut self) {
        let is_wanted = self.members.iter().any(Member::may_answer);
        let plan = self.plan.watchdog.as_ref();
        self.has_changed |= self.watchdog.serve(plan, is_wanted, clock());
        let is_running = u64::from(self.watchdog.is_running());
        self.shared.links.metrics.watchdog_running.set(is_running);
    }

    /// Tells of what changed in this turn.
    fn publish(&mut self) {
        // Not `any`: every member's mark is to be taken.
        let mut has_changed = std::mem::take(&mut self.has_changed);
        for member in &mut self.members {
            has_changed |= member.take_changed();
        }
        if !has_changed {
            return;
        }
        let now = clock();
        let split = self.members.iter().filter(|member| member.is_split());
        let split = u64::try_from(split.count()).unwrap_or(u64::MAX);
        self.shared.links.metrics.split_brain.set(split);
        let conflicts = self.members.iter().flat_map(Member::conflicts);
        let conflicts = u64::try_from(conflicts.count()).unwrap_or(u64::MAX);
        self.shared.links.metrics.address_conflicts.set(conflicts);
        let mut routers: Vec<_> = self
            .members
            .iter()
            .map(|member| member.report(now))
            .collect();
        routers.sort_by(|a, b| (&a.instance, a.family).cmp(&(&b.instance, b.family)));
        let report = VrrpReport {
            routers,
            watchdog_problem: self.watchdog.problem().map(str::to_owned),
        };
        self.shared.links.report.send_if_modified(|current| {
            let modified = *current != report;
            *current = report;
            modified
        });
    }

    fn wait(&mut self) -> io::Result<()> {
        let deadlines = self.members.iter().filter_map(Member::next_deadline);
        let next = deadlines
            .chain(self.groups.next_deadline(&self.members))
            .chain(self.watchdog.next_deadline())
            .min();
        let has_frames = self.members.iter().any(Member::has_frames);
        let timeout =
            if has_frames || self.shared.netlink.has_pending() || self.claims.is_readable() {
                Some(Duration::ZERO)
            } else {
                next.map(|next| next.saturating_since(clock()))
            };
        let sockets = self.shared.sockets.all();
        let shared = [self.shared.links.wake.as_fd(), self.shared.netlink.as_fd()];
        let mut descriptors: Vec<_> = shared
            .into_iter()
            .chain(self.claims.all())
            .chain(sockets.iter().map(|socket| socket.as_fd()))
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        match ppoll(&mut descriptors, timeout.map(TimeSpec::from_duration), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // An error is found by reading, too.
        let is_ready = |descriptor: &PollFd<'_>| descriptor.any() != Some(false);
        let ready: Vec<bool> = descriptors.iter().map(is_ready).collect();
        let mut ready = ready.into_iter();
        let is_woken = ready.next() == Some(true);
        self.shared
            .netlink
            .note_readable(ready.next() == Some(true));
        self.claims.note_readable(ready.by_ref());
        self.shared.sockets.note_readable(ready);
        if !is_woken {
            return Ok(());
        }
        match self.shared.links.wake.read() {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
