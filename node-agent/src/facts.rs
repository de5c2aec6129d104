//! What a node has by itself: its network interfaces and their addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use lvs_crds::v1alpha1::InterfaceSelector;

use crate::vrrp::addresses::ADDRESS_PROTOCOL;

/// The interfaces of a node's network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The interfaces by index.
    pub interfaces: BTreeMap<u32, Interface>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `IFF_LOOPBACK`.
    pub is_loopback: bool,
    /// `IFF_UP`: somebody has set it up, which does not mean that it has a carrier.
    pub is_up: bool,
    /// Addresses, in the kernel's order.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_length: u8,
    /// `IFA_PROTO`: who added it. Absent when nobody said, and on kernels before 5.18.
    pub protocol: Option<u8>,
    /// Whether it stays until it is deleted (`IFA_F_PERMANENT`).
    pub is_permanent: bool,
}

/// Why an interface is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceError {
    /// No interface of that name.
    #[error("there is no network interface {0} on this node")]
    NoSuchName(String),
    /// No interface with an address in that subnet.
    #[error("no network interface of this node has an address in {0}")]
    NoneInSubnet(String),
    /// No interface with that address.
    #[error("no network interface of this node has the address {0}")]
    NoneWithAddress(IpAddr),
    /// A subnet that is none.
    #[error("{0} is not a subnet: an address and a prefix length are needed, as in 192.168.1.0/24")]
    NotASubnet(String),
    /// Neither name nor subnet.
    #[error("neither a name nor a subnet says which network interface is meant")]
    Unnamed,
}

impl InterfaceAddress {
    /// Whether an agent added it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.protocol == Some(ADDRESS_PROTOCOL)
    }

    /// Whether it looks like a VIP that a director holds: a single host's, and it expires unless
    /// its Active Router renews it. Kernels before 5.18 do not say who added it.
    #[must_use]
    pub fn is_held_vip(&self) -> bool {
        let is_from_others = self.protocol.is_some() && !self.is_ours();
        !self.is_permanent && !is_from_others
    }
}

impl Interface {
    /// Its own addresses: those that are no VIPs.
    pub fn own_addresses(&self) -> impl Iterator<Item = &InterfaceAddress> {
        self.addresses.iter().filter(|address| !address.is_ours())
    }
}

impl NodeFacts {
    /// The interface that a selector names. VIPs do not count for a subnet, and neither do
    /// loopback interfaces, which real servers have their VIPs on.
    ///
    /// # Errors
    /// When there is none, or the selector names none.
    pub fn select(&self, selector: &InterfaceSelector) -> Result<&Interface, InterfaceError> {
        match (&selector.name, &selector.subnet) {
            (Some(name), _) => self.named(name),
            (None, Some(subnet)) => {
                let net: IpNet = subnet
                    .parse()
                    .map_err(|_unspecific: ipnet::AddrParseError| {
                        InterfaceError::NotASubnet(subnet.clone())
                    })?;
                self.physical()
                    .find(|interface| {
                        interface
                            .own_addresses()
                            .any(|own| net.contains(&own.address))
                    })
                    .ok_or_else(|| InterfaceError::NoneInSubnet(subnet.clone()))
            }
            (None, None) => Err(InterfaceError::Unnamed),
        }
    }

    /// The interface of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(&self, name: &str) -> Result<&Interface, InterfaceError> {
        self.interfaces
            .values()
            .find(|interface| interface.name == name)
            .ok_or_else(|| InterfaceError::NoSuchName(name.to_owned()))
    }

    /// The interface that has this address, a loopback one excepted.
    ///
    /// # Errors
    /// When there is none.
    pub fn with_address(&self, address: IpAddr) -> Result<&Interface, InterfaceError> {
        self.physical()
            .find(|interface| interface.own_addresses().any(|own| own.address == address))
            .ok_or(InterfaceError::NoneWithAddress(address))
    }

    /// VIPs that this node holds as a director at the moment.
    pub fn held_vips(&self) -> impl Iterator<Item = IpAddr> {
        self.physical()
            .flat_map(|interface| &interface.addresses)
            .filter(|address| address.is_held_vip())
            .map(|address| address.address)
    }

    fn physical(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces
            .values()
            .filter(|interface| !interface.is_loopback)
    }
}

#[cfg(test)]
mod tests;
