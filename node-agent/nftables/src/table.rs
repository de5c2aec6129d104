//! `nf_tables`' objects as values.

mod collect;
mod compile;
mod display;

use std::collections::BTreeMap;

use crate::wire::uapi;

/// Name of our table, in the family `inet`. Nothing else in the kernel is ours.
pub const TABLE: &str = "lvs_operator";

/// The content of our table, wanted or observed. Handles, counters and the like are left out, so that equal tables do
/// the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// `NFTA_TABLE_FLAGS`. We set none.
    pub flags: u32,
    /// Chains by their names.
    pub chains: BTreeMap<String, Chain>,
    /// Maps and sets by their names.
    pub maps: BTreeMap<String, Map>,
}

/// A chain of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Where packets enter it, if not from other chains alone.
    pub base: Option<Base>,
    /// Its rules in their order.
    pub rules: Vec<Rule>,
}

/// Where packets enter a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Type: `filter`, `nat` or `route`.
    pub kind: String,
    /// Number of the hook.
    pub hook: u32,
    /// Priority; lower ones come first.
    pub priority: i32,
    /// What becomes of packets that reach the chain's end.
    pub policy: u32,
}

/// A rule: expressions that run one after another, until one of them breaks off.
pub type Rule = Vec<Expression>;

/// A map, or a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    /// What it maps to what.
    pub kind: MapType,
    /// Data by key. An element that has no key (`*`) has an empty one.
    pub elements: BTreeMap<Vec<u8>, Data>,
}

/// What a map maps to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MapType {
    /// `NFTA_SET_FLAGS`
    pub flags: u32,
    /// Type of the key as `nft` numbers types: six bits for each part of a concatenation.
    pub key_type: u32,
    /// Length of the key in bytes; each part of a concatenation is padded to four.
    pub key_length: u32,
    /// Type of the data as `nft` numbers types, or `NFT_DATA_VERDICT`; 0 in a set.
    pub data_type: u32,
    /// Length of the data in bytes. The kernel decides that of verdicts.
    pub data_length: u32,
}

/// Data of an element, or a constant in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Bytes; none in a set's element.
    Value(Vec<u8>),
    /// What becomes of the packet.
    Verdict(Verdict),
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `NFT_JUMP`, `NF_ACCEPT` and so on.
    pub code: i32,
    /// Chain to go to.
    pub chain: Option<String>,
}

/// A register of the machine of `nf_tables`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// The verdict's.
    Verdict,
    /// One of sixteen slots of 4 bytes, 0 to 15; a longer value goes on in the next ones.
    Slot(u32),
    /// A number that stands for no register in Linux 6.1.
    Other(u32),
}

impl Register {
    /// Number of slots.
    const SLOTS: u32 = 16;

    /// The number in messages, in the form that the kernel itself uses: a slot at a multiple of 16 bytes is named as
    /// the register of 16 bytes that begins there (`nft_dump_register`).
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Verdict => uapi::NFT_REG_VERDICT,
            Self::Slot(slot) if slot % 4 == 0 => uapi::NFT_REG_1.saturating_add(slot / 4),
            Self::Slot(slot) => uapi::NFT_REG32_00.saturating_add(slot),
            Self::Other(number) => number,
        }
    }

    /// The register of a number in a message.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        const LARGE: u32 = Register::SLOTS / 4;
        if number == uapi::NFT_REG_VERDICT {
            return Self::Verdict;
        }
        match (
            number.checked_sub(uapi::NFT_REG_1),
            number.checked_sub(uapi::NFT_REG32_00),
        ) {
            (Some(large @ 0..LARGE), _) => Self::Slot(large * 4),
            (_, Some(slot @ 0..Self::SLOTS)) => Self::Slot(slot),
            _ => Self::Other(number),
        }
    }
}

/// An expression of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Takes a property of the packet.
    Meta {
        /// `NFT_META_…`
        key: u32,
        /// Where to.
        into: Register,
    },
    /// Sets a property of the packet.
    SetMeta {
        /// `NFT_META_…`
        key: u32,
        /// Where from.
        from: Register,
    },
    /// Takes bytes of the packet.
    Payload {
        /// `NFT_PAYLOAD_…`
        base: u32,
        /// Offset in bytes.
        offset: u32,
        /// Length in bytes.
        length: u32,
        /// Where to.
        into: Register,
    },
    /// Breaks off unless the comparison is true.
    Compare {
        /// What.
        register: Register,
        /// `NFT_CMP_…`
        operation: u32,
        /// With what.
        value: Vec<u8>,
    },
    /// Looks into a map; breaks off if it does not have the key.
    Lookup {
        /// Name of the map.
        map: String,
        /// The key.
        key: Register,
        /// Where the data go; none for a set.
        into: Option<Register>,
    },
    /// Takes a constant.
    Immediate {
        /// Where to.
        into: Register,
        /// The constant.
        data: Data,
    },
    /// An expression that this crate does not use.
    Other {
        /// Its name.
        name: String,
        /// Its attributes.
        bytes: Vec<u8>,
    },
}

#[cfg(test)]
mod tests;
