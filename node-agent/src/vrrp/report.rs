//! What the VRRP thread tells the rest of the agent.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use lvs_crds::v1alpha1::RouterState;
use lvs_vrrp::announcement::HardwareAddress;
use lvs_vrrp::{Differences, Monotonic, RoleReason};

use super::brake::LONGEST_PAUSE;
use super::device::{VirtualDevice, hardware_text};
use super::plan::Family;
use super::routes::Route;

/// State of one router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterReport {
    /// Name of the VRRP instance.
    pub instance: String,
    /// Address family.
    pub family: Family,
    /// Interface.
    pub interface: String,
    /// State.
    pub state: RouterState,
    /// Whether the interface has all its VIPs.
    pub vips_present: bool,
    /// VIPs that somebody else put on the interface; they are left alone.
    pub foreign_vips: Vec<IpAddr>,
    /// VIPs that another program keeps removing.
    pub fought_vips: Vec<IpAddr>,
    /// Routes that are wanted and not in the kernel, and why.
    pub refused_routes: Vec<String>,
    /// What cannot be sent, and why.
    pub send_error: Option<String>,
    /// Another router that is Active beside this one.
    pub split_brain: Option<SplitBrain>,
    /// VIPs that another host claims by ARP.
    pub conflicts: Vec<AddressConflict>,
    /// The peer whose silence made this router Active, as long as it is.
    pub lost_peer: Option<LostPeer>,
    /// Tracked things that have failed.
    pub failed_tracks: Vec<String>,
    /// Why the router cannot run, when its state is `Fault`.
    pub fault: Option<String>,
}

impl RouterReport {
    /// What is wrong although the router runs, for people.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let mut problems = Vec::new();
        let interface = &self.interface;
        problems.extend(self.send_error.clone());
        if let Some(split) = self.split_brain {
            problems.push(format!(
                "{} is Active too: packets of one of the two do not reach the other; check the network \
                 between them, VLANs and switches first",
                split.peer
            ));
        }
        problems.extend(self.conflicts.iter().map(|conflict| {
            format!(
                "the host with MAC address {} says by ARP that it has {}, too: take the VIP from it, or, if it is \
                 a real server, see to its ARP suppression",
                hardware_text(conflict.hardware),
                conflict.address
            )
        }));
        // Those without which it cannot run are its fault.
        if self.fault.is_none() && !self.failed_tracks.is_empty() {
            problems.push(format!(
                "tracked and failed: {}",
                self.failed_tracks.join(", ")
            ));
        }
        if !self.fought_vips.is_empty() {
            let pause = LONGEST_PAUSE.as_secs();
            problems.push(format!(
                "another program keeps removing {} from interface {interface}; added again at most \
                 every {pause} s: find that program, or tell it to leave these addresses alone",
                listed(&self.fought_vips)
            ));
        }
        if !self.foreign_vips.is_empty() {
            problems.push(format!(
                "another program put {} on interface {interface}, where they stay when this router is \
                 not Active: remove them",
                listed(&self.foreign_vips)
            ));
        }
        if !self.refused_routes.is_empty() {
            problems.push(format!(
                "routes that are not in the kernel: {}",
                self.refused_routes.join(", ")
            ));
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(", ")
}

/// Two Active Routers at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitBrain {
    /// Address of the other.
    pub peer: IpAddr,
    /// When it was first heard.
    pub since: SystemTime,
}

/// A VIP that another host claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressConflict {
    /// The VIP.
    pub address: IpAddr,
    /// MAC address of the other host.
    pub hardware: HardwareAddress,
}

/// An Active Router that fell silent without giving up its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostPeer {
    /// Address that it sent from.
    pub address: IpAddr,
    /// When it was last heard.
    pub heard_at: Monotonic,
    /// When it was taken for lost.
    pub lost_at: Monotonic,
}

/// State of all routers, in the order of their instance and family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VrrpReport {
    /// The routers, those that are handing over before they end included.
    pub routers: Vec<RouterReport>,
    /// Why the watchdog is of no use.
    pub watchdog_problem: Option<String>,
}

impl VrrpReport {
    /// State of an instance: the worst of its routers, so that it is `Active` when all of them are.
    #[must_use]
    pub fn instance_state(&self, instance: &str) -> Option<RouterState> {
        self.routers
            .iter()
            .filter(|router| router.instance == instance)
            .map(|router| router.state)
            .min_by_key(|state| match state {
                RouterState::Fault => 0,
                RouterState::Initialize => 1,
                RouterState::Backup => 2,
                RouterState::Active => 3,
            })
    }

    /// What is wrong with an instance whose routers run, for people.
    #[must_use]
    pub fn instance_problem(&self, instance: &str) -> Option<String> {
        let routers = self.routers.iter();
        let problems: Vec<_> = routers
            .filter(|router| router.instance == instance)
            .filter_map(RouterReport::problem)
            .collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

/// Something that happened on the VRRP thread. It does not write logs itself: a log that blocks must
/// not delay an advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpEvent {
    /// Name of the VRRP instance.
    pub instance: String,
    /// Address family.
    pub family: Family,
    /// Interface of the router.
    pub interface: String,
    /// What happened.
    pub kind: VrrpEventKind,
}

/// What happened on the VRRP thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VrrpEventKind {
    /// A VIP was added.
    VipAdded(IpAddr, u8),
    /// A VIP was removed.
    VipRemoved(IpAddr, u8),
    /// A VIP had been deleted by somebody else and was added again.
    VipRestored(IpAddr, u8),
    /// Another program keeps deleting a VIP: from now on there are pauses before it is added again.
    VipFoughtOver(IpAddr),
    /// A VIP is on the interface already, added by somebody else.
    VipForeign(IpAddr),
    /// A route was added.
    RouteAdded(Route),
    /// A route was removed.
    RouteRemoved(Route),
    /// A route had been removed by another program and was added again.
    RouteRestored(Route),
    /// The device for its virtual MAC address was made.
    DeviceAdded(VirtualDevice),
    /// It was deleted.
    DeviceRemoved(VirtualDevice),
    /// Another program had deleted it or set it down; it is as it should be again.
    DeviceRestored(VirtualDevice),
    /// The router changed its state.
    RoleChanged {
        /// The state before.
        from: RouterState,
        /// The state now.
        to: RouterState,
        /// What brought it about.
        reason: RoleReason,
    },
    /// Another router is Active, too.
    SplitBrain {
        /// Its address.
        peer: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Only one of the two is Active again.
    SplitHealed {
        /// Address of the other.
        peer: IpAddr,
        /// For how long there were two.
        lasted: Duration,
    },
    /// Another host claims a VIP.
    ConflictFound(AddressConflict),
    /// It does so no longer.
    ConflictOver {
        /// Who did.
        conflict: AddressConflict,
        /// For how long.
        lasted: Duration,
    },
    /// Another router's settings differ, or agree again.
    PeerDiffers {
        /// Its address.
        source: IpAddr,
        /// In what.
        differences: Differences,
    },
    /// Drained, and nobody takes over.
    NoSuccessor,
    /// Something did not work; told again only after it has worked.
    Failed {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: String,
    },
}

impl fmt::Display for VrrpEventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VipAdded(address, prefix) => write!(formatter, "added VIP {address}/{prefix}"),
            Self::VipRemoved(address, prefix) => {
                write!(formatter, "removed VIP {address}/{prefix}")
            }
            Self::VipRestored(address, prefix) => write!(
                formatter,
                "VIP {address}/{prefix} had been deleted by another program; added again"
            ),
            Self::VipFoughtOver(address) => write!(
                formatter,
                "another program keeps deleting VIP {address}; there are pauses now before it is added \
                 again"
            ),
            Self::VipForeign(address) => write!(
                formatter,
                "VIP {address} was put on the interface by another program; left as it is"
            ),
            Self::RouteAdded(route) => write!(formatter, "added route {route}"),
            Self::RouteRemoved(route) => write!(formatter, "removed route {route}"),
            Self::RouteRestored(route) => write!(
                formatter,
                "route {route} had been deleted by another program; added again"
            ),
            Self::DeviceAdded(device) => write!(formatter, "added device {}", device.name),
            Self::DeviceRemoved(device) => write!(formatter, "removed device {}", device.name),
            Self::DeviceRestored(device) => write!(
                formatter,
                "device {} had been deleted or set down by another program; it is back",
                device.name
            ),
            Self::RoleChanged { from, to, reason } => {
                write!(formatter, "{from:?} -> {to:?}: {reason}")
            }
            Self::SplitBrain { peer, priority } => write!(
                formatter,
                "split brain: {peer} with priority {priority} is Active too; it ranks below"
            ),
            Self::SplitHealed { peer, lasted } => write!(
                formatter,
                "the split from {peer} is over after {:.1} s",
                lasted.as_secs_f64()
            ),
            Self::ConflictFound(conflict) => write!(
                formatter,
                "the host with MAC address {} says by ARP that it has VIP {}, too; announced against it",
                hardware_text(conflict.hardware),
                conflict.address
            ),
            Self::ConflictOver { conflict, lasted } => write!(
                formatter,
                "the host with MAC address {} claims VIP {} no longer, after {:.1} s",
                hardware_text(conflict.hardware),
                conflict.address,
                lasted.as_secs_f64()
            ),
            Self::PeerDiffers {
                source,
                differences,
            } => fmt_differences(formatter, *source, *differences),
            Self::NoSuccessor => formatter.write_str("drained, but nobody takes over"),
            Self::Failed { action, error } => write!(formatter, "cannot {action}: {error}"),
        }
    }
}

fn fmt_differences(
    formatter: &mut fmt::Formatter<'_>,
    source: IpAddr,
    differences: Differences,
) -> fmt::Result {
    if differences == Differences::default() {
        return write!(formatter, "the settings of {source} agree again");
    }
    write!(formatter, "{source} has other settings:")?;
    if let Some(interval) = differences.interval {
        write!(formatter, " advertisement interval {interval};")?;
    }
    if differences.addresses {
        formatter.write_str(" virtual addresses;")?;
    }
    if differences.checksum {
        formatter.write_str(" checksum convention;")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::active_router;

    fn router(instance: &str, family: Family, state: RouterState) -> RouterReport {
        RouterReport {
            family,
            state,
            vips_present: state == RouterState::Active,
            ..active_router(instance)
        }
    }

    #[test]
    fn what_is_wrong_names_the_addresses_and_what_to_do() {
        let mut report = VrrpReport {
            routers: vec![
                router("a", Family::Ipv4, RouterState::Active),
                router("a", Family::Ipv6, RouterState::Active),
            ],
            ..VrrpReport::default()
        };
        assert_eq!(report.instance_problem("a"), None);
        report.routers[0].fought_vips = vec![[192, 0, 2, 10].into(), [192, 0, 2, 11].into()];
        report.routers[0].send_error = Some("cannot send an advertisement: denied".into());
        report.routers[1].foreign_vips = vec!["2001:db8::10".parse().expect("an address")];
        report.routers[1].conflicts = vec![AddressConflict {
            address: [192, 0, 2, 12].into(),
            hardware: [2, 0, 0, 0, 0, 0x0a],
        }];
        assert_eq!(
            report.instance_problem("a").as_deref(),
            Some(
                "cannot send an advertisement: denied; another program keeps removing 192.0.2.10, \
                 192.0.2.11 from interface eth0; added again at most every 8 s: find that program, or \
                 tell it to leave these addresses alone; the host with MAC address 02:00:00:00:00:0a says by ARP \
                 that it has 192.0.2.12, too: take the VIP from it, or, if it is a real server, see to its ARP \
                 suppression; another program put 2001:db8::10 on interface \
                 eth0, where they stay when this router is not Active: remove them"
            )
        );
        assert_eq!(report.instance_problem("b"), None);
    }

    #[test]
    fn an_instance_is_active_when_all_its_routers_are() {
        let mut report = VrrpReport {
            routers: vec![
                router("a", Family::Ipv4, RouterState::Active),
                router("a", Family::Ipv6, RouterState::Active),
                router("b", Family::Ipv4, RouterState::Fault),
            ],
            ..VrrpReport::default()
        };
        assert_eq!(report.instance_state("a"), Some(RouterState::Active));
        assert_eq!(report.instance_state("b"), Some(RouterState::Fault));
        assert_eq!(report.instance_state("c"), None);
        report.routers[1].state = RouterState::Backup;
        assert_eq!(report.instance_state("a"), Some(RouterState::Backup));
    }
}
