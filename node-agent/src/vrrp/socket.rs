//! Sockets that carry advertisements: IP protocol 112 on one interface and in one family.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use lvs_vrrp::ip::{IpHeader, split_ipv4};
use lvs_vrrp::{IP_PROTOCOL, MULTICAST_IPV4, MULTICAST_IPV6, RejectReason};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, recv, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::ipv6;
use super::plan::Family;

/// Precedence "internetwork control", so that adverts survive a congested link.
const CLASS_SELECTOR_6: u32 = 0xc0;

/// TTL or Hop Limit of what is sent (RFC 9568 section 5.1.1.3), also to unicast peers.
const TIME_TO_LIVE: u32 = 255;

/// Room for what 255 routers of an interface hear while the thread is late by some intervals; the kernel counts about a
/// kilobyte for a packet.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;

/// What arrived on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received<'a> {
    /// A packet: what its IP header says, and its payload.
    Packet(IpHeader, &'a [u8]),
    /// A packet whose IP header is no good.
    Unreadable(RejectReason),
}

/// A raw socket bound to an interface.
pub(super) struct AdvertisementSocket {
    socket: Socket,
    family: Family,
    interface_index: u32,
}

impl AdvertisementSocket {
    /// Opens the socket and joins the group. Needs `CAP_NET_RAW`.
    pub(super) fn open(interface: &str, index: u32, family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::Ipv4 => Domain::IPV4,
            Family::Ipv6 => Domain::IPV6,
        };
        let socket = Socket::new(
            domain,
            Type::RAW,
            Some(Protocol::from(i32::from(IP_PROTOCOL))),
        )?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        // Needs CAP_NET_ADMIN; without it the limit of the system has to do.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        }
        match family {
            Family::Ipv4 => {
                socket.set_multicast_ttl_v4(TIME_TO_LIVE)?;
                socket.set_ttl_v4(TIME_TO_LIVE)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_all_v4(false)?;
                socket.set_tos_v4(CLASS_SELECTOR_6)?;
            }
            Family::Ipv6 => {
                socket.set_multicast_hops_v6(TIME_TO_LIVE)?;
                socket.set_unicast_hops_v6(TIME_TO_LIVE)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_if_v6(index)?;
                socket.set_tclass_v6(CLASS_SELECTOR_6)?;
                ipv6::want_headers(&socket)?;
            }
        }
        let opened = Self {
            socket,
            family,
            interface_index: index,
        };
        opened.join()?;
        Ok(opened)
    }

    fn join(&self) -> io::Result<()> {
        match self.family {
            Family::Ipv4 => {
                let interface = InterfaceIndexOrAddress::Index(self.interface_index);
                self.socket.join_multicast_v4_n(&MULTICAST_IPV4, &interface)
            }
            Family::Ipv6 => {
                let index = self.interface_index;
                self.socket.join_multicast_v6(&MULTICAST_IPV6, index)
            }
        }
    }

    /// Sends to the group or a peer from `source`, an address of the interface.
    pub(super) fn send(
        &self,
        payload: &[u8],
        source: IpAddr,
        destination: IpAddr,
    ) -> io::Result<()> {
        let data = [IoSlice::new(payload)];
        let descriptor = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: i32::try_from(self.interface_index).unwrap_or(0),
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from_ne_bytes(source.octets()),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let destination = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                let control = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(descriptor, &data, &control, flags, Some(&destination))?;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let info = libc::in6_pktinfo {
                    ipi6_ifindex: self.interface_index,
                    ipi6_addr: libc::in6_addr {
                        s6_addr: source.octets(),
                    },
                };
                let scope = self.interface_index;
                let destination = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, scope));
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(descriptor, &data, &control, flags, Some(&destination))?;
            }
            // A configuration that was checked has one family.
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    /// The next packet, or `None` if none is waiting.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<Received<'a>>> {
        let received = match self.family {
            Family::Ipv4 => self.receive_ipv4(buffer),
            Family::Ipv6 => self.receive_ipv6(buffer),
        };
        match received {
            Ok(received) => Ok(Some(received)),
            Err(Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// IPv4 raw sockets deliver the IP header (raw(7)).
    fn receive_ipv4<'a>(&self, buffer: &'a mut [u8]) -> nix::Result<Received<'a>> {
        let length = recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?;
        let packet = buffer.get(..length).unwrap_or(&[]);
        Ok(match split_ipv4(packet) {
            Ok((header, payload)) => Received::Packet(header, payload),
            Err(reason) => Received::Unreadable(reason),
        })
    }

    fn receive_ipv6<'a>(&self, buffer: &'a mut [u8]) -> nix::Result<Received<'a>> {
        let packet = ipv6::receive(&self.socket, buffer)?;
        let (Some(source), Some(destination), Some(time_to_live)) =
            (packet.source, packet.destination, packet.hop_limit)
        else {
            return Ok(Received::Unreadable(RejectReason::IpHeader));
        };
        let header = IpHeader {
            source: source.into(),
            destination: destination.into(),
            time_to_live,
        };
        let payload = buffer.get(..packet.length).unwrap_or(&[]);
        Ok(Received::Packet(header, payload))
    }
}

impl AsFd for AdvertisementSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
