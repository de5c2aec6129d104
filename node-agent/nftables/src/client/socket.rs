//! The socket: the only place of this crate that touches the system.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_sys::SocketAddr;
use rustix::io::Errno;
use rustix::net::sockopt::{
    Timeout, set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force,
    set_socket_timeout, socket_send_buffer_size,
};

use crate::error::{Error, NO_NF_TABLES};
use crate::wire::uapi::{NETLINK_NETFILTER, NFNLGRP_NFTABLES};

/// Room for one datagram. The kernel makes dump parts of at most 32 KiB.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// Receive buffer that is asked for, beyond the system's limit (`net.core.rmem_max`).
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// Something that came, or not.
pub(super) enum Received {
    /// One datagram of the kernel: one or more messages.
    Datagram(Vec<u8>),
    /// The receive buffer was full: messages were lost.
    Overrun,
    /// Nothing, within the time.
    Nothing,
}

/// A netfilter netlink socket, bound in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Socket {
    inner: netlink_sys::Socket,
    port: u32,
}

fn failed<E: Into<std::io::Error>>(operation: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Socket {
        operation,
        source: source.into(),
    }
}

impl Socket {
    /// A socket for requests, which waits so long for an answer.
    pub(super) fn open(timeout: Duration) -> Result<Self, Error> {
        let socket = Self::bound()?;
        socket
            .inner
            .connect(&SocketAddr::new(0, 0))
            .map_err(failed("connect to the kernel"))?;
        set_socket_timeout(&socket.inner, Timeout::Recv, Some(timeout))
            .map_err(failed("set the receive timeout"))?;
        socket
            .inner
            .set_cap_ack(true)
            .map_err(failed("set the form of acknowledgements"))?;
        Ok(socket)
    }

    /// A socket for notifications about `nf_tables`, which does not wait.
    pub(super) fn subscribed() -> Result<Self, Error> {
        let socket = Self::bound()?;
        socket
            .inner
            .add_membership(NFNLGRP_NFTABLES)
            .map_err(failed("join the group of nf_tables' notifications"))?;
        socket
            .inner
            .set_non_blocking(true)
            .map_err(failed("set it to non-blocking"))?;
        Ok(socket)
    }

    fn bound() -> Result<Self, Error> {
        let mut inner =
            netlink_sys::Socket::new(NETLINK_NETFILTER).map_err(
                |source| match Errno::from_io_error(&source) {
                    Some(Errno::PROTONOSUPPORT) => NO_NF_TABLES,
                    _ => failed("open a netlink socket")(source),
                },
            )?;
        let address = inner.bind_auto().map_err(failed("bind"))?;
        match set_socket_recv_buffer_size_force(&inner, RECEIVE_BUFFER_BYTES) {
            // Without the right to it requests are refused with better words.
            Err(Errno::PERM) => {}
            other => other.map_err(failed("set the receive buffer"))?,
        }
        Ok(Self {
            inner,
            port: address.port_number(),
        })
    }

    /// The number by which the kernel knows the socket.
    pub(super) const fn port(&self) -> u32 {
        self.port
    }

    /// Sends one datagram to the kernel, all or nothing. A transaction is one datagram, so the send buffer grows with
    /// it.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        let room =
            socket_send_buffer_size(&self.inner).map_err(failed("read the send buffer's size"))?;
        // The kernel reports twice what it was asked for, and takes datagrams nearly so long.
        if bytes.len().saturating_mul(2) > room {
            set_socket_send_buffer_size_force(&self.inner, bytes.len().saturating_mul(2))
                .map_err(failed("set the send buffer"))?;
        }
        self.inner.send(bytes, 0).map(drop).map_err(failed("send"))
    }

    /// Takes the next datagram of the kernel.
    pub(super) fn receive(&self) -> Result<Received, Error> {
        let mut bytes = Vec::with_capacity(DATAGRAM_BYTES);
        loop {
            match self.inner.recv(&mut bytes, 0) {
                Ok(_) => return Ok(Received::Datagram(bytes)),
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    Some(Errno::AGAIN) => return Ok(Received::Nothing),
                    Some(Errno::NOBUFS) => return Ok(Received::Overrun),
                    _ => return Err(failed("receive")(error)),
                },
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
