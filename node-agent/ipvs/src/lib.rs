//! IPVS, the Linux kernel's layer 4 load balancer, over generic netlink.
//!
//! Three layers, each usable without the ones below it:
//!
//! - [`model`]: virtual services, destinations, synchronisation daemons and counters as plain values, and [`Command`],
//!   a change of them. Their [`Display`](std::fmt::Display) is what one would type at `ipvsadm`.
//! - [`wire`]: the messages and attributes of `linux/ip_vs.h`. Decoding never panics, and attributes that this crate
//!   does not know survive as bytes.
//! - [`Client`]: a blocking netlink socket that dumps the kernel's table and applies commands in pipelined batches.
//!
//! Nothing here is global, asynchronous or aware of Kubernetes. There is no flush: the table may hold services of
//! others, so services are deleted one by one, by their keys.

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod captured;
pub mod client;
mod command;
mod error;
pub mod model;
mod translate;
pub mod wire;

pub use client::Client;
pub use command::Command;
pub use error::{Error, Refusal};
pub use model::{
    Destination, DestinationKey, Family, Forwarding, Info, Name, NameError, Netmask,
    ObservedDestination, Persistence, Protocol, Service, ServiceFlags, ServiceKey, Stats,
    SyncDaemon, SyncRole, Table, TableEntry, Timeouts, Tunnel, TunnelFlags, TunnelKind,
};
