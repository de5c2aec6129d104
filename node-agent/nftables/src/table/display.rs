//! Text: elements as `nft` takes them, expressions as `nft --debug=netlink` shows them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::compile::nft_type;
use super::{Base, Data, Expression, MapType, Register, Verdict};
use crate::rules::Protocol;
use crate::wire::uapi::{
    NF_ACCEPT, NF_INET_LOCAL_OUT, NF_INET_PRE_ROUTING, NFT_CMP_EQ, NFT_CMP_GTE, NFT_CMP_LTE,
    NFT_DATA_VERDICT, NFT_JUMP, NFT_META_L4PROTO, NFT_META_MARK, NFT_META_NFPROTO,
    NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER,
};

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, &self.chain) {
            (NFT_JUMP, Some(chain)) => write!(f, "jump {chain}"),
            (code, _) if u32::try_from(code) == Ok(NF_ACCEPT) => f.write_str("accept"),
            (code, Some(chain)) => write!(f, "verdict {code} {chain}"),
            (code, None) => write!(f, "verdict {code}"),
        }
    }
}

impl fmt::Display for Data {
    /// A value of four bytes is a number in the host's byte order, as marks are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => match <[u8; 4]>::try_from(value.as_slice()) {
                Ok(bytes) => write!(f, "{:#010x}", u32::from_ne_bytes(bytes)),
                Err(_) => hexadecimal(f, value),
            },
            Self::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reg {}", self.number())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta { key, into } => write!(f, "[ meta load {} => {into} ]", Property(*key)),
            Self::SetMeta { key, from } => write!(f, "[ meta set {} with {from} ]", Property(*key)),
            Self::Payload {
                base,
                offset,
                length,
                into,
            } => {
                let base = match *base {
                    NFT_PAYLOAD_NETWORK_HEADER => "network header",
                    NFT_PAYLOAD_TRANSPORT_HEADER => "transport header",
                    _ => "other header",
                };
                write!(
                    f,
                    "[ payload load {length}b @ {base} + {offset} => {into} ]"
                )
            }
            Self::Compare {
                register,
                operation,
                value,
            } => {
                let operation = match *operation {
                    NFT_CMP_EQ => "eq",
                    NFT_CMP_LTE => "lte",
                    NFT_CMP_GTE => "gte",
                    _ => "other",
                };
                write!(f, "[ cmp {operation} {register} ")?;
                hexadecimal(f, value)?;
                f.write_str(" ]")
            }
            Self::Lookup { map, key, into } => {
                write!(f, "[ lookup {key} set {map}")?;
                if let Some(into) = into {
                    write!(f, " d{into}")?;
                }
                f.write_str(" ]")
            }
            Self::Immediate { into, data } => write!(f, "[ immediate {into} {data} ]"),
            Self::Other { name, bytes } => write!(f, "[ {name}, {} bytes ]", bytes.len()),
        }
    }
}

/// A property of packets by its name.
struct Property(u32);

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NFT_META_MARK => f.write_str("mark"),
            NFT_META_NFPROTO => f.write_str("nfproto"),
            NFT_META_L4PROTO => f.write_str("l4proto"),
            other => write!(f, "{other}"),
        }
    }
}

impl MapType {
    /// The type as `nft` declares it: `type ipv4_addr . inet_proto : mark`.
    pub(crate) fn declaration(&self) -> impl fmt::Display {
        let data = match self.data_type {
            0 => String::new(),
            nft_type::MARK => " : mark".to_owned(),
            NFT_DATA_VERDICT => " : verdict".to_owned(),
            other => format!(" : type {other}"),
        };
        let names: Vec<_> = self
            .parts()
            .into_iter()
            .map(|part| match part {
                nft_type::IPV4_ADDR => "ipv4_addr",
                nft_type::IPV6_ADDR => "ipv6_addr",
                nft_type::INET_PROTO => "inet_proto",
                nft_type::INET_SERVICE => "inet_service",
                _ => "other",
            })
            .collect();
        format!("type {}{data}", names.join(" . "))
    }

    /// A key as `nft` takes it: `192.0.2.1 . tcp . 80`.
    pub(crate) fn key<'a>(&'a self, key: &'a [u8]) -> impl fmt::Display + 'a {
        Key { kind: self, key }
    }

    /// Types of the key's parts, the first one first.
    fn parts(&self) -> Vec<u32> {
        let mut parts: Vec<_> =
            std::iter::successors(Some(self.key_type), |rest| Some(rest >> nft_type::BITS))
                .take_while(|rest| *rest != 0)
                .map(|rest| rest & ((1 << nft_type::BITS) - 1))
                .collect();
        parts.reverse();
        parts
    }
}

struct Key<'a> {
    kind: &'a MapType,
    key: &'a [u8],
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.key;
        for (index, part) in self.kind.parts().into_iter().enumerate() {
            let length = if part == nft_type::IPV6_ADDR { 16 } else { 4 };
            let Some((value, more)) = rest.split_at_checked(length) else {
                break;
            };
            rest = more;
            if index > 0 {
                f.write_str(" . ")?;
            }
            match (part, value) {
                (nft_type::IPV4_ADDR, _) => match <[u8; 4]>::try_from(value) {
                    Ok(octets) => Ipv4Addr::from(octets).fmt(f)?,
                    Err(_) => hexadecimal(f, value)?,
                },
                (nft_type::IPV6_ADDR, _) => match <[u8; 16]>::try_from(value) {
                    Ok(octets) => Ipv6Addr::from(octets).fmt(f)?,
                    Err(_) => hexadecimal(f, value)?,
                },
                (nft_type::INET_PROTO, [number, ..]) => {
                    match Protocol::ALL.into_iter().find(|p| p.number() == *number) {
                        Some(protocol) => protocol.fmt(f)?,
                        None => number.fmt(f)?,
                    }
                }
                (nft_type::INET_SERVICE, [a, b, ..]) => u16::from_be_bytes([*a, *b]).fmt(f)?,
                _ => hexadecimal(f, value)?,
            }
        }
        if rest.is_empty() {
            Ok(())
        } else {
            hexadecimal(f, rest)
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            hook,
            priority,
            policy,
        } = self;
        let hook = match *hook {
            NF_INET_PRE_ROUTING => "prerouting",
            NF_INET_LOCAL_OUT => "output",
            _ => "other",
        };
        let policy = match *policy {
            NF_ACCEPT => "accept",
            _ => "drop",
        };
        write!(
            f,
            "{{ type {kind} hook {hook} priority {priority}; policy {policy}; }}"
        )
    }
}

fn hexadecimal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
