//! Strategies for values of the model.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::Command;
use crate::model::{
    Destination, DestinationKey, Family, Forwarding, Name, Netmask, Persistence, Protocol, Service,
    ServiceFlags, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelFlags, TunnelKind,
};

pub(crate) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)]
}

fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z][a-z0-9_.-]{0,14}".prop_map(|name| Name::new(name).expect("a fitting name"))
}

pub(crate) fn service_key() -> impl Strategy<Value = ServiceKey> {
    prop_oneof![
        (any::<u16>(), address(), any::<u16>()).prop_map(|(protocol, address, port)| {
            ServiceKey::Address {
                protocol: Protocol::from_number(protocol),
                address,
                port,
            }
        }),
        (any::<std::num::NonZeroU32>(), family())
            .prop_map(|(mark, family)| ServiceKey::Mark { mark, family }),
    ]
}

fn persistence(family: Family) -> impl Strategy<Value = Persistence> {
    let netmask = match family {
        Family::Ipv4 => any::<u32>()
            .prop_map(|bits| Netmask::V4(bits.into()))
            .boxed(),
        Family::Ipv6 => (1..=128_u8).prop_map(Netmask::V6).boxed(),
    };
    (any::<u32>(), netmask).prop_map(|(timeout_seconds, netmask)| Persistence {
        timeout_seconds,
        netmask,
    })
}

pub(crate) fn service() -> impl Strategy<Value = Service> {
    service_key().prop_flat_map(|key| {
        (
            name(),
            any::<u32>().prop_map(ServiceFlags::from_bits_truncate),
            proptest::option::of(persistence(key.family())),
            proptest::option::of(name()),
        )
            .prop_map(
                move |(scheduler, flags, persistence, persistence_engine)| Service {
                    key,
                    scheduler,
                    flags,
                    persistence,
                    persistence_engine,
                },
            )
    })
}

fn destination_key() -> impl Strategy<Value = DestinationKey> {
    (address(), any::<u16>()).prop_map(|(address, port)| DestinationKey { address, port })
}

fn tunnel() -> impl Strategy<Value = Tunnel> {
    (any::<u8>(), any::<u16>(), any::<u16>()).prop_map(|(kind, port, flags)| Tunnel {
        kind: TunnelKind::from_number(kind),
        port,
        flags: TunnelFlags::from_bits_retain(flags),
    })
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Local),
        tunnel().prop_map(Forwarding::Tunnel),
        Just(Forwarding::DirectRouting),
        Just(Forwarding::Bypass),
        (5..=7_u8).prop_map(Forwarding::Other),
    ]
}

pub(crate) fn destination() -> impl Strategy<Value = Destination> {
    (
        destination_key(),
        forwarding(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(key, forwarding, weight, upper_threshold, lower_threshold)| Destination {
                key,
                forwarding,
                weight,
                upper_threshold,
                lower_threshold,
            },
        )
}

fn role() -> impl Strategy<Value = SyncRole> {
    prop_oneof![Just(SyncRole::Master), Just(SyncRole::Backup)]
}

pub(crate) fn daemon() -> impl Strategy<Value = SyncDaemon> {
    let options = (
        any::<Option<u16>>(),
        proptest::option::of(address()),
        any::<Option<u16>>(),
        any::<Option<u8>>(),
    );
    (role(), name(), any::<u8>(), options).prop_map(
        |(role, interface, sync_id, (max_length_bytes, group, port, ttl))| SyncDaemon {
            role,
            interface,
            sync_id,
            max_length_bytes,
            group,
            port,
            ttl,
        },
    )
}

pub(crate) fn timeouts() -> impl Strategy<Value = Timeouts> {
    any::<[u32; 3]>().prop_map(|[tcp_seconds, tcp_fin_seconds, udp_seconds]| Timeouts {
        tcp_seconds,
        tcp_fin_seconds,
        udp_seconds,
    })
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        service().prop_map(Command::AddService),
        service().prop_map(Command::SetService),
        service_key().prop_map(Command::DeleteService),
        (service_key(), destination()).prop_map(|(service, destination)| Command::AddDestination {
            service,
            destination
        }),
        (service_key(), destination()).prop_map(|(service, destination)| Command::SetDestination {
            service,
            destination
        }),
        (service_key(), destination_key()).prop_map(|(service, destination)| {
            Command::DeleteDestination {
                service,
                destination,
            }
        }),
        daemon().prop_map(Command::StartDaemon),
        role().prop_map(Command::StopDaemon),
        timeouts().prop_map(Command::SetTimeouts),
        proptest::option::of(service_key()).prop_map(Command::Zero),
    ]
}

/// Arbitrary bytes, up to a kilobyte.
pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..1024)
}

/// `valid` with some bytes replaced and perhaps cut short.
pub(crate) fn mutated(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = valid.len();
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    (changes, 0..=length).prop_map(move |(changes, cut)| {
        let mut bytes = valid.clone();
        for (index, byte) in changes.into_iter().filter(|_| length > 0) {
            bytes[index.index(length)] = byte;
        }
        bytes.truncate(if cut % 3 == 0 { cut } else { length });
        bytes
    })
}
