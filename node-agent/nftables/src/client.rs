//! A blocking client of the kernel's `nf_tables`.
//!
//! The client is a shell: tables, changes and messages are values, made elsewhere; here they meet a socket.

mod socket;
mod watch;

use std::time::Duration;

use crate::change::{self, Change, changes};
use crate::error::{self, Error, Refusal};
use crate::rules::MarkRules;
use crate::table::Table;
use crate::wire::{Incoming, Part, Payload, Request, packets, read, transaction};
use netlink_packet_core::NLM_F_DUMP_INTR;
use socket::{Received, Socket};
pub use watch::Watch;

/// How long an answer is waited for. The kernel answers before the request's system call returns, so this passes only
/// when an answer was lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the table is read when the ruleset changes meanwhile.
const READ_ATTEMPTS: u32 = 10;

/// A connection to the `nf_tables` of one network namespace: that of the thread that calls [`Client::connect`], for good.
///
/// `CAP_NET_ADMIN` is needed in the user namespace that owns it. Modules are not loaded, but by the kernel itself where
/// it may.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    /// Sequence number of the next request.
    sequence: u32,
}

/// What a question brought.
struct Outcome {
    parts: Vec<Part>,
    /// The ruleset changed while it was read.
    interrupted: bool,
}

impl Client {
    /// Opens a socket in the calling thread's network namespace and asks for `nf_tables`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without `nf_tables` in the kernel, [`Refusal::NotPermitted`], and those of the socket.
    pub fn connect() -> Result<Self, Error> {
        let mut client = Self {
            socket: Socket::open(ANSWER_TIMEOUT)?,
            sequence: 1,
        };
        client.generation()?;
        Ok(client)
    }

    /// Our table as the kernel has it; none if there is none.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] when others change the ruleset without a pause, [`Error::Refused`], [`Error::Decode`],
    /// [`Error::NoAnswer`] and [`Error::Socket`].
    pub fn observe(&mut self) -> Result<Option<Table>, Error> {
        for _ in 0..READ_ATTEMPTS {
            let before = self.generation()?;
            let parts = match self.parts() {
                Ok(Some(parts)) => parts,
                // The ruleset changed between two parts, or while one was read.
                Ok(None) => continue,
                Err(error) if error.refusal() == Some(Refusal::NotFound) => {
                    if self.generation()? == before {
                        return Ok(None);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.generation()? == before {
                return Ok(Table::collect(parts));
            }
        }
        Err(Error::Inconsistent {
            attempts: READ_ATTEMPTS,
        })
    }

    /// Makes the kernel's table what the rules want, and returns what was changed for it: nothing if nothing differed.
    /// Without rules the table is removed.
    ///
    /// # Errors
    /// Those of [`Client::observe`] and [`Client::commit`].
    pub fn apply(&mut self, rules: &MarkRules) -> Result<Vec<Change>, Error> {
        let wanted = Table::new(rules);
        let observed = self.observe()?;
        let edits = changes(observed.as_ref(), wanted.as_ref());
        match self.commit(&edits) {
            // Somebody else was faster. Whatever the table is now, it can be made anew.
            Err(Error::Refused {
                reason: Refusal::NotFound | Refusal::Exists | Refusal::Busy,
                ..
            }) => {
                let anew = wanted.as_ref().map_or_else(Vec::new, change::replace);
                self.commit(&anew)?;
                Ok(anew)
            }
            other => other.map(|()| edits),
        }
    }

    /// Removes our table with all that is in it. False if there was none.
    ///
    /// # Errors
    /// Those of [`Client::apply`].
    pub fn remove(&mut self) -> Result<bool, Error> {
        Ok(!self.apply(&MarkRules::default())?.is_empty())
    }

    /// Applies changes in one transaction: all of them or none.
    ///
    /// # Errors
    /// The first change that the kernel refused, and [`Error::Unsupported`], [`Error::NoAnswer`] and
    /// [`Error::Socket`].
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = transaction(changes, self.sequence);
        self.sequence = transaction.next;
        self.socket.send(&transaction.bytes)?;
        let mut refused = None;
        loop {
            let Received::Datagram(bytes) = self.socket.receive()? else {
                return Err(refused.unwrap_or_else(|| Error::NoAnswer {
                    request: "transaction on table inet lvs_operator".to_owned(),
                }));
            };
            for message in packets(&bytes) {
                let Ok(Incoming {
                    sequence,
                    payload: Payload::Answer(errno),
                    ..
                }) = message
                else {
                    continue;
                };
                if !transaction.contains(sequence) {
                    continue;
                }
                if errno != 0 && refused.is_none() {
                    let change = transaction
                        .change(sequence)
                        .and_then(|index| changes.get(index));
                    refused = Some(error::of_change(errno, change));
                }
                if sequence == transaction.last || sequence == transaction.begin {
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Begins to watch for changes that others make: see [`Watch`].
    ///
    /// # Errors
    /// [`Error::Socket`], also when `CAP_NET_ADMIN` is missing.
    pub fn watch(&self) -> Result<Watch, Error> {
        Watch::open(self.socket.port())
    }

    /// The table and everything in it, each part after what it belongs to. None when a part was read incompletely.
    fn parts(&mut self) -> Result<Option<Vec<Part>>, Error> {
        let mut parts = Vec::new();
        for (request, name) in [
            (Request::Table, "nft list table inet lvs_operator"),
            (Request::Chains, "nft list chains inet"),
            (Request::Rules, "nft list table inet lvs_operator"),
            (Request::Maps, "nft list maps inet"),
        ] {
            let outcome = self.ask(request, name)?;
            if outcome.interrupted {
                return Ok(None);
            }
            parts.extend(outcome.parts);
        }
        let maps: Vec<_> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Map(name, _) => Some(name.clone()),
                _ => None,
            })
            .collect();
        for map in maps {
            let outcome = self.ask(Request::Elements(&map), "nft list map inet lvs_operator")?;
            if outcome.interrupted {
                return Ok(None);
            }
            parts.extend(outcome.parts);
        }
        Ok(Some(parts))
    }

    /// The number of the ruleset's generation.
    fn generation(&mut self) -> Result<u32, Error> {
        let name = "generation of the ruleset";
        let outcome = self.ask(Request::Generation, name)?;
        outcome
            .parts
            .into_iter()
            .find_map(|part| match part {
                Part::Generation(number) => Some(number),
                _ => None,
            })
            .ok_or_else(|| Error::Decode {
                request: name.to_owned(),
                source: "the answer is empty".into(),
            })
    }

    /// Asks and collects the answer.
    fn ask(&mut self, request: Request<'_>, name: &'static str) -> Result<Outcome, Error> {
        let asked = self.sequence;
        self.sequence = asked.wrapping_add(1);
        self.socket.send(&request.encode(asked))?;
        let undecodable = |source| Error::Decode {
            request: name.to_owned(),
            source,
        };
        let mut outcome = Outcome {
            parts: Vec::new(),
            interrupted: false,
        };
        loop {
            let bytes = match self.socket.receive()? {
                Received::Datagram(bytes) => bytes,
                Received::Overrun => {
                    outcome.interrupted = true;
                    continue;
                }
                Received::Nothing => {
                    return Err(Error::NoAnswer {
                        request: name.to_owned(),
                    });
                }
            };
            for message in packets(&bytes) {
                let message = message.map_err(undecodable)?;
                // The rest of an answer that was given up.
                if message.sequence != asked {
                    continue;
                }
                outcome.interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    Payload::Packet(packet) => {
                        outcome.parts.extend(read(&packet).map_err(undecodable)?);
                    }
                    Payload::Answer(0) | Payload::Done(0) => return Ok(outcome),
                    Payload::Answer(errno) | Payload::Done(errno) => {
                        return Err(error::of_question(errno, name));
                    }
                    Payload::Overrun => outcome.interrupted = true,
                    Payload::Nothing => {}
                }
            }
        }
    }
}
