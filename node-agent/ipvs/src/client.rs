//! A blocking client of the kernel's IPVS.
//!
//! The client is a shell: what it sends and what an answer means is decided in values, in `batch`, `reply` and
//! `family`; here they meet a socket.

mod batch;
mod family;
mod frame;
mod reply;
mod socket;

use std::collections::BTreeMap;
use std::time::Duration;

use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};

use crate::Command;
use crate::error::{Error, Refusal};
use crate::model::{
    Info, ObservedDestination, Service, ServiceKey, Stats, SyncDaemon, Table, TableEntry, Timeouts,
};
use crate::translate;
use crate::wire::{Attribute, CommandCode, Message};
use batch::{Acks, Limits};
use frame::Answer;
use reply::{Outcome, Reply};
use socket::{Received, Socket};

/// How long an answer is waited for. The kernel answers before the request's system call returns, so this passes only
/// when an answer was lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a dump is repeated when the table changed meanwhile.
const DUMP_ATTEMPTS: u32 = 5;

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

    /// All virtual services with their counters, without destinations.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn services(&mut self) -> Result<Vec<(Service, Stats)>, Error> {
        let message = Message::new(CommandCode::GET_SERVICE, Vec::new());
        self.dump(
            "ipvsadm -Ln",
            &message,
            |attribute| match attribute {
                Attribute::Service(attributes) => translate::read_service(attributes).map(Some),
                _ => Ok(None),
            },
            |(service, _)| service.key,
        )
    }

    /// The destinations of a service, ordered by their keys. Empty if there is no such service: the kernel does not
    /// tell the difference.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn destinations(
        &mut self,
        service: &ServiceKey,
    ) -> Result<Vec<ObservedDestination>, Error> {
        let message = translate::of_service(CommandCode::GET_DEST, service);
        let request = format!("ipvsadm -Ln {service}");
        self.dump(
            &request,
            &message,
            |attribute| match attribute {
                Attribute::Destination(attributes) => {
                    translate::read_destination(attributes, service.family()).map(Some)
                }
                _ => Ok(None),
            },
            |observed| observed.destination.key,
        )
    }

    /// All virtual services with their destinations: one dump, and one more for each service.
    ///
    /// The kernel has no snapshots. A change by someone else meanwhile may be half in the table; the next reading has
    /// it.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn snapshot(&mut self) -> Result<Table, Error> {
        let mut entries = BTreeMap::new();
        for (service, stats) in self.services()? {
            let destinations = self.destinations(&service.key)?;
            entries.insert(
                service.key,
                TableEntry {
                    service,
                    stats,
                    destinations,
                },
            );
        }
        Ok(Table { entries })
    }

    /// The synchronisation daemons that run: at most one of each role.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        let message = Message::new(CommandCode::GET_DAEMON, Vec::new());
        self.dump(
            "ipvsadm -Ln --daemon",
            &message,
            |attribute| match attribute {
                Attribute::Daemon(attributes) => translate::read_daemon(attributes).map(Some),
                _ => Ok(None),
            },
            |daemon| daemon.role,
        )
    }

    /// The timeouts of connections.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.get(
            "ipvsadm -Ln --timeout",
            CommandCode::GET_CONFIG,
            |attributes| Ok(translate::read_timeouts(attributes)),
        )
    }

    /// Version and size of the connection table.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn info(&mut self) -> Result<Info, Error> {
        self.get("ipvsadm -Ln", CommandCode::GET_INFO, translate::read_info)
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

    /// Sends one chunk and collects its acknowledgements.
    fn exchange(&self, chunk: &batch::Chunk, commands: &[Command]) -> Vec<Result<(), Error>> {
        if let Err(error) = self.socket.send(&chunk.bytes) {
            return commands.iter().map(|_| Err(error.again())).collect();
        }
        let mut acks = Acks::new(chunk.first_sequence, commands.len());
        let failure = loop {
            if acks.are_final() {
                break None;
            }
            match self.socket.receive() {
                Ok(Received::Datagram(bytes)) => {
                    frame::messages(&bytes).for_each(|message| acks.take(&message));
                }
                // What was lost shows as an answer that does not come.
                Ok(Received::Overrun) => {}
                Ok(Received::Nothing) => break None,
                Err(error) => break Some(error),
            }
        };
        acks.into_answers()
            .zip(commands)
            .map(|(answer, command)| match (answer, &failure) {
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

    /// Reads all objects of a kind, again if the table changed meanwhile.
    fn dump<T, K: Ord>(
        &mut self,
        request: &str,
        message: &Message,
        read: impl Fn(&Attribute) -> Result<Option<T>, DecodeError>,
        key: impl Fn(&T) -> K,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let outcome = self.ask(request, message, NLM_F_REQUEST | NLM_F_DUMP)?;
            if outcome.interrupted {
                continue;
            }
            let mut objects = outcome
                .messages
                .iter()
                .flat_map(|message| &message.attributes)
                .filter_map(|attribute| read(attribute).transpose())
                .collect::<Result<Vec<T>, _>>()
                .map_err(|source| Error::Decode {
                    request: request.to_owned(),
                    source,
                })?;
            let count = objects.len();
            objects.sort_by_key(&key);
            objects.dedup_by_key(|object| key(object));
            // A dump goes on at a position between two parts: an object that was added in front of it meanwhile makes
            // another come twice.
            if objects.len() == count {
                return Ok(objects);
            }
        }
        Err(Error::Inconsistent {
            request: request.to_owned(),
            attempts: DUMP_ATTEMPTS,
        })
    }

    /// Reads a single answer.
    fn get<T>(
        &mut self,
        request: &str,
        command: CommandCode,
        read: impl FnOnce(&[Attribute]) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let outcome = self.ask(
            request,
            &Message::new(command, Vec::new()),
            NLM_F_REQUEST | NLM_F_ACK,
        )?;
        let message = outcome
            .messages
            .first()
            .ok_or_else(|| DecodeError::from("the answer is empty"));
        message
            .and_then(|message| read(&message.attributes))
            .map_err(|source| Error::Decode {
                request: request.to_owned(),
                source,
            })
    }

    fn ask(
        &mut self,
        request: &str,
        message: &Message,
        flags: u16,
    ) -> Result<Outcome<Message>, Error> {
        let sequence = self.next_sequence();
        let bytes = frame::encode(message.clone(), self.origin, sequence, flags);
        self.converse(request, &bytes, Reply::new(sequence, Message::decode))
    }

    fn resolve(&mut self) -> Result<u16, Error> {
        let sequence = self.next_sequence();
        let bytes = family::request(sequence);
        let request = "family IPVS of generic netlink";
        let outcome = match self.converse(request, &bytes, Reply::new(sequence, family::read)) {
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
        outcome.messages.first().copied().ok_or(Error::NotSupported)
    }

    /// Sends a request and feeds what comes to `reply` until that is complete.
    fn converse<T>(
        &self,
        request: &str,
        bytes: &[u8],
        mut reply: Reply<T>,
    ) -> Result<Outcome<T>, Error> {
        self.socket.send(bytes)?;
        loop {
            match self.socket.receive()? {
                Received::Datagram(bytes) => {
                    frame::messages(&bytes).for_each(|message| reply.take(&message));
                }
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
