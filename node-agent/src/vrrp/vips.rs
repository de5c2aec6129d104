//! The VIPs that a router holds, and making the interface agree with them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use lvs_vrrp::Monotonic;
use nix::libc;

use super::addresses::{Change, KernelAddress, Vip};
use super::brake::Brake;
use super::netlink::Netlink;
use super::report::VrrpEventKind;

/// The VIPs of one router on its interface.
#[derive(Debug, Default)]
pub(super) struct Vips {
    /// Present and ours.
    held: BTreeMap<IpAddr, Vip>,
    /// Wanted, but present as somebody else's.
    foreign: BTreeMap<IpAddr, Vip>,
    /// Wanted, but the kernel did not take them: tried again with each refresh.
    failed: BTreeMap<IpAddr, Vip>,
    /// Removed by another program again and again: added again at that time.
    withheld: BTreeMap<IpAddr, (Vip, Monotonic)>,
    /// Of those that another program has removed.
    brakes: BTreeMap<IpAddr, Brake>,
}

impl Vips {
    /// Takes over what an earlier run of the agent left on the interface.
    pub(super) fn adopt(&mut self, address: &KernelAddress) {
        self.held.insert(address.vip.address, address.vip);
    }

    /// VIPs whose lifetime is to be refreshed.
    pub(super) fn held(&self) -> impl Iterator<Item = Vip> + '_ {
        self.held.values().copied()
    }

    /// VIPs that somebody else put on the interface.
    pub(super) fn foreign(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.foreign.keys().copied()
    }

    /// VIPs that the kernel did not take.
    pub(super) fn failed(&self) -> Vec<IpAddr> {
        self.failed.keys().copied().collect()
    }

    /// Whether there are such.
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// VIPs that another program keeps removing.
    pub(super) fn fought_over(&self, now: Monotonic) -> impl Iterator<Item = IpAddr> + '_ {
        let fights = self.brakes.iter();
        fights
            .filter(move |(_, brake)| brake.is_fight(now))
            .map(|(address, _)| *address)
    }

    /// When to call [`Vips::restore_due`].
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        let due = self.withheld.values().map(|(_, at)| *at);
        due.chain(self.brakes.values().map(Brake::calm_at)).min()
    }

    /// Whether the interface has all of `addresses`, whoever put them there.
    pub(super) fn has_all(&self, addresses: &[IpAddr]) -> bool {
        addresses
            .iter()
            .all(|address| self.held.contains_key(address) || self.foreign.contains_key(address))
    }

    /// VIPs that the interface has, whoever put them there.
    pub(super) fn present(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.held.keys().chain(self.foreign.keys()).copied()
    }

    /// Whether `vip` is held, with that prefix on that interface.
    pub(super) fn holds(&self, vip: Vip) -> bool {
        self.held.get(&vip.address) == Some(&vip)
    }

    /// Sees that the interface has `wanted`. An address of somebody else's is left as it is.
    pub(super) fn add(
        &mut self,
        wanted: &[Vip],
        lifetime_seconds: u32,
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) {
        let mut changes = Vec::with_capacity(wanted.len());
        for vip in wanted.iter().copied() {
            if self.withheld.contains_key(&vip.address) {
                continue;
            }
            match self.held.get(&vip.address) {
                Some(held) if *held == vip => {}
                Some(held) => {
                    // Another prefix length: the kernel keys addresses by it.
                    changes.push(Change::Delete { vip: *held });
                    changes.push(Change::Add {
                        vip,
                        lifetime_seconds,
                    });
                }
                None => changes.push(Change::Add {
                    vip,
                    lifetime_seconds,
                }),
            }
        }
        let failed = match netlink.apply(&changes) {
            Ok(failed) => failed,
            Err(error) => {
                let mut is_news = false;
                for vip in changes.iter().map(Change::vip) {
                    is_news |= self.failed.insert(vip.address, vip).is_none();
                }
                if is_news {
                    told.push(cannot("add VIPs", &error));
                }
                return;
            }
        };
        let mut failed: BTreeMap<usize, io::Error> = failed.into_iter().collect();
        let mut present = None;
        for (position, change) in changes.iter().enumerate() {
            let vip = change.vip();
            match (change, failed.remove(&position)) {
                (Change::Delete { .. }, _) => {
                    self.held.remove(&vip.address);
                    told.push(VrrpEventKind::VipRemoved(vip.address, vip.prefix_length));
                }
                (_, None) => {
                    self.held.insert(vip.address, vip);
                    self.foreign.remove(&vip.address);
                    self.failed.remove(&vip.address);
                    told.push(VrrpEventKind::VipAdded(vip.address, vip.prefix_length));
                }
                (_, Some(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
                    let present =
                        present.get_or_insert_with(|| netlink.addresses().unwrap_or_default());
                    self.found(vip, present, told);
                }
                (_, Some(error)) => {
                    if self.failed.insert(vip.address, vip).is_none() {
                        told.push(cannot("add a VIP", &error));
                    }
                }
            }
        }
    }

    fn found(&mut self, vip: Vip, present: &[KernelAddress], told: &mut Vec<VrrpEventKind>) {
        self.failed.remove(&vip.address);
        let ours = present
            .iter()
            .any(|address| address.vip == vip && address.is_ours(true));
        if ours {
            self.held.insert(vip.address, vip);
        } else if self.foreign.insert(vip.address, vip).is_none() {
            told.push(VrrpEventKind::VipForeign(vip.address));
        }
    }

    /// Removes those of `addresses` that are ours.
    pub(super) fn remove(
        &mut self,
        addresses: &[IpAddr],
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) {
        let mut changes = Vec::new();
        for address in addresses {
            self.foreign.remove(address);
            self.failed.remove(address);
            self.withheld.remove(address);
            self.brakes.remove(address);
            if let Some(vip) = self.held.remove(address) {
                changes.push(Change::Delete { vip });
            }
        }
        let failed = match netlink.apply(&changes) {
            Ok(failed) => failed,
            Err(error) => {
                told.push(cannot("remove VIPs", &error));
                return;
            }
        };
        for (_, error) in &failed {
            // Gone already, with its interface or by somebody's hand.
            let gone = matches!(
                error.raw_os_error(),
                Some(libc::EADDRNOTAVAIL | libc::ENODEV)
            );
            if !gone {
                told.push(cannot("remove a VIP", error));
            }
        }
        for change in &changes {
            let vip = change.vip();
            told.push(VrrpEventKind::VipRemoved(vip.address, vip.prefix_length));
        }
    }

    /// Answers the notice that `vip` is gone: adds it again, or leaves that for later. Returns whether
    /// it really was gone and is back, as opposed to a notice about something long past.
    pub(super) fn restore(
        &mut self,
        vip: Vip,
        lifetime_seconds: u32,
        now: Monotonic,
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) -> bool {
        if !self.holds(vip) {
            return false;
        }
        let brake = self.brakes.entry(vip.address).or_default();
        let at = brake.next_at(now);
        if at > now {
            self.held.remove(&vip.address);
            self.withheld.insert(vip.address, (vip, at));
            return false;
        }
        let was_fight = brake.is_fight(now);
        let change = Change::Add {
            vip,
            lifetime_seconds,
        };
        match netlink.apply(&[change]) {
            Ok(failed) => match failed.into_iter().next() {
                None => {
                    told.push(VrrpEventKind::VipRestored(vip.address, vip.prefix_length));
                    brake.restored(now);
                    if brake.is_fight(now) && !was_fight {
                        told.push(VrrpEventKind::VipFoughtOver(vip.address));
                    }
                    true
                }
                Some((_, error)) if error.raw_os_error() == Some(libc::EEXIST) => {
                    self.held.remove(&vip.address);
                    let present = netlink.addresses().unwrap_or_default();
                    self.found(vip, &present, told);
                    false
                }
                Some((_, error)) => {
                    self.held.remove(&vip.address);
                    self.failed.insert(vip.address, vip);
                    // It went with its interface, whose notice follows.
                    if error.raw_os_error() != Some(libc::ENODEV) {
                        told.push(cannot("add a VIP again", &error));
                    }
                    false
                }
            },
            Err(error) => {
                told.push(cannot("add a VIP again", &error));
                false
            }
        }
    }

    /// Adds those again that were left for later and are due, and forgets fights that are over.
    /// Returns the addresses that are back.
    pub(super) fn restore_due(
        &mut self,
        lifetime_seconds: u32,
        now: Monotonic,
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) -> Vec<IpAddr> {
        self.brakes.retain(|_, brake| brake.calm_at() > now);
        let due: Vec<Vip> = self
            .withheld
            .extract_if(.., |_, (_, at)| *at <= now)
            .map(|(_, (vip, _))| vip)
            .collect();
        let mut restored = Vec::new();
        for vip in due {
            self.held.insert(vip.address, vip);
            if self.restore(vip, lifetime_seconds, now, netlink, told) {
                restored.push(vip.address);
            }
        }
        restored
    }

    /// The interface is another one: nothing is there.
    pub(super) fn forget(&mut self) {
        self.held.clear();
        self.foreign.clear();
    }

    /// A foreign address is gone: the VIP is ours to add, if it is wanted. Returns whether it was one
    /// of those that stood in our way.
    pub(super) fn foreign_gone(&mut self, vip: Vip) -> bool {
        self.foreign.remove(&vip.address).is_some()
    }
}

fn cannot(action: &'static str, error: &io::Error) -> VrrpEventKind {
    VrrpEventKind::Failed {
        action,
        error: error.to_string(),
    }
}
