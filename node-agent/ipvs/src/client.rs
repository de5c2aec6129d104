//! A blocking client of the kernel's IPVS.
//!
//! The client is a shell: what it sends and what an answer means is decided in values, in `batch`, `reply`,
//! `reading` and `family`; here they meet a socket.

mod batch;
mod family;
mod frame;
mod get;
mod reading;
mod reply;
mod socket;

use std::time::Duration;

use netlink_packet_core::DecodeError;

use crate::Command;
use crate::error::{Error, Refusal};
use batch::{Answers, Limits};
use frame::Answer;
use reply::{Outcome, Reply};
use socket::{Received, Socket};

/// How long an answer is waited for. The kernel answers before the request's system call returns, so this passes only
/// when an answer was lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What tells a client's messages from those of others, for whoever watches netlink messages (an `nlmon` device).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Number that the kernel gave to the family `IPVS`: `nlmsg_type` of its messages.
    pub family: u16,
    /// The socket's address, which the kernel gives to no other: `nlmsg_pid` of requests and of their answers.
    pub port: u32,
}

/// A connection to the IPVS of one network namespace.
///
/// The namespace is the one that the calling thread was in at [`Client::connect`], for good: threads that move to
/// another one later may still use the client. `CAP_NET_ADMIN` is needed in the user namespace that owns it.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    /// The datagram that came last.
    buffer: Vec<u8>,
    origin: Origin,
    /// Sequence number of the next request.
    sequence: u32,
}

impl Client {
    /// Opens a socket in the calling thread's network namespace and looks up the family. The kernel loads its module
    /// `ip_vs` on demand, where it may.
    ///
    /// # Errors
    /// [`Error::NotSupported`] without IPVS in the kernel, and those of the socket.
    pub fn connect() -> Result<Self, Error> {
        let socket = Socket::open(ANSWER_TIMEOUT)?;
        let mut client = Self {
            origin: Origin {
                family: 0,
                port: socket.port(),
            },
            socket,
            buffer: Vec::new(),
            sequence: 1,
        };
        client.origin.family = client.resolve()?;
        Ok(client)
    }

    /// What tells this client's messages from those of others.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Applies commands in their order and returns one result for each.
    ///
    /// Many go to the kernel in one system call. They are not a transaction: each stands for itself, and one that
    /// fails does not stop those after it.
    pub fn apply(&mut self, commands: &[Command]) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(commands.len());
        let mut rest = commands;
        while !rest.is_empty() {
            let limits = Limits {
                bytes: batch::MAX_BYTES,
                messages: self.socket.answers_that_fit(),
            };
            let chunk = batch::encode(rest, self.sequence, self.origin, limits);
            let (now, later) = rest.split_at_checked(chunk.count).unwrap_or((rest, &[]));
            self.sequence = chunk.next_sequence;
            results.extend(self.exchange(&chunk, now));
            rest = later;
        }
        results
    }

    /// Sends one chunk and collects its answers.
    fn exchange(&mut self, chunk: &batch::Chunk, commands: &[Command]) -> Vec<Result<(), Error>> {
        if let Err(error) = self.socket.send(&chunk.bytes) {
            return commands.iter().map(|_| Err(error.again())).collect();
        }
        let mut answers = Answers::new(chunk.first_sequence, commands.len());
        let failure = loop {
            if answers.are_final() {
                break None;
            }
            match self.socket.receive(&mut self.buffer) {
                Ok(Received::Datagram) => {
                    frame::messages(&self.buffer).for_each(|message| answers.take(&message));
                }
                Ok(Received::Overrun) => answers.lose(),
                Ok(Received::Nothing) => break None,
                Err(error) => break Some(error),
            }
        };
        answers
            .into_answers(commands)
            .map(|(command, answer)| match (answer, &failure) {
                (Some(Answer { errno: 0, .. }), _) => Ok(()),
                (Some(Answer { errno, detail }), _) => Err(Error::Refused {
                    request: command.to_string(),
                    reason: Refusal::from_errno(errno, Some(command)),
                    detail,
                }),
                (None, Some(error)) => Err(error.again()),
                (None, None) => Err(Error::NoAnswer {
                    request: command.to_string(),
                }),
            })
            .collect()
    }

    fn resolve(&mut self) -> Result<u16, Error> {
        let sequence = self.next_sequence();
        let bytes = family::request(sequence);
        let request = "family IPVS of generic netlink";
        let mut number = None;
        match self.converse(request, &bytes, Reply::new(sequence), |payload| {
            number = Some(family::read(payload)?);
            Ok(())
        }) {
            // "There is no such family."
            Err(Error::Refused {
                reason:
                    Refusal::Other {
                        errno: family::UNKNOWN,
                    },
                ..
            }) => {
                return Err(Error::NotSupported);
            }
            other => other?,
        };
        number.ok_or(Error::NotSupported)
    }

    /// Sends a request, shows the payloads of the answer to `visit`, and returns when the answer is complete.
    fn converse(
        &mut self,
        request: &str,
        bytes: &[u8],
        mut reply: Reply,
        mut visit: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<Outcome, Error> {
        self.socket.send(bytes)?;
        loop {
            match self.socket.receive(&mut self.buffer)? {
                Received::Datagram => reply.take(frame::messages(&self.buffer), &mut visit),
                Received::Overrun => reply.lose(),
                Received::Nothing => {
                    return Err(Error::NoAnswer {
                        request: request.to_owned(),
                    });
                }
            }
            if let Some(end) = reply.end() {
                return end.map_err(|error| error.about(request));
            }
        }
    }

    fn next_sequence(&mut self) -> u32 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }
}

/// Takes a datagram in every way in which the client does.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(datagram: &[u8]) {
    let sequence = frame::messages(datagram)
        .next()
        .map_or(0, |message| message.sequence);
    let mut reply = Reply::new(sequence);
    reply.take(frame::messages(datagram), &mut |payload| {
        let _ = family::read(payload);
        crate::wire::Message::decode(payload).map(drop)
    });
    let _ = reply.end();
    let commands = [crate::SyncRole::Master, crate::SyncRole::Backup].map(Command::StopDaemon);
    let mut answers = Answers::new(sequence, commands.len());
    frame::messages(datagram).for_each(|message| answers.take(&message));
    assert_eq!(answers.into_answers(&commands).count(), commands.len());
}
