//! The rtnetlink socket of the VRRP thread: VIPs in one batch, notices of links and addresses.
//!
//! Requests and notices share one socket. The kernel reports our own changes back to us, too.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;

use super::addresses::{Change, KernelAddress, append};
use super::device::{DeviceChange, KernelDevice};
use super::filter;
use super::routes::{ROUTE_PROTOCOL, Route, RouteChange};

/// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR` (`linux/rtnetlink.h`).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// Room for the answers to one dump step; the kernel fills at most 32 KiB.
const RECEIVE_BYTES: usize = 64 * 1024;
/// Longest batch in one `send`, well below the socket's send buffer.
pub(super) const BATCH_BYTES: usize = 60 * 1024;
/// Notices may pile up while the thread works; each costs about 1 KiB.
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// State of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Interface index.
    pub(super) index: u32,
    /// Administratively up and with carrier (`IFF_UP` and `IFF_RUNNING`).
    pub(super) running: bool,
    /// Administratively up.
    pub(super) is_up: bool,
}

/// What the kernel reports without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// An interface appeared or changed.
    Link(Link),
    /// An interface is gone.
    LinkGone(u32),
    /// An address is gone.
    AddressGone(KernelAddress),
    /// Notices were lost (`ENOBUFS`): look at everything anew.
    Lost,
}

/// A change that the kernel is asked for.
pub(super) trait Request {
    /// Appends it as one message with the given sequence number.
    fn encode(&self, sequence: u32, buffer: &mut Vec<u8>);
}

impl Request for Change {
    fn encode(&self, sequence: u32, buffer: &mut Vec<u8>) {
        Self::encode(self, sequence, buffer);
    }
}

impl Request for RouteChange {
    fn encode(&self, sequence: u32, buffer: &mut Vec<u8>) {
        Self::encode(self, sequence, buffer);
    }
}

impl Request for DeviceChange {
    fn encode(&self, sequence: u32, buffer: &mut Vec<u8>) {
        Self::encode(self, sequence, buffer);
    }
}

/// The socket.
pub(super) struct Netlink {
    socket: Socket,
    buffer: Vec<u8>,
    batch: Vec<u8>,
    port: u32,
    sequence: u32,
    pending: VecDeque<Notice>,
    /// Notices may wait in the socket.
    is_readable: bool,
}

impl Netlink {
    /// Opens the socket and subscribes to links and addresses.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        let mut own = SocketAddr::new(0, 0);
        socket.get_address(&mut own)?;
        socket.set_non_blocking(true)?;
        SockRef::from(&socket).attach_filter(&filter::without_new_addresses())?;
        socket.set_cap_ack(true)?;
        // Has the kernel choose routes by their protocol (Linux 4.20); before that we do.
        let _ = socket.set_netlink_get_strict_chk(true);
        // Beyond the usual limit where we may; the default does otherwise, `Lost` covers the rest.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES);
        Ok(Self {
            socket,
            port: own.port_number(),
            buffer: Vec::with_capacity(RECEIVE_BYTES),
            batch: Vec::new(),
            sequence: 0,
            pending: VecDeque::new(),
            is_readable: true,
        })
    }

    /// Makes the changes and returns the position and error of those that failed.
    ///
    /// The kernel carries a request out before `send` returns and answers failures alone, so the
    /// answers are complete without waiting.
    pub(super) fn apply(
        &mut self,
        changes: &[impl Request],
    ) -> io::Result<Vec<(usize, io::Error)>> {
        let mut failed = Vec::new();
        let mut batch = std::mem::take(&mut self.batch);
        let first = self.sequence.wrapping_add(1);
        let mut rest = changes.iter().peekable();
        let mut result = Ok(());
        while rest.peek().is_some() {
            batch.clear();
            while batch.len() < BATCH_BYTES
                && let Some(change) = rest.next()
            {
                self.sequence = self.sequence.wrapping_add(1);
                change.encode(self.sequence, &mut batch);
            }
            result = self.exchange(&batch, first, &mut failed);
            if result.is_err() {
                break;
            }
        }
        self.batch = batch;
        result.map(|()| failed)
    }

    /// Sends a batch that was encoded before. Failures are returned by sequence number minus `first`.
    pub(super) fn exchange(
        &mut self,
        batch: &[u8],
        first: u32,
        failed: &mut Vec<(usize, io::Error)>,
    ) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.socket.send_to(batch, &SocketAddr::new(0, 0), 0)?;
        self.receive_all(&mut |message| {
            if let NetlinkPayload::Error(error) = message.payload
                && error.code.is_some()
            {
                let position = message.header.sequence_number.wrapping_sub(first);
                failed.push((
                    usize::try_from(position).unwrap_or(usize::MAX),
                    error.to_io(),
                ));
            }
        })
    }

    /// Every address of the machine.
    pub(super) fn addresses(&mut self) -> io::Result<Vec<KernelAddress>> {
        let mut found = Vec::new();
        self.dump(
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            &mut |message| {
                if let RouteNetlinkMessage::NewAddress(message) = message {
                    found.extend(KernelAddress::from_message(&message));
                }
            },
        )?;
        Ok(found)
    }

    /// Every route that agents added.
    pub(super) fn routes(&mut self) -> io::Result<Vec<Route>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            request.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
            self.dump(RouteNetlinkMessage::GetRoute(request), &mut |message| {
                if let RouteNetlinkMessage::NewRoute(message) = message {
                    found.extend(Route::ours(&message));
                }
            })?;
        }
        Ok(found)
    }

    /// Every interface of the machine.
    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        let mut found = Vec::new();
        self.dump(
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            &mut |message| {
                if let RouteNetlinkMessage::NewLink(message) = message {
                    found.push(link(&message));
                }
            },
        )?;
        Ok(found)
    }

    /// The interface of that name.
    pub(super) fn device_named(&mut self, name: &str) -> io::Result<Option<KernelDevice>> {
        let mut request = LinkMessage::default();
        request.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        let mut found = None;
        let asked = self.ask(
            RouteNetlinkMessage::GetLink(request),
            NLM_F_REQUEST,
            &mut |message| {
                if let RouteNetlinkMessage::NewLink(message) = message {
                    found = Some(KernelDevice::from_message(&message));
                }
            },
        );
        match asked {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            asked => asked.map(|()| found),
        }
    }

    /// Every device that agents made.
    pub(super) fn devices(&mut self) -> io::Result<Vec<KernelDevice>> {
        let mut found = Vec::new();
        self.dump(
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            &mut |message| {
                if let RouteNetlinkMessage::NewLink(message) = message {
                    found.push(KernelDevice::from_message(&message));
                }
            },
        )?;
        found.retain(KernelDevice::is_ours);
        Ok(found)
    }

    /// The next notice, if any. Never waits.
    pub(super) fn notice(&mut self) -> io::Result<Option<Notice>> {
        if self.pending.is_empty() && std::mem::take(&mut self.is_readable) {
            self.receive_all(&mut |_| {})?;
        }
        Ok(self.pending.pop_front())
    }

    /// Takes in whether notices wait in the socket.
    pub(super) fn note_readable(&mut self, is_readable: bool) {
        self.is_readable = is_readable;
    }

    /// Whether notices were set aside while a request was answered.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn dump(
        &mut self,
        request: RouteNetlinkMessage,
        each: &mut dyn FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        self.ask(request, NLM_F_REQUEST | NLM_F_DUMP, each)
    }

    fn ask(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        each: &mut dyn FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        append(request, flags, sequence, &mut batch);
        let sent = self.socket.send_to(&batch, &SocketAddr::new(0, 0), 0);
        self.batch = batch;
        sent?;
        let mut outcome = Ok(());
        // Every `recv` makes the kernel produce the next part, so this does not wait either.
        self.receive_all(&mut |message| {
            if message.header.sequence_number != sequence {
                return;
            }
            match message.payload {
                NetlinkPayload::InnerMessage(message) => each(message),
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    outcome = Err(error.to_io());
                }
                _ => {}
            }
        })?;
        outcome
    }

    /// Reads until the socket is empty: notices go to `pending`, answers to `answer`.
    fn receive_all(
        &mut self,
        answer: &mut dyn FnMut(NetlinkMessage<RouteNetlinkMessage>),
    ) -> io::Result<()> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.pending.push_back(Notice::Lost);
                    continue;
                }
                Err(error) => return Err(error),
            }
            let mut rest = self.buffer.as_slice();
            while let Some((message, tail)) = split(rest) {
                rest = tail;
                match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
                    Ok(message) if message.header.port_number == self.port => answer(message),
                    Ok(message) => {
                        if let NetlinkPayload::InnerMessage(message) = message.payload {
                            self.pending.extend(notice(&message));
                        }
                    }
                    // A kind of message that this version of the codec does not know.
                    Err(error) => tracing::debug!(%error, "unreadable rtnetlink message"),
                }
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Cuts the first message off a buffer of messages (`NLMSG_NEXT` of netlink(3)).
fn split(buffer: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = buffer.first_chunk::<4>().copied().map(u32::from_ne_bytes)?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length >= 16)?;
    let message = buffer.get(..length)?;
    let next = length.next_multiple_of(4).min(buffer.len());
    Some((message, buffer.get(next..)?))
}

fn notice(message: &RouteNetlinkMessage) -> Option<Notice> {
    match message {
        RouteNetlinkMessage::NewLink(message) => Some(Notice::Link(link(message))),
        RouteNetlinkMessage::DelLink(message) => Some(Notice::LinkGone(message.header.index)),
        RouteNetlinkMessage::DelAddress(message) => {
            KernelAddress::from_message(message).map(Notice::AddressGone)
        }
        _ => None,
    }
}

fn link(message: &LinkMessage) -> Link {
    Link {
        index: message.header.index,
        is_up: message.header.flags.contains(LinkFlags::Up),
        running: message
            .header
            .flags
            .contains(LinkFlags::Up | LinkFlags::Running),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_by_their_length_and_padding() {
        let mut buffer = Vec::new();
        buffer.extend(17_u32.to_ne_bytes());
        buffer.extend([0; 16]);
        buffer.extend(16_u32.to_ne_bytes());
        buffer.extend([0; 12]);
        let (first, rest) = split(&buffer).expect("a message");
        assert_eq!(first.len(), 17);
        let (second, rest) = split(rest).expect("a second message");
        assert_eq!((second.len(), rest.len()), (16, 0));
        assert_eq!(split(rest), None);
    }

    #[test]
    fn a_length_beyond_the_buffer_or_below_a_header_ends_the_buffer() {
        for length in [0_u32, 15, 64, u32::MAX] {
            let mut buffer = length.to_ne_bytes().to_vec();
            buffer.resize(32, 0);
            assert_eq!(split(&buffer), None, "length {length}");
        }
    }
}
