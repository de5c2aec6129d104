#![doc = include_str!("../README.md")]

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod captured;
mod client;
mod command;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod model;
pub mod translate;
pub mod wire;

pub use client::{Client, Origin};
pub use command::Command;
pub use error::{Error, Refusal};
pub use model::{
    Destination, DestinationKey, Family, Forwarding, Info, Name, NameError, Netmask,
    ObservedDestination, Persistence, Protocol, Service, ServiceFlags, ServiceKey, Stats,
    SyncDaemon, SyncRole, Table, TableEntry, Timeouts, Tunnel, TunnelFlags, TunnelKind,
};
