//! From messages to objects.

use std::collections::BTreeMap;

use netlink_packet_core::DecodeError;

use super::attribute::Reader;
use super::expression;
use super::message::Packet;
use super::uapi::{
    NFPROTO_INET, NFT_DATA_VERDICT, NFT_MSG_NEWCHAIN, NFT_MSG_NEWGEN, NFT_MSG_NEWRULE,
    NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE, NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME,
    NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_GEN_ID, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY,
    NFTA_LIST_ELEM, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_SET_DATA_LEN, NFTA_SET_DATA_TYPE,
    NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_FLAGS, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE, NFTA_SET_NAME, NFTA_TABLE_FLAGS,
    NFTA_TABLE_NAME,
};
use crate::table::{Base, Data, MapType, Rule, TABLE};

/// A part of our table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Number of the ruleset's generation.
    Generation(u32),
    /// The table itself: its flags.
    Table(u32),
    /// A chain.
    Chain(String, Option<Base>),
    /// A rule of a chain.
    Rule(String, Rule),
    /// A map.
    Map(String, MapType),
    /// Elements of a map.
    Elements(String, BTreeMap<Vec<u8>, Data>),
}

/// Name of the table that a message is about, if that is of the family `inet`.
///
/// # Errors
/// When the message cannot be read.
pub fn table_name(packet: &Packet) -> Result<Option<String>, DecodeError> {
    if packet.family != NFPROTO_INET || packet.message == NFT_MSG_NEWGEN {
        return Ok(None);
    }
    // The number is the same in messages about chains, rules, sets and elements.
    Reader::new(&packet.attributes).string(NFTA_TABLE_NAME)
}

/// Reads an object. None if it is not of our table, or of a kind that we do not use.
///
/// # Errors
/// When a name is missing or a number has a wrong length.
pub fn read(packet: &Packet) -> Result<Option<Part>, DecodeError> {
    let attributes = Reader::new(&packet.attributes);
    if packet.message == NFT_MSG_NEWGEN {
        let number = attributes.number(NFTA_GEN_ID)?;
        let number = Reader::required(number, "number of the generation (NFTA_GEN_ID)")?;
        return Ok(Some(Part::Generation(number)));
    }
    if table_name(packet)?.as_deref() != Some(TABLE) {
        return Ok(None);
    }
    let name = |kind, what| Reader::required(attributes.string(kind)?, what);
    Ok(match packet.message {
        NFT_MSG_NEWTABLE => Some(Part::Table(
            attributes.number(NFTA_TABLE_FLAGS)?.unwrap_or_default(),
        )),
        NFT_MSG_NEWCHAIN => Some(Part::Chain(
            name(NFTA_CHAIN_NAME, "name of the chain (NFTA_CHAIN_NAME)")?,
            base(attributes)?,
        )),
        NFT_MSG_NEWRULE => Some(Part::Rule(
            name(NFTA_RULE_CHAIN, "chain of the rule (NFTA_RULE_CHAIN)")?,
            list(attributes, NFTA_RULE_EXPRESSIONS)?
                .into_iter()
                .map(expression::read)
                .collect::<Result<_, _>>()?,
        )),
        NFT_MSG_NEWSET => Some(Part::Map(
            name(NFTA_SET_NAME, "name of the map (NFTA_SET_NAME)")?,
            map_type(attributes)?,
        )),
        NFT_MSG_NEWSETELEM => Some(Part::Elements(
            name(
                NFTA_SET_ELEM_LIST_SET,
                "map of the elements (NFTA_SET_ELEM_LIST_SET)",
            )?,
            list(attributes, NFTA_SET_ELEM_LIST_ELEMENTS)?
                .into_iter()
                .map(element)
                .collect::<Result<_, _>>()?,
        )),
        _ => None,
    })
}

/// The attributes of each element of a list.
fn list(attributes: Reader<'_>, kind: u16) -> Result<Vec<Reader<'_>>, DecodeError> {
    let Some(list) = attributes.nested(kind)? else {
        return Ok(Vec::new());
    };
    list.iter()
        .filter_map(|attribute| match attribute {
            Ok((NFTA_LIST_ELEM, value)) => Some(Ok(Reader::new(value))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect()
}

fn base(attributes: Reader<'_>) -> Result<Option<Base>, DecodeError> {
    let Some(hook) = attributes.nested(NFTA_CHAIN_HOOK)? else {
        return Ok(None);
    };
    let number = |value: Result<Option<u32>, DecodeError>, what| Reader::required(value?, what);
    Ok(Some(Base {
        kind: attributes.string(NFTA_CHAIN_TYPE)?.unwrap_or_default(),
        hook: number(
            hook.number(NFTA_HOOK_HOOKNUM),
            "hook of the chain (NFTA_HOOK_HOOKNUM)",
        )?,
        priority: number(
            hook.number(NFTA_HOOK_PRIORITY),
            "priority of the chain (NFTA_HOOK_PRIORITY)",
        )?
        .cast_signed(),
        policy: attributes.number(NFTA_CHAIN_POLICY)?.unwrap_or_default(),
    }))
}

fn map_type(attributes: Reader<'_>) -> Result<MapType, DecodeError> {
    let number = |kind| -> Result<_, DecodeError> { Ok(attributes.number(kind)?.unwrap_or(0)) };
    let data_type = number(NFTA_SET_DATA_TYPE)?;
    Ok(MapType {
        flags: number(NFTA_SET_FLAGS)?,
        key_type: number(NFTA_SET_KEY_TYPE)?,
        key_length: number(NFTA_SET_KEY_LEN)?,
        data_type,
        // The size of the kernel's own structure says nothing.
        data_length: if data_type == NFT_DATA_VERDICT {
            0
        } else {
            number(NFTA_SET_DATA_LEN)?
        },
    })
}

fn element(attributes: Reader<'_>) -> Result<(Vec<u8>, Data), DecodeError> {
    let key = match attributes.nested(NFTA_SET_ELEM_KEY)? {
        Some(key) => expression::read_data(key)?,
        None => Data::Value(Vec::new()),
    };
    let Data::Value(key) = key else {
        return Err("the key of an element is a verdict".into());
    };
    let data = match attributes.nested(NFTA_SET_ELEM_DATA)? {
        Some(data) => expression::read_data(data)?,
        None => Data::Value(Vec::new()),
    };
    Ok((key, data))
}
