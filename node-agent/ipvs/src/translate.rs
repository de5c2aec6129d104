//! Between the model and the wire: commands become messages, and attributes of the kernel's answers become values.

mod daemon;
mod destination;
mod info;
mod service;
mod stats;

pub use daemon::{decode_daemon, read_daemon};
pub use destination::{decode_destination, read_destination};
pub use info::{read_info, read_timeouts};
pub use service::{decode_service, read_service};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::DecodeError;

use crate::Command;
use crate::model::{Family, Name, ServiceKey};
use crate::wire::{Attribute, CommandCode, Message};

/// The message that does what a command says. Attributes are in the order in which `ipvsadm` sends them.
#[must_use]
pub fn message(command: &Command) -> Message {
    match command {
        Command::AddService(service) => Message::new(
            CommandCode::NEW_SERVICE,
            vec![Attribute::Service(service::full(service))],
        ),
        Command::SetService(service) => Message::new(
            CommandCode::SET_SERVICE,
            vec![Attribute::Service(service::full(service))],
        ),
        Command::DeleteService(service) => of_service(CommandCode::DEL_SERVICE, service),
        Command::AddDestination {
            service,
            destination,
        } => Message::new(
            CommandCode::NEW_DEST,
            vec![
                Attribute::Service(service::key(service)),
                Attribute::Destination(destination::full(destination)),
            ],
        ),
        Command::SetDestination {
            service,
            destination,
        } => Message::new(
            CommandCode::SET_DEST,
            vec![
                Attribute::Service(service::key(service)),
                Attribute::Destination(destination::full(destination)),
            ],
        ),
        Command::DeleteDestination {
            service,
            destination,
        } => Message::new(
            CommandCode::DEL_DEST,
            vec![
                Attribute::Service(service::key(service)),
                Attribute::Destination(destination::key(destination)),
            ],
        ),
        Command::StartDaemon(daemon) => Message::new(
            CommandCode::NEW_DAEMON,
            vec![Attribute::Daemon(daemon::full(daemon))],
        ),
        Command::StopDaemon(role) => Message::new(
            CommandCode::DEL_DAEMON,
            vec![Attribute::Daemon(vec![daemon::role(*role)])],
        ),
        Command::SetTimeouts(timeouts) => Message::new(
            CommandCode::SET_CONFIG,
            vec![
                Attribute::TimeoutTcp(timeouts.tcp_seconds),
                Attribute::TimeoutTcpFin(timeouts.tcp_fin_seconds),
                Attribute::TimeoutUdp(timeouts.udp_seconds),
            ],
        ),
        Command::Zero(Some(service)) => of_service(CommandCode::ZERO, service),
        Command::Zero(None) => Message::new(CommandCode::ZERO, Vec::new()),
    }
}

/// A message about a service, [`CommandCode::GET_DEST`] for instance.
#[must_use]
pub fn of_service(command: CommandCode, key: &ServiceKey) -> Message {
    Message::new(command, vec![Attribute::Service(service::key(key))])
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

fn family_number(family: Family) -> u16 {
    match family {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    }
}

fn read_family(number: u16) -> Result<Family, DecodeError> {
    match number {
        AF_INET => Ok(Family::Ipv4),
        AF_INET6 => Ok(Family::Ipv6),
        other => {
            Err(format!("address family {other} is neither AF_INET (2) nor AF_INET6 (10)").into())
        }
    }
}

/// An address as IPVS has it: always 16 bytes, of which IPv4 takes the first 4.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn read_address(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::Ipv4 => {
            let [a, b, c, d, ..] = bytes;
            Ipv4Addr::new(a, b, c, d).into()
        }
        Family::Ipv6 => Ipv6Addr::from(bytes).into(),
    }
}

fn read_name(name: &str) -> Result<Name, DecodeError> {
    Name::new(name).map_err(|error| error.to_string().into())
}

fn missing(attribute: &'static str) -> impl FnOnce() -> DecodeError {
    move || format!("attribute {attribute} is missing").into()
}

/// Reads everything in a message that can be read, for tests of robustness.
#[cfg(test)]
pub(crate) fn read_all(message: &Message) {
    let _ = (
        read_info(&message.attributes),
        read_timeouts(&message.attributes),
    );
    for attribute in &message.attributes {
        match attribute {
            Attribute::Service(attributes) => drop(read_service(attributes)),
            Attribute::Destination(attributes) => drop(read_destination(attributes, Family::Ipv4)),
            Attribute::Daemon(attributes) => drop(read_daemon(attributes)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
