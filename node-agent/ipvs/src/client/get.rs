//! Reading the kernel's state: the commands `IPVS_CMD_GET_*`.

use std::collections::BTreeMap;

use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};

use super::reading::Reading;
use super::reply::{Outcome, Reply};
use super::{Client, frame};
use crate::error::{Error, Refusal};
use crate::model::{
    Info, ObservedDestination, Service, ServiceKey, Stats, SyncDaemon, Table, TableEntry, Timeouts,
};
use crate::translate;
use crate::wire::{Attribute, CommandCode, Message};

/// How often a dump is repeated when the table changed meanwhile.
const DUMP_ATTEMPTS: u32 = 5;

impl Client {
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
}
