//! The sockets that hear other hosts claim VIPs, by ARP and by Neighbor Discovery.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use lvs_vrrp::announcement::HardwareAddress;
use lvs_vrrp::conflict::{arp_claim, neighbor_claim};
use nix::errno::Errno;
use nix::libc::ETH_P_ARP;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};

use super::plan::Family;
use super::{filter, ipv6};

/// Longest packet that is looked at: one of ARP for Ethernet and IPv4 has 28 octets, and a Neighbor Advertisement with
/// the one option that it may have 32.
const PACKET_BYTES: usize = 256;
/// Hop Limit of Neighbor Discovery, with which no router can have passed it on (RFC 4861 section 7.1.2).
const NEIGHBOR_HOP_LIMIT: u8 = 255;

/// Somebody says that an address is at a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Interface that heard it.
    pub(super) interface_index: u32,
    pub(super) address: IpAddr,
    pub(super) hardware: HardwareAddress,
}

/// One socket for each family that has VIPs.
#[derive(Default)]
pub(super) struct Claims(Vec<ClaimSocket>);

impl Claims {
    /// Hears of these addresses from now on, on every interface. Needs `CAP_NET_RAW`.
    pub(super) fn hear(&mut self, addresses: &[IpAddr]) -> io::Result<()> {
        for family in [Family::Ipv4, Family::Ipv6] {
            let addresses: Vec<IpAddr> = addresses
                .iter()
                .copied()
                .filter(|address| Family::of(*address) == family)
                .collect();
            let known = self.0.iter_mut().find(|socket| socket.family == family);
            match known {
                Some(socket) => socket.hear(addresses)?,
                None if addresses.is_empty() => {}
                None => match ClaimSocket::open(family, addresses) {
                    Ok(socket) => self.0.push(socket),
                    // Without the family nobody else can be heard of either; its routers say so.
                    Err(error) if error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// All of them, in the order of [`Claims::note_readable`].
    pub(super) fn all(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|claims| claims.socket.as_fd())
    }

    /// Takes in for each whether packets wait.
    pub(super) fn note_readable(&mut self, readable: impl IntoIterator<Item = bool>) {
        for (socket, is_readable) in self.0.iter_mut().zip(readable) {
            socket.is_readable |= is_readable;
        }
    }

    /// Whether packets may wait that were not read yet.
    pub(super) fn is_readable(&self) -> bool {
        self.0.iter().any(|socket| socket.is_readable)
    }

    /// The next claim; `None` if none is waiting.
    pub(super) fn receive(&mut self) -> io::Result<Option<Claim>> {
        for socket in &mut self.0 {
            if let Some(claim) = socket.receive()? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }
}

/// A packet socket for ARP (packet(7)), or a raw socket for `ICMPv6`. What this host sends does not come back on it.
struct ClaimSocket {
    family: Family,
    socket: Socket,
    /// Whose claims the kernel lets through.
    addresses: Vec<IpAddr>,
    /// Packets may wait.
    is_readable: bool,
}

impl ClaimSocket {
    fn open(family: Family, addresses: Vec<IpAddr>) -> io::Result<Self> {
        let socket = match family {
            Family::Ipv4 => {
                let protocol = u16::try_from(ETH_P_ARP).unwrap_or_default().to_be();
                let protocol = Protocol::from(i32::from(protocol));
                Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?
            }
            Family::Ipv6 => {
                let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
                ipv6::want_headers(&socket)?;
                socket
            }
        };
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter::claims(family, &addresses))?;
        Ok(Self {
            family,
            socket,
            addresses,
            is_readable: true,
        })
    }

    fn hear(&mut self, addresses: Vec<IpAddr>) -> io::Result<()> {
        if self.addresses != addresses {
            let filter = filter::claims(self.family, &addresses);
            self.socket.attach_filter(&filter)?;
            self.addresses = addresses;
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Option<Claim>> {
        while self.is_readable {
            let received = match self.family {
                Family::Ipv4 => self.receive_arp(),
                Family::Ipv6 => self.receive_neighbor(),
            };
            match received {
                Ok(Some(claim)) => return Ok(Some(claim)),
                // An interface of those it listens on went down; it goes on with the others.
                Ok(None) | Err(Errno::ENETDOWN) => {}
                Err(Errno::EAGAIN) => self.is_readable = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn receive_arp(&self) -> nix::Result<Option<Claim>> {
        let mut packet = [0; PACKET_BYTES];
        let (length, from) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut packet)?;
        let claim = arp_claim(packet.get(..length).unwrap_or(&[]));
        Ok(claim.zip(from).map(|((address, hardware), from)| Claim {
            interface_index: u32::try_from(from.ifindex()).unwrap_or_default(),
            address: address.into(),
            hardware,
        }))
    }

    fn receive_neighbor(&self) -> nix::Result<Option<Claim>> {
        let mut message = [0; PACKET_BYTES];
        let packet = ipv6::receive(&self.socket, &mut message)?;
        if packet.hop_limit != Some(NEIGHBOR_HOP_LIMIT) {
            return Ok(None);
        }
        let claim = neighbor_claim(message.get(..packet.length).unwrap_or(&[]));
        Ok(claim
            .zip(packet.interface_index)
            .map(|((address, hardware), interface_index)| Claim {
                interface_index,
                address: address.into(),
                hardware,
            }))
    }
}
