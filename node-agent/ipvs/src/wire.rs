//! The generic netlink family `IPVS` (`linux/ip_vs.h`), version 1: messages and attributes.
//!
//! Attributes are decoded by their numbers alone; what they mean together is the crate's business elsewhere. Decoding
//! fails on values of a wrong length and never panics. Unknown attributes are kept as bytes and written back so.

mod attribute;
mod daemon;
mod destination;
mod message;
mod service;
mod stats;
mod value;

pub use attribute::Attribute;
pub(crate) use attribute::{DAEMON, DESTINATION, SERVICE};
pub use daemon::DaemonAttribute;
pub use destination::DestinationAttribute;
pub use message::{CommandCode, Message};
pub use service::ServiceAttribute;
pub use stats::{Counter, StatsAttribute};
pub(crate) use value::decode_attributes;

#[cfg(test)]
mod tests;
