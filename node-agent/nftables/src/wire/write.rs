//! From changes to a transaction.

use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST};

use super::attribute::Writer;
use super::expression;
use super::message::{message_type, push};
use super::uapi::{
    AF_UNSPEC, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFPROTO_INET,
    NFT_DATA_VERDICT, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE, NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE,
    NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE,
    NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE,
    NFTA_DATA_VALUE, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_LIST_ELEM, NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS, NFTA_RULE_TABLE, NFTA_SET_DATA_LEN, NFTA_SET_DATA_TYPE,
    NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_FLAGS, NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE,
    NFTA_SET_NAME, NFTA_SET_TABLE, NFTA_SET_USERDATA, NFTA_TABLE_FLAGS, NFTA_TABLE_NAME,
};
use crate::change::Change;
use crate::table::{Data, MapType, TABLE};

/// Elements in one message. An attribute holds 64 KiB at most, and an element of ours takes less than 300 bytes.
const ELEMENTS_PER_MESSAGE: usize = 200;

/// What `nft` notes of a set: that keys have no byte order of their own and that data are in the host's
/// (`NFTNL_UDATA_SET_KEYBYTEORDER`, `NFTNL_UDATA_SET_DATABYTEORDER`: type, length, number). Without it `nft` shows
/// marks wrongly; the kernel does not read it.
fn byte_orders(kind: MapType) -> Vec<u8> {
    const INVALID: u32 = 0;
    const HOST: u32 = 1;
    let data = if kind.data_type == NFT_DATA_VERDICT {
        INVALID
    } else {
        HOST
    };
    let mut bytes = vec![0, 4];
    bytes.extend(INVALID.to_ne_bytes());
    bytes.extend([1, 4]);
    bytes.extend(data.to_ne_bytes());
    bytes
}

/// Changes as one datagram, which the kernel applies as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The datagram.
    pub bytes: Vec<u8>,
    /// Sequence number of its first message. An error of the transaction as a whole has it.
    pub begin: u32,
    /// Sequence number of the last change. Its acknowledgement says that the transaction is over.
    pub last: u32,
    /// Sequence number after the transaction.
    pub next: u32,
    /// Index of the change for each message after the first one.
    changes: Vec<usize>,
}

impl Transaction {
    /// Whether a sequence number is of this transaction, and not of one whose answer came too late.
    #[must_use]
    pub const fn contains(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.begin) < self.next.wrapping_sub(self.begin)
    }

    /// Index of the change that a sequence number stands for.
    #[must_use]
    pub fn change(&self, sequence: u32) -> Option<usize> {
        let index = usize::try_from(sequence.wrapping_sub(self.begin)).ok()?;
        self.changes.get(index.checked_sub(1)?).copied()
    }
}

/// Changes as one transaction.
#[must_use]
pub fn transaction(changes: &[Change], sequence: u32) -> Transaction {
    let messages: Vec<_> = changes
        .iter()
        .enumerate()
        .flat_map(|(index, change)| {
            encode(change, index)
                .into_iter()
                .map(move |message| (index, message))
        })
        .collect();
    let mut bytes = Vec::new();
    let mut next = sequence;
    let mut take = || {
        let taken = next;
        next = next.wrapping_add(1);
        taken
    };
    push(
        &mut bytes,
        (NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, take()),
        (AF_UNSPEC, NFNL_SUBSYS_NFTABLES),
        &[],
    );
    let mut last = sequence;
    for (position, (_, message)) in messages.iter().enumerate() {
        last = take();
        // Errors come without being asked for. One acknowledgement is enough to know the end: the receive buffer has
        // no room for thousands.
        let ack = if position + 1 == messages.len() {
            NLM_F_ACK
        } else {
            0
        };
        push(
            &mut bytes,
            (
                message_type(message.number),
                NLM_F_REQUEST | message.flags | ack,
                last,
            ),
            (NFPROTO_INET, 0),
            &message.attributes,
        );
    }
    push(
        &mut bytes,
        (NFNL_MSG_BATCH_END, NLM_F_REQUEST, take()),
        (AF_UNSPEC, NFNL_SUBSYS_NFTABLES),
        &[],
    );
    Transaction {
        bytes,
        begin: sequence,
        last,
        next,
        changes: messages.into_iter().map(|(index, _)| index).collect(),
    }
}

struct Message {
    number: u8,
    flags: u16,
    attributes: Vec<u8>,
}

impl Message {
    fn new(number: u8, flags: u16, write: impl FnOnce(&mut Writer)) -> Self {
        let mut attributes = Writer::default();
        write(&mut attributes);
        Self {
            number,
            flags,
            attributes: attributes.into_bytes(),
        }
    }
}

fn encode(change: &Change, index: usize) -> Vec<Message> {
    let message = match change {
        Change::AddTable => Message::new(NFT_MSG_NEWTABLE, NLM_F_CREATE, |table| {
            table
                .string(NFTA_TABLE_NAME, TABLE)
                .number(NFTA_TABLE_FLAGS, 0);
        }),
        Change::DeleteTable => Message::new(NFT_MSG_DELTABLE, 0, |table| {
            table.string(NFTA_TABLE_NAME, TABLE);
        }),
        Change::AddMap { name, kind } => Message::new(NFT_MSG_NEWSET, NLM_F_CREATE, |map| {
            write_map(map, name, *kind, index);
        }),
        Change::AddChain { name, base } => Message::new(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |chain| {
            chain
                .string(NFTA_CHAIN_TABLE, TABLE)
                .string(NFTA_CHAIN_NAME, name);
            if let Some(base) = base {
                chain
                    .nest(NFTA_CHAIN_HOOK, |hook| {
                        hook.number(NFTA_HOOK_HOOKNUM, base.hook)
                            .number(NFTA_HOOK_PRIORITY, base.priority.cast_unsigned());
                    })
                    .number(NFTA_CHAIN_POLICY, base.policy)
                    .string(NFTA_CHAIN_TYPE, &base.kind);
            }
        }),
        Change::DeleteChain { name } => Message::new(NFT_MSG_DELCHAIN, 0, |chain| {
            chain
                .string(NFTA_CHAIN_TABLE, TABLE)
                .string(NFTA_CHAIN_NAME, name);
        }),
        // Without a handle all rules of the chain are meant.
        Change::FlushChain { name } => Message::new(NFT_MSG_DELRULE, 0, |rule| {
            rule.string(NFTA_RULE_TABLE, TABLE)
                .string(NFTA_RULE_CHAIN, name);
        }),
        Change::AddRule { chain, rule } => {
            Message::new(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |message| {
                message
                    .string(NFTA_RULE_TABLE, TABLE)
                    .string(NFTA_RULE_CHAIN, chain)
                    .nest(NFTA_RULE_EXPRESSIONS, |list| {
                        for part in rule {
                            list.nest(NFTA_LIST_ELEM, |writer| expression::write(writer, part));
                        }
                    });
            })
        }
        Change::AddElements { map, elements, .. } => {
            let elements: Vec<_> = elements
                .iter()
                .map(|(key, data)| (key, Some(data)))
                .collect();
            return write_elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, map, &elements);
        }
        Change::DeleteElements { map, keys, .. } => {
            let elements: Vec<_> = keys.iter().map(|key| (key, None)).collect();
            return write_elements(NFT_MSG_DELSETELEM, 0, map, &elements);
        }
    };
    vec![message]
}

fn write_map(map: &mut Writer, name: &str, kind: MapType, index: usize) {
    map.string(NFTA_SET_TABLE, TABLE)
        .string(NFTA_SET_NAME, name)
        .number(NFTA_SET_FLAGS, kind.flags)
        .number(NFTA_SET_KEY_TYPE, kind.key_type)
        .number(NFTA_SET_KEY_LEN, kind.key_length)
        .number(NFTA_SET_DATA_TYPE, kind.data_type);
    if kind.data_length != 0 {
        map.number(NFTA_SET_DATA_LEN, kind.data_length);
    }
    // The kernel insists on a number, distinct in the transaction, though nothing here refers to it.
    map.number(NFTA_SET_ID, u32::try_from(index).unwrap_or(u32::MAX))
        .put(NFTA_SET_USERDATA, &byte_orders(kind));
}

fn write_elements(
    number: u8,
    flags: u16,
    map: &str,
    elements: &[(&Vec<u8>, Option<&Data>)],
) -> Vec<Message> {
    elements
        .chunks(ELEMENTS_PER_MESSAGE)
        .map(|elements| {
            Message::new(number, flags, |message| {
                message
                    .string(NFTA_SET_ELEM_LIST_TABLE, TABLE)
                    .string(NFTA_SET_ELEM_LIST_SET, map)
                    .nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                        for (key, data) in elements {
                            list.nest(NFTA_LIST_ELEM, |element| {
                                element.nest(NFTA_SET_ELEM_KEY, |value| {
                                    value.put(NFTA_DATA_VALUE, key);
                                });
                                if let Some(data) = data {
                                    element.nest(NFTA_SET_ELEM_DATA, |value| {
                                        expression::write_data(value, data);
                                    });
                                }
                            });
                        }
                    });
            })
        })
        .collect()
}
