//! What a raw socket of IPv6 receives: the payload, and in ancillary data what the header said (ipv6(7), RFC 3542).

use std::io::IoSliceMut;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};

/// A packet: the length of its payload, and its header as far as the kernel told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) length: usize,
    pub(super) source: Option<Ipv6Addr>,
    pub(super) destination: Option<Ipv6Addr>,
    pub(super) hop_limit: Option<u8>,
    /// Interface that it came in on.
    pub(super) interface_index: Option<u32>,
}

/// Asks for the ancillary data.
pub(super) fn want_headers(socket: &impl AsFd) -> nix::Result<()> {
    setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)?;
    setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)
}

/// The next packet, whose payload is put into `buffer`.
///
/// # Errors
/// `EAGAIN` if none is waiting.
pub(super) fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> nix::Result<Packet> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
    let mut data = [IoSliceMut::new(buffer)];
    let received = recvmsg::<SockaddrIn6>(
        socket.as_raw_fd(),
        &mut data,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let mut packet = Packet {
        length: received.bytes,
        source: received.address.map(|address| address.ip()),
        ..Packet::default()
    };
    for message in received.cmsgs()? {
        match message {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                packet.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                packet.interface_index = Some(info.ipi6_ifindex);
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => packet.hop_limit = u8::try_from(limit).ok(),
            _ => {}
        }
    }
    Ok(packet)
}
