//! Interfaces and addresses by rtnetlink: reading them, changing a real server's, and being told of
//! changes.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt as _, TryStreamExt as _};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_sys::SocketAddr;
use rtnetlink::{Handle, LinkUnspec, MulticastGroup, new_multicast_connection};
use tokio::task::JoinHandle;

use crate::facts::{Interface, InterfaceAddress, NodeFacts};
use crate::op::{LinkState, LoopbackVip};
use crate::vrrp::addresses::ADDRESS_PROTOCOL;

/// A lifetime without end (`INFINITY_LIFE_TIME` in `include/net/addrconf.h`).
const FOREVER: u32 = u32::MAX;

/// What notices are wanted. A director's VIPs are renewed every second, and each renewal is a notice
/// of an address: one asks for those only while something depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notices {
    /// Of interfaces.
    Links,
    /// Of interfaces and addresses.
    LinksAndAddresses,
}

/// A connection to the kernel's routing part in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Network {
    handle: Handle,
    notices: Notices,
    receiver: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    connection: JoinHandle<()>,
}

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The socket cannot be opened.
    #[error("cannot open an rtnetlink socket: {0}")]
    Open(#[source] io::Error),
    /// The kernel refused.
    #[error("rtnetlink: {0}")]
    Refused(#[source] rtnetlink::Error),
}

impl Network {
    /// Opens a socket. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub fn open(notices: Notices) -> Result<Self, NetworkError> {
        let groups: &[MulticastGroup] = match notices {
            Notices::Links => &[MulticastGroup::Link],
            Notices::LinksAndAddresses => &[
                MulticastGroup::Link,
                MulticastGroup::Ipv4Ifaddr,
                MulticastGroup::Ipv6Ifaddr,
            ],
        };
        let (connection, handle, receiver) =
            new_multicast_connection(groups).map_err(NetworkError::Open)?;
        Ok(Self {
            handle,
            notices,
            receiver,
            connection: tokio::spawn(connection),
        })
    }

    /// The notices that this socket gets.
    #[must_use]
    pub const fn notices(&self) -> Notices {
        self.notices
    }

    /// Waits until the interfaces or addresses may have changed. False when the socket is closed.
    pub async fn changed(&mut self) -> bool {
        loop {
            match self.receiver.next().await {
                Some((message, _)) if matters(&message) => break,
                Some(_) => {}
                None => return false,
            }
        }
        // A burst is one change.
        while self.receiver.try_recv().is_ok() {}
        true
    }

    /// Reads all interfaces with their addresses.
    ///
    /// # Errors
    /// When the kernel does not answer as it should.
    pub async fn facts(&self) -> Result<NodeFacts, NetworkError> {
        let mut facts = NodeFacts::default();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.try_next().await.map_err(NetworkError::Refused)? {
            if let Some(interface) = interface(&link) {
                facts.interfaces.insert(interface.index, interface);
            }
        }
        let mut addresses = self.handle.address().get().execute();
        while let Some(message) = addresses.try_next().await.map_err(NetworkError::Refused)? {
            let interface = facts.interfaces.get_mut(&message.header.index);
            if let (Some(interface), Some(address)) = (interface, address(&message)) {
                interface.addresses.push(address);
            }
        }
        Ok(facts)
    }

    /// Reads the names of the interfaces that are up and have a carrier.
    ///
    /// # Errors
    /// When the kernel does not answer as it should.
    pub async fn running_interfaces(&self) -> Result<BTreeSet<String>, NetworkError> {
        let mut running = BTreeSet::new();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.try_next().await.map_err(NetworkError::Refused)? {
            let needed = LinkFlags::Up | LinkFlags::Running;
            if link.header.flags.contains(needed) {
                running.extend(interface(&link).map(|interface| interface.name));
            }
        }
        Ok(running)
    }

    /// Adds a VIP for good, marked as ours.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn add(&self, vip: &LoopbackVip) -> Result<(), NetworkError> {
        let mut request = self
            .handle
            .address()
            .add(vip.interface_index, vip.address, vip.prefix_length)
            .replace();
        let message = request.message_mut();
        message
            .attributes
            .push(AddressAttribute::Protocol(AddressProtocol::from(
                ADDRESS_PROTOCOL,
            )));
        let mut flags = AddressFlags::Noprefixroute;
        if vip.address.is_ipv6() {
            // Other hosts have it too, by intention; and the node itself never speaks from it.
            flags |= AddressFlags::Nodad;
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_valid = FOREVER;
            lifetime.ifa_preferred = 0;
            message
                .attributes
                .push(AddressAttribute::CacheInfo(lifetime));
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        request.execute().await.map_err(NetworkError::Refused)
    }

    /// Deletes a VIP.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete(&self, vip: &LoopbackVip) -> Result<(), NetworkError> {
        let mut message = AddressMessage::default();
        message.header.family = match vip.address {
            IpAddr::V4(_) => netlink_packet_route::AddressFamily::Inet,
            IpAddr::V6(_) => netlink_packet_route::AddressFamily::Inet6,
        };
        message.header.prefix_len = vip.prefix_length;
        message.header.index = vip.interface_index;
        message.attributes = vec![
            AddressAttribute::Local(vip.address),
            AddressAttribute::Address(vip.address),
        ];
        self.handle
            .address()
            .del(message)
            .execute()
            .await
            .map_err(NetworkError::Refused)
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn set_link(&self, link: &LinkState) -> Result<(), NetworkError> {
        let builder = LinkUnspec::new_with_index(link.index);
        let builder = if link.is_up {
            builder.up()
        } else {
            builder.down()
        };
        self.handle
            .link()
            .set(builder.build())
            .execute()
            .await
            .map_err(NetworkError::Refused)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Whether a notice can mean that something is different. The renewal of a director's VIP does not.
fn matters(message: &NetlinkMessage<RouteNetlinkMessage>) -> bool {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => {
            address(message).is_none_or(|address| !address.is_ours() || address.is_permanent)
        }
        _ => true,
    }
}

fn interface(message: &LinkMessage) -> Option<Interface> {
    let name = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
    Some(Interface {
        index: message.header.index,
        name,
        is_loopback: message.header.flags.contains(LinkFlags::Loopback),
        is_up: message.header.flags.contains(LinkFlags::Up),
        addresses: Vec::new(),
    })
}

fn address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let mut local = None;
    let mut peer = None;
    let mut protocol = None;
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(value) => local = Some(*value),
            AddressAttribute::Address(value) => peer = Some(*value),
            AddressAttribute::Protocol(value) => protocol = Some(u8::from(*value)),
            AddressAttribute::Flags(value) => flags = *value,
            _ => {}
        }
    }
    Some(InterfaceAddress {
        address: local.or(peer)?,
        prefix_length: message.header.prefix_len,
        protocol,
        is_permanent: flags.contains(AddressFlags::Permanent),
    })
}
