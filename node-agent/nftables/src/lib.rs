//! Firewall marks on packets to virtual IP addresses, by one nftables table of our own: `inet lvs_operator`.
//!
//! IPVS balances what carries a firewall mark as one virtual service, whatever its ports: one client's connections to
//! ports 80 and 443 reach the same real server. This crate sets the marks. It speaks netlink and runs no program; the
//! table is the only thing that it touches, and each change of it is one transaction.
//!
//! - [`MarkRules`]: which packets get which mark.
//! - [`Table`]: `nf_tables`' objects, both those that the rules come to ([`Table::new`]) and those that the kernel has
//!   ([`Client::observe`]). Equal tables do the same.
//! - [`changes`]: what leads from one table to another, as values that print as `nft` would take them.
//! - [`Client`]: a blocking netlink socket. [`Watch`]: a descriptor that becomes readable when somebody else changes
//!   the table.
//!
//! ```no_run
//! use std::num::NonZeroU32;
//!
//! use lvs_nftables::{Client, MarkRules, Ports, Protocol};
//!
//! let mark = NonZeroU32::new(99).ok_or("0 is no mark")?;
//! let mut rules = MarkRules::default();
//! for port in [80, 443] {
//!     rules.insert([192, 168, 159, 110].into(), Ports::one(Protocol::Tcp, port), mark)?;
//! }
//! for change in Client::connect()?.apply(&rules)? {
//!     println!("{change}"); // nft add table inet lvs_operator …
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the table looks like
//!
//! Packets pass it in the hooks `prerouting` and `output`, at priority `mangle`: before IPVS, from other hosts and from
//! this one. Each way to name ports has a map, so that the cost of a packet does not grow with the number of marks:
//! every port of a protocol (`protocols_v4`), ranges (`ranges_v4`, which leads to a chain per address), single ports
//! (`ports_v4`), and the same for IPv6. They are asked in this order and the last one that knows the packet decides: a
//! narrower rule goes before a wider one. A mark that the packet had is replaced; packets to other addresses and ports
//! keep theirs.
//!
//! Maps, hooks and rules are always the same, and so a change of one virtual service is a change of a few elements:
//! packets of the others see nothing of it.
//!
//! # Kernel
//!
//! Linux 5.4 or later with `nf_tables` and its family `inet` (`CONFIG_NF_TABLES`, `CONFIG_NF_TABLES_INET`). Of
//! intervals in concatenations, which need Linux 5.6, no use is made.
//!
//! # Why a codec of its own
//!
//! `rustables` is under the GPL, `nftnl` needs C libraries, the crate `nftables` runs `nft`, and
//! `netlink-packet-netfilter` has no `nf_tables`. What is needed here is six expressions.

#[cfg(test)]
mod arbitrary;
mod change;
mod client;
mod error;
mod rules;
mod table;
pub mod wire;

pub use change::{Change, changes};
pub use client::{Client, Watch};
pub use error::{Error, Refusal};
pub use rules::{Conflict, MarkRules, Ports, Protocol};
pub use table::{
    Base, Chain, Data, Expression, Map, MapType, Register, Rule, TABLE, Table, Verdict,
};
