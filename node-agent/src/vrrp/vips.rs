//! The VIPs that a router holds, and making the interface agree with them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use nix::libc;

use super::addresses::{Change, KernelAddress, Vip};
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

    /// Whether the interface has all of `addresses`, whoever put them there.
    pub(super) fn has_all(&self, addresses: &[IpAddr]) -> bool {
        addresses
            .iter()
            .all(|address| self.held.contains_key(address) || self.foreign.contains_key(address))
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

    /// Answers the notice that `vip` is gone: adds it again. Returns whether it really was gone and
    /// is back, as opposed to a notice about something long past.
    pub(super) fn restore(
        &mut self,
        vip: Vip,
        lifetime_seconds: u32,
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) -> bool {
        if !self.holds(vip) {
            return false;
        }
        let change = Change::Add {
            vip,
            lifetime_seconds,
        };
        match netlink.apply(&[change]) {
            Ok(failed) => match failed.into_iter().next() {
                None => {
                    told.push(VrrpEventKind::VipRestored(vip.address, vip.prefix_length));
                    true
                }
                Some((_, error)) if error.raw_os_error() == Some(libc::EEXIST) => false,
                Some((_, error)) => {
                    self.held.remove(&vip.address);
                    self.failed.insert(vip.address, vip);
                    told.push(cannot("add a VIP again", &error));
                    false
                }
            },
            Err(error) => {
                told.push(cannot("add a VIP again", &error));
                false
            }
        }
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
