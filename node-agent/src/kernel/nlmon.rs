//! Notices of changes that others make to the IPVS table.
//!
//! IPVS sends no notifications. But a device of kind `nlmon` shows every netlink message of its network
//! namespace to packet sockets, and a filter in the kernel passes those alone that ask IPVS for a change
//! and come from somebody else. At rest this costs nothing.
//!
//! What a notice says is that the table may be different now; what is different, the table itself shows.

mod device;
mod filter;
mod notice;

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use lvs_ipvs::Origin;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{LinkAddr, MsgFlags, bind, recv, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};

use device::Device;
use filter::{Program, SHOWN_BYTES};
use notice::Requesters;

/// Name of the device. One that an earlier run left is taken over.
pub const DEVICE: &str = "lvs-nlmon";

/// How long the kernel is given to show the first message. It does so at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many messages are read before other work gets its turn.
const BURST: usize = 256;

/// A packet socket that shows what others ask of IPVS.
#[derive(Debug)]
pub struct Nlmon {
    socket: Socket,
    requesters: Requesters,
}

/// Why there are no notices.
#[derive(Debug, thiserror::Error)]
pub enum NlmonError {
    /// The device cannot be made.
    #[error("cannot make the device {DEVICE}, which needs the kernel module nlmon: {0}")]
    Device(#[source] io::Error),
    /// The packet socket cannot be opened.
    #[error("cannot listen to the device {DEVICE}: {0}")]
    Socket(#[source] io::Error),
    /// The device does not show what is sent.
    #[error("the device {DEVICE} shows no messages; if it is not of kind nlmon, delete it")]
    Silent,
}

impl Nlmon {
    /// Makes the device, unless it is there, and listens to it. From then on every change is noticed but those of
    /// `origin`. Needs `CAP_NET_ADMIN` and `CAP_NET_RAW`.
    ///
    /// # Errors
    /// When the device or the socket cannot be had.
    pub fn open(origin: Origin) -> Result<Self, NlmonError> {
        let mut device = Device::make(DEVICE).map_err(NlmonError::Device)?;
        let socket = packet_socket().map_err(NlmonError::Socket)?;
        let opened = Self {
            socket,
            requesters: Requesters::default(),
        };
        opened.bind(&mut device)?;
        opened
            .attach(&Program::changes(origin))
            .map_err(NlmonError::Socket)?;
        // What came through the filter before.
        while opened.read(&mut [0]).map_err(NlmonError::Socket)?.is_some() {}
        Ok(opened)
    }

    /// Deletes the device, if there is one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_device() -> io::Result<()> {
        device::remove(DEVICE)
    }

    /// Reads what has come and says whether the table may be different. Never waits.
    ///
    /// # Errors
    /// When the device is gone or was set down.
    pub fn has_noticed(&mut self) -> io::Result<bool> {
        let mut has_noticed = false;
        let mut message = [0; SHOWN_BYTES];
        for _ in 0..BURST {
            let Some(length) = self.read(&mut message)? else {
                break;
            };
            let shown = message.get(..length).unwrap_or_default();
            has_noticed |= self.requesters.take(shown);
        }
        Ok(has_noticed)
    }

    /// Binds the socket to the device. An address of a packet socket cannot be written down without unsafe code, but
    /// one can be received: that of a message of the routing family on the device. Its protocol is 0
    /// (`NETLINK_ROUTE`), by which bind(2) keeps that of the socket (packet(7)).
    fn bind(&self, device: &mut Device) -> Result<(), NlmonError> {
        self.attach(&Program::routing_messages(device.index()))
            .map_err(NlmonError::Socket)?;
        device.provoke_message().map_err(NlmonError::Device)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(rest).unwrap_or(PollTimeout::ZERO);
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            let count = poll(&mut ready, timeout).map_err(failed)?;
            if count == 0 {
                return Err(NlmonError::Silent);
            }
            match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut [0]) {
                // Others may have come before there was a filter.
                Ok((_, Some(address)))
                    if u32::try_from(address.ifindex()) == Ok(device.index())
                        && address.protocol() == 0 =>
                {
                    return bind(self.socket.as_raw_fd(), &address).map_err(failed);
                }
                Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }

    fn attach(&self, program: &Program) -> io::Result<()> {
        self.socket.attach_filter(&program.encode())
    }

    /// The length of the next message, if there is one.
    fn read(&self, message: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match recv(self.socket.as_raw_fd(), message, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => return Ok(Some(length)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Nlmon {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket that is shown packets of all protocols: only those are shown what a device sends (packet(7)).
fn packet_socket() -> io::Result<Socket> {
    let all = u16::try_from(libc::ETH_P_ALL).map_err(io::Error::other)?;
    let protocol = Protocol::from(i32::from(all.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn failed(errno: Errno) -> NlmonError {
    NlmonError::Socket(errno.into())
}
