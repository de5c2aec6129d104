//! The packet socket that hears other hosts claim VIPs by ARP.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use lvs_vrrp::announcement::HardwareAddress;
use lvs_vrrp::conflict;
use nix::errno::Errno;
use nix::libc::ETH_P_ARP;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};

use super::filter;

/// Longest ARP packet that is looked at; one for Ethernet and IPv4 has 28 octets.
const PACKET_BYTES: usize = 64;

/// Somebody says that an address is at a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Interface that heard it.
    pub(super) interface_index: u32,
    pub(super) address: IpAddr,
    pub(super) hardware: HardwareAddress,
}

/// A packet socket for ARP on every interface (packet(7)). What this host sends does not come back on it.
pub(super) struct ClaimSocket {
    socket: Socket,
    /// Whose claims the kernel lets through.
    addresses: Vec<Ipv4Addr>,
    /// Packets may wait.
    is_readable: bool,
}

impl ClaimSocket {
    /// Opens the socket, which hears of no address yet. Needs `CAP_NET_RAW`.
    pub(super) fn open() -> io::Result<Self> {
        let protocol = u16::try_from(ETH_P_ARP).unwrap_or_default().to_be();
        let protocol = Protocol::from(i32::from(protocol));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter::claims(&[]))?;
        Ok(Self {
            socket,
            addresses: Vec::new(),
            is_readable: true,
        })
    }

    /// Hears of these addresses from now on.
    pub(super) fn hear(&mut self, addresses: Vec<Ipv4Addr>) -> io::Result<()> {
        if self.addresses != addresses {
            self.socket.attach_filter(&filter::claims(&addresses))?;
            self.addresses = addresses;
        }
        Ok(())
    }

    /// Takes in whether packets wait.
    pub(super) fn note_readable(&mut self, is_readable: bool) {
        self.is_readable |= is_readable;
    }

    /// Whether packets may wait that were not read yet.
    pub(super) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// The next claim; `None` if none is waiting.
    pub(super) fn receive(&mut self) -> io::Result<Option<Claim>> {
        let mut packet = [0; PACKET_BYTES];
        while self.is_readable {
            match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut packet) {
                Ok((length, from)) => {
                    let claim = conflict::claim(packet.get(..length).unwrap_or(&[]));
                    if let (Some((address, hardware)), Some(from)) = (claim, from) {
                        return Ok(Some(Claim {
                            interface_index: u32::try_from(from.ifindex()).unwrap_or_default(),
                            address: address.into(),
                            hardware,
                        }));
                    }
                }
                // An interface of those it listens on went down; it goes on with the others.
                Err(Errno::ENETDOWN) => {}
                Err(Errno::EAGAIN) => self.is_readable = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

impl AsFd for ClaimSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
