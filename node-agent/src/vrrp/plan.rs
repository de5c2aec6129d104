//! What the VRRP thread is told to run. Plain values; the core loop makes them from the node's plan.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lvs_vrrp::CheckedConfig;
use serde::{Deserialize, Serialize};

use super::device::VirtualDevice;
use super::routes::Route;

/// Address family of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// `ipv4` or `ipv6`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// One router: an instance in one address family on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterPlan {
    /// Name of the VRRP instance.
    pub instance: String,
    /// Address family.
    pub family: Family,
    /// The instance by which its sync group is called: routers with the same one are Active together
    /// or not at all. Its own instance if that is in no group with others.
    pub group: String,
    /// Index of its interface.
    pub interface_index: u32,
    /// Name of its interface.
    pub interface_name: String,
    /// Protocol settings; its virtual addresses are those of `prefix_lengths`.
    pub config: CheckedConfig,
    /// Prefix length of each VIP.
    pub prefix_lengths: BTreeMap<IpAddr, u8>,
    /// The device that has its VIPs, when they have a MAC address of their own; absent = they are on the
    /// interface.
    pub virtual_device: Option<VirtualDevice>,
    /// Routes that are in the kernel while it holds its VIPs, of its family and through its interface.
    pub routes: Vec<Route>,
    /// Hand over and be the last choice.
    pub drain: bool,
    /// Leave an Active Router of lower priority alone for now.
    pub hold_preemption: bool,
}

/// Everything that the VRRP thread runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VrrpPlan {
    /// The routers, one for each pair of instance and family.
    pub routers: Vec<RouterPlan>,
    /// Fed while one of them is Active.
    pub watchdog: Option<WatchdogPlan>,
}

/// A device that resets the node when it is not fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogPlan {
    /// The device.
    pub device: PathBuf,
    /// Directory of the kernel's files about it.
    pub settings: PathBuf,
    /// Longest time that it may wait, in whole seconds.
    pub timeout: Duration,
}
