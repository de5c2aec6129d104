//! The device, by rtnetlink.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use rtnetlink::{LinkNlmon, LinkUnspec};

use crate::vrrp::addresses::append;

/// Room for one answer: a link's description is a few KiB long.
const RECEIVE_BYTES: usize = 32 * 1024;

/// A network device.
#[derive(Debug)]
pub(super) struct Device {
    routing: Routing,
    index: u32,
}

impl Device {
    /// Makes a device of kind `nlmon` that is up. One of that name that is there is set up.
    pub(super) fn make(name: &str) -> io::Result<Self> {
        let mut routing = Routing::open()?;
        let link = LinkNlmon::new(name).up().build();
        routing.request(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE)?;
        Ok(Self {
            routing,
            index: if_nametoindex(name)?,
        })
    }

    /// The interface's index.
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// Makes the kernel and us exchange messages, which the device shows.
    pub(super) fn provoke_message(&mut self) -> io::Result<()> {
        let link = LinkUnspec::new_with_index(self.index).build();
        self.routing.request(RouteNetlinkMessage::GetLink(link), 0)
    }
}

/// Deletes a device, if there is one of that name.
pub(super) fn remove(name: &str) -> io::Result<()> {
    let index = match if_nametoindex(name) {
        Ok(index) => index,
        Err(Errno::ENODEV) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let mut link = LinkMessage::default();
    link.header.index = index;
    Routing::open()?.request(RouteNetlinkMessage::DelLink(link), 0)
}

/// An rtnetlink socket without subscriptions.
#[derive(Debug)]
struct Routing {
    socket: Socket,
    sequence: u32,
}

impl Routing {
    fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel carries a request out before `send` returns, so its answers are there then.
        socket.set_non_blocking(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        append(
            message,
            NLM_F_REQUEST | NLM_F_ACK | flags,
            self.sequence,
            &mut bytes,
        );
        self.socket.send(&bytes, 0)?;
        let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Some(answer) = answer(&buffer, self.sequence) {
                return answer;
            }
        }
    }
}

/// The kernel's acknowledgement of a request, if the datagram is one. An answer proper comes before it, in a datagram of its own.
fn answer(datagram: &[u8], sequence: u32) -> Option<io::Result<()>> {
    let buffer = NetlinkBuffer::new_checked(datagram).ok()?;
    if buffer.sequence_number() != sequence
        || buffer.message_type() != netlink_packet_core::NLMSG_ERROR
    {
        return None;
    }
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram)
        .ok()?
        .payload
    {
        NetlinkPayload::Error(error) if error.code.is_some() => Some(Err(error.to_io())),
        NetlinkPayload::Error(_) => Some(Ok(())),
        _ => None,
    }
}
