//! UDP ports that the kernel takes GUE packets from: the generic netlink family `fou`
//! (`linux/fou.h`).

mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use lvs_crds::v1alpha1::AddressFamily;
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use wire::{Answer, Command};

/// The kernel answers within the system call; a second is a defect.
const TIMEOUT_SECONDS: i64 = 1;
/// Room for one datagram. The kernel makes dump parts of at most 32 KiB.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// A UDP port of the host whose packets carry others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FouPort {
    /// Family of the packets outside.
    pub outer: AddressFamily,
    /// Port, 1 to 65535.
    pub port: u16,
}

/// What is in the packets of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FouKind {
    /// Packets of one protocol without a header of their own (`FOU_ENCAP_DIRECT`).
    Direct,
    /// Generic UDP encapsulation (`FOU_ENCAP_GUE`).
    Gue,
}

/// As `ip fou add` and `ip fou del` take it.
impl fmt::Display for FouPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.port)
    }
}

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum FouError {
    /// The kernel has no such family.
    #[error("the kernel has no FOU: its module fou is not loaded")]
    NoFamily,
    /// The socket.
    #[error("generic netlink socket: {0}")]
    Socket(#[source] io::Error),
    /// The kernel refused.
    #[error("{0}")]
    Refused(#[source] Errno),
    /// An answer that is none.
    #[error("the kernel's answer of the family fou does not decode: {0}")]
    Answer(String),
}

/// A connection to the family in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Fou {
    socket: Socket,
    family: u16,
    sequence: u32,
}

impl Fou {
    /// Opens a socket and finds the family.
    ///
    /// # Errors
    /// [`FouError::NoFamily`] when the module is not loaded; no kernel so far loads it by itself.
    pub fn connect() -> Result<Self, FouError> {
        let mut socket = Socket::new(NETLINK_GENERIC).map_err(FouError::Socket)?;
        socket.bind_auto().map_err(FouError::Socket)?;
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(FouError::Socket)?;
        let timeout = TimeVal::new(TIMEOUT_SECONDS, 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout)
            .map_err(|errno| FouError::Socket(errno.into()))?;
        let mut fou = Self {
            socket,
            family: 0,
            sequence: 0,
        };
        let mut family = None;
        let bytes = wire::family_request(fou.next());
        let found = fou.exchange(&bytes, |payload| {
            family = wire::family(payload)?;
            Ok(())
        });
        match found {
            Err(FouError::Refused(Errno::ENOENT)) => return Err(FouError::NoFamily),
            other => other?,
        }
        fou.family = family
            .ok_or_else(|| FouError::Answer("attribute CTRL_ATTR_FAMILY_ID is missing".into()))?;
        Ok(fou)
    }

    /// Which of `asked` there are, whoever added them. Each is asked for by itself: a dump of all loses
    /// a port at the end of each of its datagrams (`fou_nl_get_dumpit`, Linux 6.1).
    ///
    /// # Errors
    /// When the kernel does not answer as it should.
    pub fn ports(
        &mut self,
        asked: impl IntoIterator<Item = FouPort>,
    ) -> Result<BTreeMap<FouPort, FouKind>, FouError> {
        let mut ports = BTreeMap::new();
        for port in asked {
            let bytes = wire::request(Command::Get, port, self.family, self.next());
            let found = self.exchange(&bytes, |payload| {
                ports.insert(port, wire::kind(payload)?);
                Ok(())
            });
            match found {
                Err(FouError::Refused(Errno::ESRCH)) => {}
                other => other?,
            }
        }
        Ok(ports)
    }

    /// Takes GUE packets from a port.
    ///
    /// # Errors
    /// When the kernel refuses, for example because a program has the port.
    pub fn add(&mut self, port: FouPort) -> Result<(), FouError> {
        self.change(Command::Add, port)
    }

    /// Takes no more packets from a port.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete(&mut self, port: FouPort) -> Result<(), FouError> {
        self.change(Command::Delete, port)
    }

    fn change(&mut self, command: Command, port: FouPort) -> Result<(), FouError> {
        let bytes = wire::request(command, port, self.family, self.next());
        self.exchange(&bytes, |_| Ok(()))
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a request and takes its answers, up to the last.
    fn exchange(
        &self,
        request: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), netlink_packet_core::DecodeError>,
    ) -> Result<(), FouError> {
        self.socket.send(request, 0).map_err(FouError::Socket)?;
        loop {
            let mut datagram = Vec::with_capacity(DATAGRAM_BYTES);
            match self.socket.recv(&mut datagram, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FouError::Socket(error)),
            }
            for answer in wire::answers(&datagram, self.sequence) {
                match answer {
                    Answer::Payload(payload) => {
                        take(payload).map_err(|error| FouError::Answer(error.to_string()))?;
                    }
                    Answer::End(0) => return Ok(()),
                    Answer::End(errno) => return Err(FouError::Refused(Errno::from_raw(errno))),
                }
            }
        }
    }
}
