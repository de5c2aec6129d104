//! The packet socket that sends gratuitous ARP and unsolicited Neighbor Advertisements.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};

/// Where frames leave: an interface and its hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Port {
    address: LinkAddr,
    hardware: [u8; 6],
}

impl Port {
    /// Looks an interface up. Fails when it is missing or has no Ethernet address.
    pub(super) fn find(interface: &str) -> io::Result<Self> {
        let address = getifaddrs()?
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such interface"))?;
        let hardware = address.addr().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "the interface has no Ethernet address",
            )
        })?;
        Ok(Self { address, hardware })
    }

    /// Hardware address of the interface.
    pub(super) fn hardware(&self) -> [u8; 6] {
        self.hardware
    }
}

/// A packet socket that sends and, because it names no protocol, receives nothing (packet(7)).
pub(super) struct PacketSocket {
    descriptor: OwnedFd,
}

impl PacketSocket {
    /// Opens the socket. Needs `CAP_NET_RAW`.
    pub(super) fn open() -> io::Result<Self> {
        let descriptor = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )?;
        Ok(Self { descriptor })
    }

    /// Sends a whole Ethernet frame.
    pub(super) fn send(&self, port: &Port, frame: &[u8]) -> io::Result<()> {
        let destination: &dyn SockaddrLike = &port.address;
        sendto(
            self.descriptor.as_raw_fd(),
            frame,
            destination,
            MsgFlags::MSG_DONTWAIT,
        )?;
        Ok(())
    }
}
