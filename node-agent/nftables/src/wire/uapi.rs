//! Constants, named as in the kernel's headers.

/// Netlink protocol of netfilter (`linux/netlink.h`).
pub const NETLINK_NETFILTER: isize = 12;

/// Multicast group of `nf_tables`' notifications (`linux/netfilter/nfnetlink.h`).
pub const NFNLGRP_NFTABLES: u32 = 7;
/// Subsystem `nf_tables`: the upper byte of a message's type.
pub const NFNL_SUBSYS_NFTABLES: u16 = 10;
/// Begins a transaction.
pub const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
/// Commits a transaction.
pub const NFNL_MSG_BATCH_END: u16 = 0x11;
/// Version of `struct nfgenmsg`.
pub const NFNETLINK_V0: u8 = 0;

/// No family: of messages that are about none.
pub const AF_UNSPEC: u8 = 0;
/// Family `inet`: IPv4 and IPv6 (`linux/netfilter.h`).
pub const NFPROTO_INET: u8 = 1;
/// Family IPv4, as [`NFT_META_NFPROTO`] has it.
pub const NFPROTO_IPV4: u8 = 2;
/// Family IPv6.
pub const NFPROTO_IPV6: u8 = 10;
/// Hook: before the routing decision on packets that come in.
pub const NF_INET_PRE_ROUTING: u32 = 0;
/// Hook: packets that this host makes.
pub const NF_INET_LOCAL_OUT: u32 = 3;
/// Verdict: go on.
pub const NF_ACCEPT: u32 = 1;
/// Priority `mangle` (`linux/netfilter_ipv4.h`).
pub const NF_IP_PRI_MANGLE: i32 = -150;

/// Makes a table.
pub const NFT_MSG_NEWTABLE: u8 = 0;
/// Reads a table.
pub const NFT_MSG_GETTABLE: u8 = 1;
/// Deletes a table with all that is in it.
pub const NFT_MSG_DELTABLE: u8 = 2;
/// Makes a chain.
pub const NFT_MSG_NEWCHAIN: u8 = 3;
/// Reads chains.
pub const NFT_MSG_GETCHAIN: u8 = 4;
/// Deletes a chain.
pub const NFT_MSG_DELCHAIN: u8 = 5;
/// Makes a rule.
pub const NFT_MSG_NEWRULE: u8 = 6;
/// Reads rules.
pub const NFT_MSG_GETRULE: u8 = 7;
/// Deletes a rule, or all of a chain.
pub const NFT_MSG_DELRULE: u8 = 8;
/// Makes a set or map.
pub const NFT_MSG_NEWSET: u8 = 9;
/// Reads sets and maps.
pub const NFT_MSG_GETSET: u8 = 10;
/// Makes elements.
pub const NFT_MSG_NEWSETELEM: u8 = 12;
/// Reads elements.
pub const NFT_MSG_GETSETELEM: u8 = 13;
/// Deletes elements.
pub const NFT_MSG_DELSETELEM: u8 = 14;
/// Number of the ruleset's generation.
pub const NFT_MSG_NEWGEN: u8 = 15;
/// Reads the number of the ruleset's generation.
pub const NFT_MSG_GETGEN: u8 = 16;

/// An element of a list.
pub const NFTA_LIST_ELEM: u16 = 1;

/// Number of the generation, `__be32`.
pub const NFTA_GEN_ID: u16 = 1;

/// Name of the table. In all messages about objects of a table its name has this number.
pub const NFTA_TABLE_NAME: u16 = 1;
/// Flags of the table, `__be32`: [`NFT_TABLE_F_DORMANT`] and others.
pub const NFTA_TABLE_FLAGS: u16 = 2;
/// The table's chains see no packets.
pub const NFT_TABLE_F_DORMANT: u32 = 1;

/// Table of a chain.
pub const NFTA_CHAIN_TABLE: u16 = 1;
/// Name of a chain.
pub const NFTA_CHAIN_NAME: u16 = 3;
/// Hook of a base chain: nested [`NFTA_HOOK_HOOKNUM`] and [`NFTA_HOOK_PRIORITY`].
pub const NFTA_CHAIN_HOOK: u16 = 4;
/// Policy of a base chain, `__be32`.
pub const NFTA_CHAIN_POLICY: u16 = 5;
/// Type of a base chain: `filter`, `nat` or `route`.
pub const NFTA_CHAIN_TYPE: u16 = 7;
/// Number of the hook, `__be32`.
pub const NFTA_HOOK_HOOKNUM: u16 = 1;
/// Priority among the functions of the hook, signed `__be32`.
pub const NFTA_HOOK_PRIORITY: u16 = 2;

/// Table of a rule.
pub const NFTA_RULE_TABLE: u16 = 1;
/// Chain of a rule.
pub const NFTA_RULE_CHAIN: u16 = 2;
/// List of expressions of a rule.
pub const NFTA_RULE_EXPRESSIONS: u16 = 4;

/// Table of a set or map.
pub const NFTA_SET_TABLE: u16 = 1;
/// Name of a set or map.
pub const NFTA_SET_NAME: u16 = 2;
/// Flags of a set or map, `__be32`.
pub const NFTA_SET_FLAGS: u16 = 3;
/// Type of the key as `nft` numbers types, `__be32`; nothing to the kernel.
pub const NFTA_SET_KEY_TYPE: u16 = 4;
/// Length of the key in bytes, `__be32`.
pub const NFTA_SET_KEY_LEN: u16 = 5;
/// Type of the data, `__be32`: [`NFT_DATA_VERDICT`], or as `nft` numbers types.
pub const NFTA_SET_DATA_TYPE: u16 = 6;
/// Length of the data in bytes, `__be32`.
pub const NFTA_SET_DATA_LEN: u16 = 7;
/// Number by which the rest of a transaction may name the set, `__be32`.
pub const NFTA_SET_ID: u16 = 10;
/// Bytes for `nft`: type, length, value.
pub const NFTA_SET_USERDATA: u16 = 13;
/// The set is a map.
pub const NFT_SET_MAP: u32 = 8;
/// Data of this type is a verdict.
pub const NFT_DATA_VERDICT: u32 = 0xffff_ff00;

/// Table of elements.
pub const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
/// Set of elements.
pub const NFTA_SET_ELEM_LIST_SET: u16 = 2;
/// List of elements.
pub const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
/// Key of an element: nested [`NFTA_DATA_VALUE`].
pub const NFTA_SET_ELEM_KEY: u16 = 1;
/// Data of a map's element: nested [`NFTA_DATA_VALUE`] or [`NFTA_DATA_VERDICT`].
pub const NFTA_SET_ELEM_DATA: u16 = 2;

/// A value.
pub const NFTA_DATA_VALUE: u16 = 1;
/// A verdict: nested [`NFTA_VERDICT_CODE`] and [`NFTA_VERDICT_CHAIN`].
pub const NFTA_DATA_VERDICT: u16 = 2;
/// What to do, signed `__be32`.
pub const NFTA_VERDICT_CODE: u16 = 1;
/// Chain to go to.
pub const NFTA_VERDICT_CHAIN: u16 = 2;
/// Verdict: goes through a chain and returns.
pub const NFT_JUMP: i32 = -3;

/// Name of an expression.
pub const NFTA_EXPR_NAME: u16 = 1;
/// Attributes of an expression.
pub const NFTA_EXPR_DATA: u16 = 2;

/// The register of the verdict.
pub const NFT_REG_VERDICT: u32 = 0;
/// The first of four registers of 16 bytes.
pub const NFT_REG_1: u32 = 1;
/// The first of sixteen registers of 4 bytes, which share the others' room.
pub const NFT_REG32_00: u32 = 8;

/// Register that takes a packet's property, `__be32`.
pub const NFTA_META_DREG: u16 = 1;
/// The property, `__be32`.
pub const NFTA_META_KEY: u16 = 2;
/// Register that a property is set from, `__be32`.
pub const NFTA_META_SREG: u16 = 3;
/// Property: the mark, in the host's byte order.
pub const NFT_META_MARK: u32 = 3;
/// Property: family of the network protocol, 1 byte.
pub const NFT_META_NFPROTO: u32 = 15;
/// Property: number of the transport protocol, 1 byte.
pub const NFT_META_L4PROTO: u32 = 16;

/// Register that takes bytes of a packet, `__be32`.
pub const NFTA_PAYLOAD_DREG: u16 = 1;
/// Header that the bytes are counted from, `__be32`.
pub const NFTA_PAYLOAD_BASE: u16 = 2;
/// Offset of the bytes, `__be32`.
pub const NFTA_PAYLOAD_OFFSET: u16 = 3;
/// Number of the bytes, `__be32`.
pub const NFTA_PAYLOAD_LEN: u16 = 4;
/// Bytes of the network header.
pub const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
/// Bytes of the transport header.
pub const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;

/// Register that is compared, `__be32`.
pub const NFTA_CMP_SREG: u16 = 1;
/// How it is compared, `__be32`.
pub const NFTA_CMP_OP: u16 = 2;
/// What it is compared with: nested [`NFTA_DATA_VALUE`].
pub const NFTA_CMP_DATA: u16 = 3;
/// Equal.
pub const NFT_CMP_EQ: u32 = 0;
/// Lower or equal.
pub const NFT_CMP_LTE: u32 = 3;
/// Greater or equal.
pub const NFT_CMP_GTE: u32 = 5;

/// Name of the set that is looked into.
pub const NFTA_LOOKUP_SET: u16 = 1;
/// Register of the key, `__be32`.
pub const NFTA_LOOKUP_SREG: u16 = 2;
/// Register that takes the data, `__be32`.
pub const NFTA_LOOKUP_DREG: u16 = 3;

/// Register that takes constant data, `__be32`.
pub const NFTA_IMMEDIATE_DREG: u16 = 1;
/// The data: nested [`NFTA_DATA_VALUE`] or [`NFTA_DATA_VERDICT`].
pub const NFTA_IMMEDIATE_DATA: u16 = 2;
