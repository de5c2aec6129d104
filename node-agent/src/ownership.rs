//! What this agent put into the kernel, or may have: kept on disk, so that a later release removes
//! exactly that. Pure; [`mod@file`] reads and writes it.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_crds::v1alpha1::AddressFamily;
use lvs_ipvs::{ServiceKey, SyncRole, Timeouts};
use serde::{Deserialize, Serialize};

use crate::diff::Diff;
use crate::diff::tunnels::is_used;
use crate::kernel::fou::FouPort;
use crate::kernel::marks::ObservedMarks;
use crate::kernel::sysctls::Sysctl;
use crate::observe::Observed;
use crate::op::{LoopbackVip, Op};
use crate::plan::Plan;
use crate::plan::drain::Drains;
use crate::plan::services::Services;

pub mod file;

/// What is ours in the kernel, and since when members leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ownership {
    /// With the VIPs that lead to a service by firewall mark.
    #[serde(with = "record::services")]
    services: BTreeMap<ServiceKey, Vec<IpAddr>>,
    addresses: BTreeSet<OwnedAddress>,
    sysctls: Vec<RecordedSysctl>,
    links: BTreeSet<String>,
    fou_ports: BTreeSet<OwnedPort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(with = "record::timeouts")]
    timeouts: Option<RecordedTimeouts>,
    has_marks: bool,
    runs_master_daemon: bool,
    runs_backup_daemon: bool,
    #[serde(with = "record::drains")]
    drains: Drains,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct OwnedAddress {
    address: IpAddr,
    interface: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct OwnedPort {
    outer: AddressFamily,
    port: u16,
}

/// Timeouts that were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedTimeouts {
    /// Their values before the first change.
    pub original: Timeouts,
    /// The values that they were given.
    pub ours: Timeouts,
}

/// A sysctl that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSysctl {
    /// Which.
    pub sysctl: Sysctl,
    /// Its value before the first change.
    pub original: String,
    /// The value that it was given.
    pub ours: String,
}

impl Ownership {
    /// The IPVS services that are ours, with the VIPs that lead to those by firewall mark.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceKey, &Vec<IpAddr>)> {
        self.services.iter()
    }

    /// Whether an IPVS service is ours.
    #[must_use]
    pub fn has_service(&self, key: &ServiceKey) -> bool {
        self.services.contains_key(key)
    }

    /// Since when members leave.
    #[must_use]
    pub const fn drains(&self) -> &Drains {
        &self.drains
    }

    /// The timeouts that were changed.
    #[must_use]
    pub const fn timeouts(&self) -> Option<RecordedTimeouts> {
        self.timeouts
    }

    /// Whether an address of an interface was added by us, as far as the record says.
    #[must_use]
    pub fn has_address(&self, address: IpAddr, interface: &str) -> bool {
        self.addresses.contains(&OwnedAddress {
            address,
            interface: interface.to_owned(),
        })
    }

    /// Whether any address is recorded.
    #[must_use]
    pub fn has_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// The sysctls that were changed.
    #[must_use]
    pub fn sysctls(&self) -> &[RecordedSysctl] {
        &self.sysctls
    }

    /// Names of the links that were set up.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(String::as_str)
    }

    /// The UDP ports of GUE that were added.
    pub fn fou_ports(&self) -> impl Iterator<Item = FouPort> {
        self.fou_ports.iter().map(|owned| FouPort {
            outer: owned.outer,
            port: owned.port,
        })
    }

    /// Whether the table of firewall marks may be there.
    #[must_use]
    pub const fn has_marks(&self) -> bool {
        self.has_marks
    }

    /// Whether the daemon of that role is ours.
    #[must_use]
    pub const fn has_daemon(&self, role: SyncRole) -> bool {
        match role {
            SyncRole::Master => self.runs_master_daemon,
            SyncRole::Backup => self.runs_backup_daemon,
        }
    }

    /// Whether the kernel may have anything of ours in its IPVS.
    #[must_use]
    pub fn has_ipvs(&self) -> bool {
        !self.services.is_empty()
            || self.timeouts.is_some()
            || self.runs_master_daemon
            || self.runs_backup_daemon
    }

    /// Takes in the services that are about to be programmed, and who leaves by them.
    pub fn claim_services(&mut self, services: &Services, now_unix_seconds: i64) {
        for (key, owner) in &services.owners {
            let vips = match key {
                ServiceKey::Address { .. } => Vec::new(),
                ServiceKey::Mark { .. } => owner.addresses.clone(),
            };
            let before = self.services.entry(*key).or_default();
            if *before != vips {
                // VIPs that the plan has taken away count until they are gone.
                before.extend(vips);
                before.sort_unstable();
                before.dedup();
            }
        }
        self.drains.follow(services, now_unix_seconds);
    }

    /// Forgets services that are neither planned nor in the kernel any more.
    pub fn settle_services(&mut self, services: &Services, is_there: &dyn Fn(&ServiceKey) -> bool) {
        self.services.retain(|key, vips| {
            if let Some(owner) = services.owners.get(key) {
                vips.retain(|vip| owner.addresses.contains(vip));
                return true;
            }
            services.untouched.contains_key(key) || is_there(key)
        });
    }

    /// Takes in what is about to be done, before it is done: a crash in between must not leave
    /// anything behind that nobody knows of.
    pub fn claim(&mut self, plan: &Plan, observed: &Observed, diff: &Diff) {
        for op in diff.ops() {
            match op {
                Op::AddAddress(vip) => {
                    self.addresses.insert(owned_address(vip));
                }
                Op::SetMarks(_) => self.has_marks = true,
                Op::SetLink(link) if link.is_up => {
                    self.links.insert(link.name.clone());
                }
                Op::AddFouPort(FouPort { outer, port }) => {
                    self.fou_ports.insert(OwnedPort {
                        outer: *outer,
                        port: *port,
                    });
                }
                Op::Ipvs(lvs_ipvs::Command::StartDaemon(daemon)) => {
                    self.set_daemon(daemon.role, true);
                }
                _ => {}
            }
        }
        for daemon in plan.daemons.iter().flatten() {
            if observed
                .daemons
                .iter()
                .any(|running| daemon.is_met_by(running))
            {
                self.set_daemon(daemon.role, true);
            }
        }
        if let (Some(ours), Some(found)) = (plan.timeouts, observed.timeouts) {
            let original = self.timeouts.map_or(found, |recorded| recorded.original);
            self.timeouts = Some(RecordedTimeouts { original, ours });
        }
        for (sysctl, ours) in plan.sysctls() {
            let recorded = self
                .sysctls
                .iter_mut()
                .find(|recorded| recorded.sysctl == *sysctl);
            match (recorded, observed.sysctls.get(sysctl)) {
                (Some(recorded), _) => ours.clone_into(&mut recorded.ours),
                (None, Some(original)) => self.sysctls.push(RecordedSysctl {
                    sysctl: sysctl.clone(),
                    original: original.clone(),
                    ours: ours.to_owned(),
                }),
                (None, None) => {}
            }
        }
    }

    /// Forgets what is neither planned nor in the kernel any more.
    pub fn settle(&mut self, plan: &Plan, observed: &Observed) {
        if observed.has_ipvs {
            for role in [SyncRole::Master, SyncRole::Backup] {
                if !observed.daemons.iter().any(|daemon| daemon.role == role) {
                    self.set_daemon(role, false);
                }
            }
            let is_done = |recorded: RecordedTimeouts| {
                plan.timeouts.is_none()
                    && (observed.timeouts != Some(recorded.ours)
                        || recorded.ours == recorded.original)
            };
            self.timeouts = self.timeouts.filter(|recorded| !is_done(*recorded));
        }
        self.addresses.retain(|owned| {
            let interfaces = observed.facts.interfaces.values();
            interfaces
                .filter(|interface| interface.name == owned.interface)
                .flat_map(|interface| &interface.addresses)
                .any(|address| address.address == owned.address && address.is_permanent)
        });
        self.settle_tunnels(plan, observed);
        match &observed.marks {
            ObservedMarks::Known(table) => self.has_marks = table.is_some(),
            // A kernel that cannot do it has none.
            ObservedMarks::Unsupported(_) => self.has_marks = false,
            ObservedMarks::Unknown => {}
        }
        let planned = plan.sysctls();
        let is_unknown = plan.real_server.is_none();
        self.sysctls.retain(|recorded| {
            is_unknown
                || planned.contains_key(&recorded.sysctl)
                || observed.sysctls.get(&recorded.sysctl).is_some_and(|value| {
                    *value == recorded.ours && recorded.ours != recorded.original
                })
        });
    }

    fn settle_tunnels(&mut self, plan: &Plan, observed: &Observed) {
        let Some(real_server) = &plan.real_server else {
            return;
        };
        let tunnels = &real_server.tunnels;
        let links = std::mem::take(&mut self.links);
        self.links = links
            .into_iter()
            .filter(|name| {
                let interface = observed.facts.named(name);
                let is_ours = interface.is_ok_and(|link| link.is_up && !is_used(link, self));
                tunnels.devices.contains_key(name) || is_ours
            })
            .collect();
        let there = observed.fou_ports.as_ref();
        self.fou_ports.retain(|owned| {
            let port = FouPort {
                outer: owned.outer,
                port: owned.port,
            };
            tunnels.fou_ports.contains(&port)
                || there.is_some_and(|ports| ports.contains_key(&port))
        });
    }

    fn set_daemon(&mut self, role: SyncRole, runs: bool) {
        match role {
            SyncRole::Master => self.runs_master_daemon = runs,
            SyncRole::Backup => self.runs_backup_daemon = runs,
        }
    }
}

fn owned_address(vip: &LoopbackVip) -> OwnedAddress {
    OwnedAddress {
        address: vip.address,
        interface: vip.interface_name.clone(),
    }
}
