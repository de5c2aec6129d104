//! Synchronisation daemons.

use std::borrow::Borrow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::DecodeError;

use super::{missing, read_name};
use crate::model::{SyncDaemon, SyncRole};
use crate::wire::{DAEMON, DaemonAttribute as A, Message, decode_attributes};

// IP_VS_STATE_*
const MASTER: u32 = 1;
const BACKUP: u32 = 2;

/// The attribute that identifies a daemon.
pub(super) fn role(role: SyncRole) -> A {
    A::State(match role {
        SyncRole::Master => MASTER,
        SyncRole::Backup => BACKUP,
    })
}

/// All attributes of a daemon.
pub(super) fn full(daemon: &SyncDaemon) -> Vec<A> {
    let required = [
        role(daemon.role),
        A::Interface(daemon.interface.to_string()),
        A::SyncId(u32::from(daemon.sync_id)),
    ];
    let group = daemon.group.map(|group| match group {
        IpAddr::V4(group) => A::Group(group.octets()),
        IpAddr::V6(group) => A::Group6(group.octets()),
    });
    required
        .into_iter()
        .chain(daemon.max_length_bytes.map(A::MaxLength))
        .chain(daemon.port.map(A::Port))
        .chain(daemon.ttl.map(A::Ttl))
        .chain(group)
        .collect()
}

/// A daemon from the attributes of a dump.
///
/// # Errors
/// When an attribute is missing or its value means nothing.
pub fn read_daemon(attributes: &[A]) -> Result<SyncDaemon, DecodeError> {
    read(attributes.iter().map(Ok))
}

/// A daemon from the payload of a message of a dump. `None` if the message is about something else.
///
/// # Errors
/// As [`Message::decode`] and [`read_daemon`].
pub fn decode_daemon(payload: &[u8]) -> Result<Option<SyncDaemon>, DecodeError> {
    Message::decode_one(payload, DAEMON, |nest| read(decode_attributes::<A>(nest)))
}

fn read<T: Borrow<A>>(
    attributes: impl Iterator<Item = Result<T, DecodeError>>,
) -> Result<SyncDaemon, DecodeError> {
    let (mut role, mut interface, mut sync_id) = (None, None, None);
    let (mut max_length_bytes, mut group, mut port, mut ttl) = (None, None, None, None);
    for attribute in attributes {
        match attribute?.borrow() {
            A::State(MASTER) => role = Some(SyncRole::Master),
            A::State(BACKUP) => role = Some(SyncRole::Backup),
            A::State(other) => {
                return Err(format!(
                    "IPVS_DAEMON_ATTR_STATE {other} is neither master (1) nor backup (2)"
                )
                .into());
            }
            A::Interface(name) => interface = Some(read_name(name)?),
            A::SyncId(number) => {
                let id = u8::try_from(*number).map_err(|_too_large| {
                    format!("IPVS_DAEMON_ATTR_SYNC_ID {number} is not between 0 and 255")
                })?;
                sync_id = Some(id);
            }
            A::MaxLength(bytes) => max_length_bytes = Some(*bytes),
            A::Group(bytes) => group = Some(Ipv4Addr::from(*bytes).into()),
            A::Group6(bytes) => group = Some(Ipv6Addr::from(*bytes).into()),
            A::Port(number) => port = Some(*number),
            A::Ttl(number) => ttl = Some(*number),
            A::Other(_) => {}
        }
    }
    Ok(SyncDaemon {
        role: role.ok_or_else(missing("IPVS_DAEMON_ATTR_STATE"))?,
        interface: interface.ok_or_else(missing("IPVS_DAEMON_ATTR_MCAST_IFN"))?,
        sync_id: sync_id.ok_or_else(missing("IPVS_DAEMON_ATTR_SYNC_ID"))?,
        max_length_bytes,
        group,
        port,
        ttl,
    })
}
