//! The socket: the only place of this crate that touches the system.

use std::io;
use std::time::Duration;

use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_GENERIC;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::error::Error;

/// Room for one datagram. The kernel makes dump parts as large as the buffer that it is shown, up to 32 KiB.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// Receive buffer that is asked for. The system's limit (`net.core.rmem_max`) may make it smaller.
const RECEIVE_BUFFER_BYTES: u32 = 1024 * 1024;

/// What one acknowledgement takes of the receive buffer at most: the kernel counts its own structures too.
const ACKNOWLEDGEMENT_BYTES: usize = 2048;

/// Something that came, or not.
pub(super) enum Received {
    /// One datagram of the kernel: one or more messages. It is in the caller's buffer.
    Datagram,
    /// The receive buffer was full, or a datagram was larger than [`DATAGRAM_BYTES`]: messages were lost.
    Overrun,
    /// The time is over.
    Nothing,
}

/// A generic netlink socket, bound in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Socket {
    inner: netlink_sys::Socket,
    port: u32,
    receive_buffer_bytes: usize,
}

impl Socket {
    pub(super) fn open(timeout: Duration) -> Result<Self, Error> {
        let failed = |operation| move |source| Error::Socket { operation, source };
        let mut inner =
            netlink_sys::Socket::new(NETLINK_GENERIC).map_err(failed("open a netlink socket"))?;
        let port = inner.bind_auto().map_err(failed("bind"))?.port_number();
        inner
            .connect(&SocketAddr::new(0, 0))
            .map_err(failed("connect to the kernel"))?;
        set_socket_timeout(&inner, Timeout::Recv, Some(timeout))
            .map_err(|errno| failed("set the receive timeout")(errno.into()))?;
        inner
            .set_rx_buf_sz(RECEIVE_BUFFER_BYTES)
            .map_err(failed("set the receive buffer"))?;
        // Kernels before 4.12 and 4.3 lack these; they shorten errors and explain them.
        for option in [inner.set_ext_ack(true), inner.set_cap_ack(true)] {
            match option {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOPROTOOPT) => {}
                other => other.map_err(failed("set the form of acknowledgements"))?,
            }
        }
        let receive_buffer_bytes = inner
            .get_rx_buf_sz()
            .map_err(failed("read the receive buffer's size"))?;
        Ok(Self {
            inner,
            port,
            receive_buffer_bytes,
        })
    }

    /// The socket's address.
    pub(super) const fn port(&self) -> u32 {
        self.port
    }

    /// How many acknowledgements fit into the receive buffer with half of it to spare.
    pub(super) fn answers_that_fit(&self) -> usize {
        (self.receive_buffer_bytes / ACKNOWLEDGEMENT_BYTES / 2).max(1)
    }

    /// Sends one datagram to the kernel, all or nothing.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.inner
            .send(bytes, 0)
            .map(drop)
            .map_err(|source| Error::Socket {
                operation: "send",
                source,
            })
    }

    /// Waits for the next datagram of the kernel and puts it into `buffer` in place of what was there. As the socket is
    /// connected, no other sender reaches it.
    pub(super) fn receive(&self, buffer: &mut Vec<u8>) -> Result<Received, Error> {
        buffer.clear();
        buffer.reserve(DATAGRAM_BYTES);
        // The length that is returned is the datagram's, also of one that did not fit.
        let flags = RecvFlags::TRUNC.bits().cast_signed();
        loop {
            match self.inner.recv(buffer, flags) {
                Ok(length) if length > buffer.len() => return Ok(Received::Overrun),
                Ok(_) => return Ok(Received::Datagram),
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    Some(Errno::AGAIN) => return Ok(Received::Nothing),
                    Some(Errno::NOBUFS) => return Ok(Received::Overrun),
                    _ => {
                        return Err(Error::Socket {
                            operation: "receive",
                            source: error,
                        });
                    }
                },
            }
        }
    }
}

impl Error {
    /// The same failure once more, for another request that it concerns too.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Socket { operation, source } => {
                let source = source
                    .raw_os_error()
                    .map_or_else(|| source.kind().into(), io::Error::from_raw_os_error);
                Self::Socket { operation, source }
            }
            other => Self::Socket {
                operation: "send",
                source: io::Error::other(other.to_string()),
            },
        }
    }
}
