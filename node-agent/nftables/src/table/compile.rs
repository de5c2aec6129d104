//! From rules to the table that does what they say.

use std::net::IpAddr;

use super::{Base, Chain, Data, Expression, Map, MapType, Register, Rule, Table, Verdict};
use crate::rules::{MarkRules, PortsKind};
use crate::wire::uapi::{
    NF_ACCEPT, NF_INET_LOCAL_OUT, NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE, NFPROTO_IPV4,
    NFPROTO_IPV6, NFT_CMP_EQ, NFT_CMP_GTE, NFT_CMP_LTE, NFT_DATA_VERDICT, NFT_JUMP,
    NFT_META_L4PROTO, NFT_META_MARK, NFT_META_NFPROTO, NFT_PAYLOAD_NETWORK_HEADER,
    NFT_PAYLOAD_TRANSPORT_HEADER, NFT_SET_MAP,
};

/// Types as `nft` numbers them (`enum datatypes` in its `datatype.h`).
pub(super) mod nft_type {
    pub(in crate::table) const IPV4_ADDR: u32 = 7;
    pub(in crate::table) const IPV6_ADDR: u32 = 8;
    pub(in crate::table) const INET_PROTO: u32 = 12;
    pub(in crate::table) const INET_SERVICE: u32 = 13;
    pub(in crate::table) const MARK: u32 = 19;
    /// Bits that each part of a concatenation takes.
    pub(in crate::table) const BITS: u32 = 6;
}

/// The chain that both hooks lead to.
const MARKS: &str = "marks";

/// What differs between the families of addresses.
struct Family {
    suffix: &'static str,
    number: u8,
    /// Place of the destination in the header.
    offset_bytes: u32,
    length_bytes: u32,
    nft_type: u32,
}

const IPV4: Family = Family {
    suffix: "v4",
    number: NFPROTO_IPV4,
    offset_bytes: 16,
    length_bytes: 4,
    nft_type: nft_type::IPV4_ADDR,
};

const IPV6: Family = Family {
    suffix: "v6",
    number: NFPROTO_IPV6,
    offset_bytes: 24,
    length_bytes: 16,
    nft_type: nft_type::IPV6_ADDR,
};

/// What a map's key has beside the address.
#[derive(Clone, Copy)]
enum By {
    Protocol,
    /// Nothing: the map leads to the address's chain of ranges.
    Range,
    Port,
}

impl By {
    /// From the widest to the narrowest.
    const ALL: [Self; 3] = [Self::Protocol, Self::Range, Self::Port];

    fn map_name(self, family: &Family) -> String {
        let stem = match self {
            Self::Protocol => "protocols",
            Self::Range => "ranges",
            Self::Port => "ports",
        };
        format!("{stem}_{}", family.suffix)
    }

    fn map_type(self, family: &Family) -> MapType {
        let parts: &[u32] = match self {
            Self::Protocol => &[nft_type::INET_PROTO],
            Self::Range => &[],
            Self::Port => &[nft_type::INET_PROTO, nft_type::INET_SERVICE],
        };
        let verdict = matches!(self, Self::Range);
        MapType {
            flags: NFT_SET_MAP,
            key_type: parts
                .iter()
                .fold(family.nft_type, |all, part| all << nft_type::BITS | part),
            // A part takes a slot, however short.
            key_length: parts.iter().fold(family.length_bytes, |all, _| all + 4),
            data_type: if verdict {
                NFT_DATA_VERDICT
            } else {
                nft_type::MARK
            },
            data_length: if verdict { 0 } else { 4 },
        }
    }
}

impl Table {
    /// The table that gives packets their marks. None if no packet has one: then no table is needed.
    #[must_use]
    pub fn new(rules: &MarkRules) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let mut table = Self::frame();
        for (address, ports, mark) in rules.iter() {
            let family = match address {
                IpAddr::V4(_) => &IPV4,
                IpAddr::V6(_) => &IPV6,
            };
            let protocol = ports.protocol().number();
            let value = Data::Value(mark.get().to_ne_bytes().to_vec());
            match ports.kind() {
                PortsKind::Every => {
                    let key = key(address, &[&[protocol]]);
                    table.put(&By::Protocol.map_name(family), key, value);
                }
                PortsKind::One(port) => {
                    let key = key(address, &[&[protocol], &port.to_be_bytes()]);
                    table.put(&By::Port.map_name(family), key, value);
                }
                PortsKind::Range(first, last) => {
                    let chain = ranges_chain(address);
                    let jump = Data::Verdict(jump(&chain));
                    table.put(&By::Range.map_name(family), key(address, &[]), jump);
                    let rule = range_rule(protocol, first, last, value);
                    table.chains.entry(chain).or_default().rules.push(rule);
                }
            }
        }
        Some(table)
    }

    /// What the table has for any rules.
    fn frame() -> Self {
        let mut table = Self::default();
        for (name, hook) in [
            ("prerouting", NF_INET_PRE_ROUTING),
            ("output", NF_INET_LOCAL_OUT),
        ] {
            let chain = Chain {
                base: Some(Base {
                    kind: "filter".to_owned(),
                    hook,
                    priority: NF_IP_PRI_MANGLE,
                    policy: NF_ACCEPT,
                }),
                rules: vec![vec![Expression::Immediate {
                    into: Register::Verdict,
                    data: Data::Verdict(jump(MARKS)),
                }]],
            };
            table.chains.insert(name.to_owned(), chain);
        }
        let marks = table.chains.entry(MARKS.to_owned()).or_default();
        for by in By::ALL {
            for family in [&IPV4, &IPV6] {
                marks.rules.push(lookup_rule(by, family));
                let map = Map {
                    kind: by.map_type(family),
                    ..Map::default()
                };
                table.maps.insert(by.map_name(family), map);
            }
        }
        table
    }

    fn put(&mut self, map: &str, key: Vec<u8>, data: Data) {
        if let Some(map) = self.maps.get_mut(map) {
            map.elements.insert(key, data);
        }
    }
}

fn jump(chain: &str) -> Verdict {
    Verdict {
        code: NFT_JUMP,
        chain: Some(chain.to_owned()),
    }
}

/// Name of the chain with an address's ranges. `nft` takes no colons in names.
fn ranges_chain(address: IpAddr) -> String {
    format!("ranges_{}", address.to_string().replace(':', "-"))
}

/// A key: the address, then parts that are padded to four bytes each.
fn key(address: IpAddr, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    for part in parts {
        key.extend(*part);
        key.resize(key.len().next_multiple_of(4), 0);
    }
    key
}

/// The destination port: at the same place in TCP, UDP and SCTP.
const fn destination_port(into: Register) -> Expression {
    Expression::Payload {
        base: NFT_PAYLOAD_TRANSPORT_HEADER,
        offset: 2,
        length: 2,
        into,
    }
}

const fn protocol(into: Register) -> Expression {
    Expression::Meta {
        key: NFT_META_L4PROTO,
        into,
    }
}

/// `meta mark set ip daddr . meta l4proto . th dport map @ports_v4`, for example. Nothing happens if the map does not
/// have the key.
fn lookup_rule(by: By, family: &Family) -> Rule {
    let first = Register::Slot(0);
    let after_address = family.length_bytes / 4;
    let mut rule = vec![
        Expression::Meta {
            key: NFT_META_NFPROTO,
            into: first,
        },
        Expression::Compare {
            register: first,
            operation: NFT_CMP_EQ,
            value: vec![family.number],
        },
        Expression::Payload {
            base: NFT_PAYLOAD_NETWORK_HEADER,
            offset: family.offset_bytes,
            length: family.length_bytes,
            into: first,
        },
    ];
    let mut into = first;
    match by {
        By::Range => into = Register::Verdict,
        By::Protocol => rule.push(protocol(Register::Slot(after_address))),
        By::Port => rule.extend([
            protocol(Register::Slot(after_address)),
            destination_port(Register::Slot(after_address + 1)),
        ]),
    }
    rule.push(Expression::Lookup {
        map: by.map_name(family),
        key: first,
        into: Some(into),
    });
    if into != Register::Verdict {
        rule.push(Expression::SetMeta {
            key: NFT_META_MARK,
            from: into,
        });
    }
    rule
}

/// `tcp dport 1000-2000 meta mark set 99`, for example.
fn range_rule(protocol_number: u8, first: u16, last: u16, mark: Data) -> Rule {
    let register = Register::Slot(0);
    let compare = |operation, value: &[u8]| Expression::Compare {
        register,
        operation,
        value: value.to_vec(),
    };
    vec![
        protocol(register),
        compare(NFT_CMP_EQ, &[protocol_number]),
        destination_port(register),
        compare(NFT_CMP_GTE, &first.to_be_bytes()),
        compare(NFT_CMP_LTE, &last.to_be_bytes()),
        Expression::Immediate {
            into: register,
            data: mark,
        },
        Expression::SetMeta {
            key: NFT_META_MARK,
            from: register,
        },
    ]
}
