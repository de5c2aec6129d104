//! Values for property tests.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::rules::{MarkRules, Ports, Protocol};
use crate::table::{Base, Chain, Data, Expression, Map, MapType, Register, Table, Verdict};
use crate::wire::uapi::NFT_DATA_VERDICT;

/// Few addresses and ports, so that rules meet.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (1..4_u8).prop_map(|host| [192, 0, 2, host].into()),
        (1..4_u16).prop_map(|host| [0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into()),
    ]
}

pub(crate) fn ports() -> impl Strategy<Value = Ports> {
    let protocol = proptest::sample::select(Protocol::ALL.to_vec());
    let port = || prop_oneof![0..8_u16, Just(u16::MAX)];
    (protocol, port(), port(), 0..3).prop_map(|(protocol, one, other, kind)| match kind {
        0 => Ports::Every(protocol),
        1 => Ports::one(protocol, one),
        _ => Ports::Range {
            protocol,
            first: one.min(other),
            last: one.max(other),
        },
    })
}

/// Rules without contradictions: what contradicts is left out.
pub(crate) fn rules() -> impl Strategy<Value = MarkRules> {
    let rule = (address(), ports(), 1..5_u32);
    proptest::collection::vec(rule, 0..20).prop_map(|list| {
        let mut rules = MarkRules::default();
        for (address, ports, mark) in list {
            drop(rules.insert(address, ports, mark.try_into().unwrap()));
        }
        rules
    })
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_.-]{0,8}"
}

fn register() -> impl Strategy<Value = Register> {
    prop_oneof![
        Just(Register::Verdict),
        (0..16_u32).prop_map(Register::Slot)
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..20)
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        bytes().prop_map(Data::Value),
        (any::<i32>(), proptest::option::of(name()))
            .prop_map(|(code, chain)| Data::Verdict(Verdict { code, chain })),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    prop_oneof![
        (any::<u32>(), register()).prop_map(|(key, into)| Expression::Meta { key, into }),
        (any::<u32>(), register()).prop_map(|(key, from)| Expression::SetMeta { key, from }),
        (any::<u32>(), any::<u32>(), any::<u32>(), register()).prop_map(
            |(base, offset, length, into)| {
                Expression::Payload {
                    base,
                    offset,
                    length,
                    into,
                }
            }
        ),
        (register(), any::<u32>(), bytes()).prop_map(|(register, operation, value)| {
            Expression::Compare {
                register,
                operation,
                value,
            }
        }),
        (name(), register(), proptest::option::of(register()))
            .prop_map(|(map, key, into)| Expression::Lookup { map, key, into }),
        (register(), data()).prop_map(|(into, data)| Expression::Immediate { into, data }),
        (bytes()).prop_map(|bytes| Expression::Other {
            name: "other".to_owned(),
            bytes: bytes.into_iter().take(4).collect()
        }),
    ]
}

fn chain() -> impl Strategy<Value = Chain> {
    let base = (name(), any::<u32>(), any::<i32>(), any::<u32>()).prop_map(
        |(kind, hook, priority, policy)| Base {
            kind,
            hook,
            priority,
            policy,
        },
    );
    let rules = proptest::collection::vec(proptest::collection::vec(expression(), 1..4), 0..4);
    (proptest::option::of(base), rules).prop_map(|(base, rules)| Chain { base, rules })
}

fn map() -> impl Strategy<Value = Map> {
    let kind = (
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(flags, key_type, key_length, data_type, data_length)| MapType {
                flags,
                key_type,
                key_length,
                data_type,
                data_length: if data_type == NFT_DATA_VERDICT {
                    0
                } else {
                    data_length
                },
            },
        );
    (kind, proptest::collection::btree_map(bytes(), data(), 0..4))
        .prop_map(|(kind, elements)| Map { kind, elements })
}

/// Any table, whether it makes sense or not.
pub(crate) fn table() -> impl Strategy<Value = Table> {
    (
        proptest::collection::btree_map(name(), chain(), 0..4),
        proptest::collection::btree_map(name(), map(), 0..4),
    )
        .prop_map(|(chains, maps)| Table {
            flags: 0,
            chains,
            maps,
        })
}
