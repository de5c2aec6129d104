//! Destinations.

use std::borrow::Borrow;

use netlink_packet_core::DecodeError;

use super::{address_bytes, family_number, missing, read_address, read_family};
use crate::model::{
    Destination, DestinationKey, Family, Forwarding, ObservedDestination, Tunnel, TunnelFlags,
    TunnelKind,
};
use crate::translate::stats::{Widest, read_stats};
use crate::wire::{DESTINATION, DestinationAttribute as A, Message, decode_attributes};

// IP_VS_CONN_F_*
const FORWARDING_MASK: u8 = 0x7;
const MASQUERADING: u8 = 0;
const LOCAL_NODE: u8 = 1;
const TUNNEL: u8 = 2;
const DIRECT_ROUTING: u8 = 3;
const BYPASS: u8 = 4;

/// The attributes that identify a destination.
pub(super) fn key(key: &DestinationKey) -> Vec<A> {
    vec![
        A::AddressFamily(family_number(Family::of(key.address))),
        A::Address(address_bytes(key.address)),
        A::Port(key.port),
    ]
}

/// All attributes of a destination. Adding and changing need them all.
pub(super) fn full(destination: &Destination) -> Vec<A> {
    let mut attributes = key(&destination.key);
    attributes.extend([
        A::Forwarding(u32::from(forwarding_number(destination.forwarding))),
        A::Weight(destination.weight),
    ]);
    if let Forwarding::Tunnel(tunnel) = destination.forwarding {
        attributes.extend([
            A::TunnelKind(tunnel.kind.number()),
            A::TunnelPort(tunnel.port),
            A::TunnelFlags(tunnel.flags.bits()),
        ]);
    }
    attributes.extend([
        A::UpperThreshold(destination.upper_threshold),
        A::LowerThreshold(destination.lower_threshold),
    ]);
    attributes
}

/// A destination from the attributes of a dump. `family` is its service's: kernels before 3.18 do not report the
/// destination's, which is the same there.
///
/// # Errors
/// When an attribute is missing or its value means nothing.
pub fn read_destination(
    attributes: &[A],
    family: Family,
) -> Result<ObservedDestination, DecodeError> {
    read(attributes.iter().map(Ok), family)
}

/// A destination from the payload of a message of a dump, straight from its bytes: nothing is kept of them, which
/// matters when destinations come by the million. `None` if the message is about something else. `family` is as in
/// [`read_destination`].
///
/// # Errors
/// As [`Message::decode`] and [`read_destination`].
pub fn decode_destination(
    payload: &[u8],
    family: Family,
) -> Result<Option<ObservedDestination>, DecodeError> {
    Message::decode_one(payload, DESTINATION, |nest| {
        read(decode_attributes::<A>(nest), family)
    })
}

fn read<T: Borrow<A>>(
    attributes: impl Iterator<Item = Result<T, DecodeError>>,
    family: Family,
) -> Result<ObservedDestination, DecodeError> {
    let mut family = family;
    let (mut address, mut port, mut forwarding, mut weight) = (None, None, None, None);
    let (mut upper_threshold, mut lower_threshold) = (0, 0);
    let (mut active_connections, mut inactive_connections, mut persistent_connections) = (0, 0, 0);
    let mut tunnel = Tunnel::IPIP;
    let mut stats = Widest::default();
    for attribute in attributes {
        match attribute?.borrow() {
            A::AddressFamily(number) => family = read_family(*number)?,
            A::Address(bytes) => address = Some(*bytes),
            A::Port(number) => port = Some(*number),
            A::Forwarding(number) => forwarding = Some(*number),
            A::Weight(number) => weight = Some(*number),
            A::UpperThreshold(number) => upper_threshold = *number,
            A::LowerThreshold(number) => lower_threshold = *number,
            A::ActiveConnections(number) => active_connections = *number,
            A::InactiveConnections(number) => inactive_connections = *number,
            A::PersistentConnections(number) => persistent_connections = *number,
            A::Stats(counters) => stats.narrow(read_stats(counters)),
            A::Stats64(counters) => stats.wide(read_stats(counters)),
            A::TunnelKind(number) => tunnel.kind = TunnelKind::from_number(*number),
            A::TunnelPort(number) => tunnel.port = *number,
            A::TunnelFlags(bits) => tunnel.flags = TunnelFlags::from_bits_retain(*bits),
            A::Other(_) => {}
        }
    }
    let key = DestinationKey {
        address: read_address(family, address.ok_or_else(missing("IPVS_DEST_ATTR_ADDR"))?),
        port: port.ok_or_else(missing("IPVS_DEST_ATTR_PORT"))?,
    };
    let forwarding = read_forwarding(
        forwarding.ok_or_else(missing("IPVS_DEST_ATTR_FWD_METHOD"))?,
        tunnel,
    );
    let weight = weight.ok_or_else(missing("IPVS_DEST_ATTR_WEIGHT"))?;
    Ok(ObservedDestination {
        destination: Destination {
            key,
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
        active_connections,
        inactive_connections,
        persistent_connections,
        stats: stats.get(),
    })
}

fn forwarding_number(forwarding: Forwarding) -> u8 {
    match forwarding {
        Forwarding::Nat => MASQUERADING,
        Forwarding::Local => LOCAL_NODE,
        Forwarding::Tunnel(_) => TUNNEL,
        Forwarding::DirectRouting => DIRECT_ROUTING,
        Forwarding::Bypass => BYPASS,
        Forwarding::Other(number) => number & FORWARDING_MASK,
    }
}

fn read_forwarding(flags: u32, tunnel: Tunnel) -> Forwarding {
    let [low, ..] = flags.to_le_bytes();
    match low & FORWARDING_MASK {
        MASQUERADING => Forwarding::Nat,
        LOCAL_NODE => Forwarding::Local,
        TUNNEL => Forwarding::Tunnel(tunnel),
        DIRECT_ROUTING => Forwarding::DirectRouting,
        BYPASS => Forwarding::Bypass,
        other => Forwarding::Other(other),
    }
}
