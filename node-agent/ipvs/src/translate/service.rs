//! Virtual services.

use std::borrow::Borrow;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use netlink_packet_core::DecodeError;

use super::{address_bytes, family_number, missing, read_address, read_family, read_name};
use crate::model::{
    Family, Name, Netmask, Persistence, Protocol, Service, ServiceFlags, ServiceKey, Stats,
    wire_only,
};
use crate::translate::stats::{Widest, read_stats};
use crate::wire::{Message, SERVICE, ServiceAttribute as A, decode_attributes};

/// The attributes that identify a service.
pub(super) fn key(key: &ServiceKey) -> Vec<A> {
    let family = A::AddressFamily(family_number(key.family()));
    match *key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            vec![
                family,
                A::Protocol(protocol.number()),
                A::Address(address_bytes(address)),
                A::Port(port),
            ]
        }
        ServiceKey::Mark { mark, .. } => vec![family, A::FirewallMark(mark.get())],
    }
}

/// All attributes of a service. Adding and changing need them all.
pub(super) fn full(service: &Service) -> Vec<A> {
    let mut attributes = key(&service.key);
    attributes.push(A::Scheduler(service.scheduler.to_string()));
    if let Some(engine) = &service.persistence_engine {
        attributes.push(A::PersistenceEngine(engine.to_string()));
    }
    // The kernel checks an IPv6 prefix length even when nothing is persistent.
    let (flag, persistence) = match service.persistence {
        Some(persistence) => (wire_only::PERSISTENT, persistence),
        None => (0, Persistence::of_hosts(service.key.family(), 0)),
    };
    attributes.extend([
        A::Flags {
            flags: service.flags.bits() | flag,
            mask: u32::MAX,
        },
        A::Timeout(persistence.timeout_seconds),
        A::Netmask(netmask_bytes(persistence.netmask)),
    ]);
    attributes
}

/// A service and its counters from the attributes of a dump.
///
/// # Errors
/// When an attribute is missing or its value means nothing.
pub fn read_service(attributes: &[A]) -> Result<(Service, Stats), DecodeError> {
    read(attributes.iter().map(Ok))
}

/// A service and its counters from the payload of a message of a dump, straight from its bytes. `None` if the message
/// is about something else.
///
/// # Errors
/// As [`Message::decode`] and [`read_service`].
pub fn decode_service(payload: &[u8]) -> Result<Option<(Service, Stats)>, DecodeError> {
    Message::decode_one(payload, SERVICE, |nest| read(decode_attributes::<A>(nest)))
}

fn read<T: Borrow<A>>(
    attributes: impl Iterator<Item = Result<T, DecodeError>>,
) -> Result<(Service, Stats), DecodeError> {
    let mut key = KeyDraft::default();
    let (mut scheduler, mut persistence_engine) = (None, None);
    let (mut flags, mut timeout_seconds, mut netmask) = (None, 0, None);
    let mut stats = Widest::default();
    for attribute in attributes {
        match attribute?.borrow() {
            A::AddressFamily(number) => key.family = Some(read_family(*number)?),
            A::Protocol(number) => key.protocol = Some(Protocol::from_number(*number)),
            A::Address(bytes) => key.address = Some(*bytes),
            A::Port(number) => key.port = Some(*number),
            A::FirewallMark(number) => key.mark = NonZeroU32::new(*number),
            A::Scheduler(name) => scheduler = Some(read_name(name)?),
            A::PersistenceEngine(name) => persistence_engine = Some(read_name(name)?),
            A::Flags { flags: bits, .. } => flags = Some(*bits),
            A::Timeout(seconds) => timeout_seconds = *seconds,
            A::Netmask(bytes) => netmask = Some(*bytes),
            A::Stats(counters) => stats.narrow(read_stats(counters)),
            A::Stats64(counters) => stats.wide(read_stats(counters)),
            A::Other(_) => {}
        }
    }
    let key = key.finish()?;
    let scheduler: Name = scheduler.ok_or_else(missing("IPVS_SVC_ATTR_SCHED_NAME"))?;
    let bits = flags.ok_or_else(missing("IPVS_SVC_ATTR_FLAGS"))?;
    let persistence = if bits & wire_only::PERSISTENT == 0 {
        None
    } else {
        let netmask = read_netmask(
            key.family(),
            netmask.ok_or_else(missing("IPVS_SVC_ATTR_NETMASK"))?,
        )?;
        Some(Persistence {
            timeout_seconds,
            netmask,
        })
    };
    Ok((
        Service {
            key,
            scheduler,
            flags: ServiceFlags::from_bits_truncate(bits),
            persistence,
            persistence_engine,
        },
        stats.get(),
    ))
}

/// The attributes of a [`ServiceKey`] as far as they have come.
#[derive(Default)]
struct KeyDraft {
    family: Option<Family>,
    protocol: Option<Protocol>,
    address: Option<[u8; 16]>,
    port: Option<u16>,
    mark: Option<NonZeroU32>,
}

impl KeyDraft {
    fn finish(self) -> Result<ServiceKey, DecodeError> {
        let family = self.family.ok_or_else(missing("IPVS_SVC_ATTR_AF"))?;
        if let Some(mark) = self.mark {
            return Ok(ServiceKey::Mark { mark, family });
        }
        let protocol = self
            .protocol
            .ok_or_else(missing("IPVS_SVC_ATTR_PROTOCOL"))?;
        let address = self.address.ok_or_else(missing("IPVS_SVC_ATTR_ADDR"))?;
        Ok(ServiceKey::Address {
            protocol,
            address: read_address(family, address),
            port: self.port.ok_or_else(missing("IPVS_SVC_ATTR_PORT"))?,
        })
    }
}

fn netmask_bytes(netmask: Netmask) -> [u8; 4] {
    match netmask {
        Netmask::V4(mask) => mask.octets(),
        Netmask::V6(bits) => u32::from(bits).to_ne_bytes(),
    }
}

fn read_netmask(family: Family, bytes: [u8; 4]) -> Result<Netmask, DecodeError> {
    match family {
        Family::Ipv4 => Ok(Netmask::V4(Ipv4Addr::from(bytes))),
        Family::Ipv6 => {
            let bits = u32::from_ne_bytes(bytes);
            match u8::try_from(bits) {
                Ok(bits @ 1..=128) => Ok(Netmask::V6(bits)),
                _ => Err(format!(
                    "IPVS_SVC_ATTR_NETMASK: prefix length {bits} is not between 1 and 128"
                )
                .into()),
            }
        }
    }
}
