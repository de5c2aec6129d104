//! The macvlan device of a router with a virtual MAC address, as rtnetlink messages
//! (`linux/if_link.h`). No sockets.
//!
//! The device has the VIPs, so that the kernel answers ARP and Neighbor Solicitations for them with the
//! virtual MAC address. It is there as long as the router, because to make it takes milliseconds, and
//! up while the router holds VIPs: a device that is down takes no frames, as a Backup Router must
//! not (RFC 9568 section 6.4.2).
//!
//! Its mode is `vepa`: with `private` the kernel would give an advertisement of another Active Router,
//! whose source is the same virtual MAC address, to this device alone, and the socket on the
//! interface below would not hear it (`macvlan_handle_frame` in `drivers/net/macvlan.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_vrrp::announcement::HardwareAddress;
use lvs_vrrp::virtual_mac::virtual_mac;
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};

use super::addresses::append;
use super::plan::Family;

/// Longest name of a network interface (`IFNAMSIZ` less its end).
const LONGEST_NAME: usize = 15;

/// `IFLA_AF_SPEC`.
const AF_SPEC: u16 = 26;
/// `AF_INET` and `AF_INET6` within it.
const INET: u16 = 2;
const INET6: u16 = 10;
/// `IFLA_INET_CONF`: values by their number in `linux/ip.h`.
const INET_CONF: u16 = 1;
const RP_FILTER: u16 = 8;
const ARP_IGNORE: u16 = 19;
/// `IFLA_INET6_ADDR_GEN_MODE`, and `IN6_ADDR_GEN_MODE_NONE`.
const ADDR_GEN_MODE: u16 = 8;
const NO_ADDRESS: u8 = 1;

/// The device that a router is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualDevice {
    /// Its name.
    pub name: String,
    /// Index of the interface that it sits on.
    pub parent: u32,
    /// The virtual MAC address.
    pub hardware: HardwareAddress,
}

impl VirtualDevice {
    /// The device of a virtual router on the interface `parent`: `vrrp4-VRID-PARENT` or
    /// `vrrp6-VRID-PARENT`, because one VRID may be in use on two interfaces. `None` when an index
    /// above 99999 makes that too long.
    #[must_use]
    pub fn of(family: Family, virtual_router_id: u8, parent: u32) -> Option<Self> {
        let (digit, any): (u8, IpAddr) = match family {
            Family::Ipv4 => (4, Ipv4Addr::UNSPECIFIED.into()),
            Family::Ipv6 => (6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let name = format!("vrrp{digit}-{virtual_router_id}-{parent}");
        (name.len() <= LONGEST_NAME).then(|| Self {
            name,
            parent,
            hardware: virtual_mac(any, virtual_router_id),
        })
    }
}

/// A MAC address as `ip link` writes it.
#[must_use]
pub fn hardware_text(address: HardwareAddress) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

/// A network interface, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelDevice {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `IFF_UP`.
    pub is_up: bool,
    is_macvlan: bool,
    parent: Option<u32>,
    hardware: Option<HardwareAddress>,
}

impl KernelDevice {
    /// Reads a link message.
    #[must_use]
    pub fn from_message(message: &LinkMessage) -> Self {
        let mut device = Self {
            index: message.header.index,
            name: String::new(),
            is_up: message.header.flags.contains(LinkFlags::Up),
            is_macvlan: false,
            parent: None,
            hardware: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => device.name.clone_from(name),
                LinkAttribute::Link(parent) => device.parent = Some(*parent),
                LinkAttribute::Address(address) => {
                    device.hardware = address.as_slice().try_into().ok();
                }
                LinkAttribute::LinkInfo(infos) => {
                    let macvlan = LinkInfo::Kind(InfoKind::MacVlan);
                    device.is_macvlan = infos.contains(&macvlan);
                }
                _ => {}
            }
        }
        device
    }

    /// Whether it is this device, with everything that makes it ours.
    #[must_use]
    pub fn is(&self, planned: &VirtualDevice) -> bool {
        self.is_macvlan
            && self.name == planned.name
            && self.parent == Some(planned.parent)
            && self.hardware == Some(planned.hardware)
    }

    /// Whether it is a device that an agent makes, for whatever router.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let Some([0, 0, 0x5e, 0, family, virtual_router_id]) = self.hardware else {
            return false;
        };
        let family = match family {
            1 => Family::Ipv4,
            2 => Family::Ipv6,
            _ => return false,
        };
        self.parent
            .and_then(|parent| VirtualDevice::of(family, virtual_router_id, parent))
            .is_some_and(|device| self.is(&device))
    }
}

/// What to do with a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChange {
    /// Make it; a name that is in use is an error (`EEXIST`).
    Add(VirtualDevice),
    /// Set what ARP and the check of source addresses need: it answers for its own addresses alone,
    /// and the way back to a client need not lead through it.
    SetIpv4 {
        /// Index of the device.
        index: u32,
    },
    /// See that the kernel makes no address of the virtual MAC address (RFC 9568 section 7.4).
    SetIpv6 {
        /// Index of the device.
        index: u32,
    },
    /// Set it up.
    Up {
        /// Index of the device.
        index: u32,
    },
    /// Set it down.
    Down {
        /// Index of the device.
        index: u32,
    },
    /// Delete it.
    Delete {
        /// Index of the device.
        index: u32,
    },
}

impl DeviceChange {
    /// Appends the change as one netlink message with the given sequence number.
    pub fn encode(&self, sequence: u32, buffer: &mut Vec<u8>) {
        let mut message = LinkMessage::default();
        if let Self::SetIpv4 { index }
        | Self::SetIpv6 { index }
        | Self::Up { index }
        | Self::Down { index }
        | Self::Delete { index } = *self
        {
            message.header.index = index;
        }
        let mut flags = NLM_F_REQUEST;
        match self {
            Self::Add(device) => {
                flags |= NLM_F_CREATE | NLM_F_EXCL;
                message.attributes = vec![
                    LinkAttribute::IfName(device.name.clone()),
                    LinkAttribute::Link(device.parent),
                    LinkAttribute::Address(device.hardware.to_vec()),
                    LinkAttribute::LinkInfo(vec![
                        LinkInfo::Kind(InfoKind::MacVlan),
                        LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(
                            MacVlanMode::Vepa,
                        )])),
                    ]),
                ];
            }
            Self::SetIpv4 { .. } => {
                // 2 is loose: with `all` at 1 no lower value would count.
                let values = [(RP_FILTER, 2_u32), (ARP_IGNORE, 1)];
                let values = values
                    .into_iter()
                    .flat_map(|(number, value)| attribute(number, &value.to_ne_bytes()))
                    .collect::<Vec<u8>>();
                let family = attribute(INET, &attribute(INET_CONF, &values));
                message.attributes = vec![af_spec(family)];
            }
            Self::SetIpv6 { .. } => {
                let family = attribute(INET6, &attribute(ADDR_GEN_MODE, &[NO_ADDRESS]));
                message.attributes = vec![af_spec(family)];
            }
            Self::Up { .. } => {
                message.header.flags = LinkFlags::Up;
                message.header.change_mask = LinkFlags::Up;
            }
            Self::Down { .. } => message.header.change_mask = LinkFlags::Up,
            Self::Delete { .. } => {}
        }
        let payload = match self {
            Self::Delete { .. } => RouteNetlinkMessage::DelLink(message),
            _ => RouteNetlinkMessage::NewLink(message),
        };
        append(payload, flags, sequence, buffer);
    }
}

/// The codec writes these values as the kernel sends them, which is not how it reads them.
fn af_spec(family: Vec<u8>) -> LinkAttribute {
    LinkAttribute::Other(DefaultNla::new(AF_SPEC, family))
}

/// A netlink attribute with its padding (`NLA_ALIGNTO`).
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    // Values here have a few bytes.
    let length = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests;
