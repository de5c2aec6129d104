//! A blocking client of the kernel's IPVS.
//!
//! The client is a shell: what it sends and what an answer means is decided in values, in `batch`, `reply`,
//! `reading` and `family`; here they meet a socket.

mod batch;
mod family;
mod frame;
mod reading;
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
use reading::Reading;
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

    /// All virtual services with their counters, without destinations, ordered by their keys.
    ///
    /// The kernel answers in parts and the table may change between two of them, which can leave services out. So an
    /// answer of more than one part is read again until two agree on which services there are.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn services(&mut self) -> Result<Vec<(Service, Stats)>, Error> {
        self.dump(
            "ipvsadm -Ln",
            &Message::new(CommandCode::GET_SERVICE, Vec::new()),
            translate::decode_service,
            |(service, _)| service.key,
        )
    }

    /// One virtual service with its counters, if it exists.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`] and [`Error::Inconsistent`].
    pub fn service(&mut self, key: &ServiceKey) -> Result<Option<(Service, Stats)>, Error> {
        let message = translate::of_service(CommandCode::GET_SERVICE, key);
        match self.get(&format!("ipvsadm -Ln {key}"), &message, |message| {
            message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    Attribute::Service(attributes) => Some(translate::read_service(attributes)),
                    _ => None,
                })
                .ok_or("attribute IPVS_CMD_ATTR_SERVICE is missing")?
        }) {
            Ok(found) => Ok(Some(found)),
            Err(Error::Refused {
                reason: Refusal::NoSuchService,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The destinations of a service, ordered by their keys. Empty if there is no such service: the kernel does not
    /// tell the difference. An answer of more than one part, from about 90 destinations on, is read as by
    /// [`Client::services`].
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn destinations(
        &mut self,
        service: &ServiceKey,
    ) -> Result<Vec<ObservedDestination>, Error> {
        let family = service.family();
        self.dump(
            &format!("ipvsadm -Ln {service}"),
            &translate::of_service(CommandCode::GET_DEST, service),
            |payload| translate::decode_destination(payload, family),
            |observed| observed.destination.key,
        )
    }

    /// Shows all virtual services to `visit`, in the kernel's order, straight from the receive buffer.
    ///
    /// Nothing is read twice. When the table changes meanwhile, services may be missing and others come twice;
    /// [`Client::services`] looks after that.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`]. With [`Error::Inconsistent`] and [`Error::Decode`] some services have been
    /// shown and others have not.
    pub fn for_each_service(&mut self, mut visit: impl FnMut(Service, Stats)) -> Result<(), Error> {
        let message = Message::new(CommandCode::GET_SERVICE, Vec::new());
        self.stream("ipvsadm -Ln", &message, |payload| {
            if let Some((service, stats)) = translate::decode_service(payload)? {
                visit(service, stats);
            }
            Ok(())
        })
    }

    /// Shows the destinations of a service to `visit`, in the kernel's order, straight from the receive buffer; none if
    /// there is no such service.
    ///
    /// Nothing is read twice: [`Client::for_each_service`] has what that means.
    ///
    /// # Errors
    /// As [`Client::for_each_service`].
    pub fn for_each_destination(
        &mut self,
        service: &ServiceKey,
        mut visit: impl FnMut(ObservedDestination),
    ) -> Result<(), Error> {
        let request = format!("ipvsadm -Ln {service}");
        let message = translate::of_service(CommandCode::GET_DEST, service);
        self.stream(&request, &message, |payload| {
            if let Some(observed) = translate::decode_destination(payload, service.family())? {
                visit(observed);
            }
            Ok(())
        })
    }

    /// Shows the whole table to `visit`, one service with its destinations at a time: at no time are the destinations of
    /// more than one service in memory.
    ///
    /// The kernel has no snapshots. A change by someone else meanwhile may be half in what is shown; the next reading
    /// has it.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn for_each_entry(&mut self, mut visit: impl FnMut(TableEntry)) -> Result<(), Error> {
        for (service, stats) in self.services()? {
            let destinations = self.destinations(&service.key)?;
            visit(TableEntry {
                service,
                stats,
                destinations,
            });
        }
        Ok(())
    }

    /// All virtual services with their destinations, as [`Client::for_each_entry`] shows them.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn snapshot(&mut self) -> Result<Table, Error> {
        let mut entries = BTreeMap::new();
        self.for_each_entry(|entry| {
            entries.insert(entry.service.key, entry);
        })?;
        Ok(Table { entries })
    }

    /// The synchronisation daemons that run: at most one of each role.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`].
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        self.dump(
            "ipvsadm -Ln --daemon",
            &Message::new(CommandCode::GET_DAEMON, Vec::new()),
            translate::decode_daemon,
            |daemon| daemon.role,
        )
    }

    /// The timeouts of connections.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`] and [`Error::Inconsistent`].
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let message = Message::new(CommandCode::GET_CONFIG, Vec::new());
        self.get("ipvsadm -Ln --timeout", &message, |message| {
            Ok(translate::read_timeouts(&message.attributes))
        })
    }

    /// Version and size of the connection table.
    ///
    /// # Errors
    /// All but [`Error::NotSupported`] and [`Error::Inconsistent`].
    pub fn info(&mut self) -> Result<Info, Error> {
        let message = Message::new(CommandCode::GET_INFO, Vec::new());
        self.get("ipvsadm -Ln", &message, |message| {
            translate::read_info(&message.attributes)
        })
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
    fn exchange(&mut self, chunk: &batch::Chunk, commands: &[Command]) -> Vec<Result<(), Error>> {
        if let Err(error) = self.socket.send(&chunk.bytes) {
            return commands.iter().map(|_| Err(error.again())).collect();
        }
        let mut acks = Acks::new(chunk.first_sequence, commands.len());
        let failure = loop {
            if acks.are_final() {
                break None;
            }
            match self.socket.receive(&mut self.buffer) {
                Ok(Received::Datagram) => {
                    frame::messages(&self.buffer).for_each(|message| acks.take(&message));
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

    /// Reads all objects of a kind, as often as it takes to be sure of them.
    fn dump<T, K: Ord>(
        &mut self,
        request: &str,
        message: &Message,
        decode: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
        key: impl Fn(&T) -> K,
    ) -> Result<Vec<T>, Error> {
        let mut before = None;
        for _ in 0..DUMP_ATTEMPTS {
            let mut objects = Vec::new();
            let outcome = self.ask(request, message, NLM_F_REQUEST | NLM_F_DUMP, |payload| {
                objects.extend(decode(payload)?);
                Ok(())
            })?;
            objects.sort_by_key(&key);
            let reading = Reading {
                outcome,
                keys: objects.iter().map(&key).collect(),
            };
            if reading.is_sound(before.as_ref()) {
                return Ok(objects);
            }
            before = Some(reading);
        }
        Err(Error::Inconsistent {
            request: request.to_owned(),
            attempts: DUMP_ATTEMPTS,
        })
    }

    /// Reads all objects of a kind once.
    fn stream(
        &mut self,
        request: &str,
        message: &Message,
        visit: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), Error> {
        let outcome = self.ask(request, message, NLM_F_REQUEST | NLM_F_DUMP, visit)?;
        if outcome.interrupted {
            return Err(Error::Inconsistent {
                request: request.to_owned(),
                attempts: 1,
            });
        }
        Ok(())
    }

    /// Reads a single answer.
    fn get<T>(
        &mut self,
        request: &str,
        message: &Message,
        read: impl Fn(&Message) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let mut answer = None;
        self.ask(request, message, NLM_F_REQUEST | NLM_F_ACK, |payload| {
            answer = Some(read(&Message::decode(payload)?)?);
            Ok(())
        })?;
        answer.ok_or_else(|| Error::Decode {
            request: request.to_owned(),
            source: "the answer is empty".into(),
        })
    }

    fn ask(
        &mut self,
        request: &str,
        message: &Message,
        flags: u16,
        visit: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<Outcome, Error> {
        let sequence = self.next_sequence();
        let bytes = frame::encode(message.clone(), self.origin, sequence, flags);
        self.converse(request, &bytes, Reply::new(sequence), visit)
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
        Message::decode(payload).map(drop)
    });
    let _ = reply.end();
    let mut acks = Acks::new(sequence, 3);
    frame::messages(datagram).for_each(|message| acks.take(&message));
    assert_eq!(acks.into_answers().count(), 3);
}
