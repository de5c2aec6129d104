//! `nf_tables` over netlink (`linux/netfilter/nfnetlink.h`, `linux/netfilter/nf_tables.h`): messages and attributes.
//!
//! Encoding covers what this crate writes. Decoding takes whatever the kernel may have in a table: what it does not
//! know of an object is passed over, an expression that it does not know is kept as bytes. It never panics.

mod attribute;
mod expression;
mod message;
mod read;
pub mod uapi;
mod write;

pub use message::{Incoming, Packet, Payload, Request, packets};
pub use read::{Part, read, table_name};
pub use write::{Transaction, transaction};

#[cfg(test)]
mod tests;
