//! What the kernel's IPVS table holds, as plain values.
//!
//! A value that was read back equals the value that was written: what the kernel adds by itself (hash flags,
//! counters) is kept apart, so that a difference between two values is a difference that someone made.

mod daemon;
mod destination;
mod name;
mod service;
mod settings;
mod stats;
mod table;

pub use daemon::{SyncDaemon, SyncRole};
pub use destination::{
    Destination, DestinationKey, Forwarding, ObservedDestination, Tunnel, TunnelFlags, TunnelKind,
};
pub use name::{Name, NameError};
pub(crate) use service::wire_only;
pub use service::{Family, Netmask, Persistence, Protocol, Service, ServiceFlags, ServiceKey};
pub use settings::{Info, Timeouts};
pub use stats::Stats;
pub use table::{Table, TableEntry};
