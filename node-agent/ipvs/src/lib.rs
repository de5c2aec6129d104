//! IPVS, the Linux kernel's layer 4 load balancer, over generic netlink.
//!
//! Three layers, each usable without those after it:
//!
//! - [`model`]: virtual services, destinations, synchronisation daemons and counters as plain values, and [`Command`],
//!   a change of them. Their [`Display`](std::fmt::Display) is what one would type at `ipvsadm`.
//! - [`wire`]: the messages and attributes of `linux/ip_vs.h`. Decoding never panics, and attributes that this crate
//!   does not know survive as bytes. [`translate`] leads from one to the other.
//! - [`Client`]: a blocking netlink socket that dumps the kernel's table and applies commands in pipelined batches.
//!
//! ```no_run
//! use lvs_ipvs::{Client, Command, Destination, DestinationKey, Forwarding, Name, Protocol, Service, ServiceKey};
//!
//! let web = ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, 10].into(), port: 80 };
//! let server = DestinationKey { address: [198, 51, 100, 21].into(), port: 80 };
//! let commands = [
//!     Command::AddService(Service::new(web, Name::new("wlc")?)),
//!     Command::AddDestination { service: web, destination: Destination::new(server, Forwarding::DirectRouting, 1) },
//! ];
//! let mut client = Client::connect()?;
//! for (command, result) in commands.iter().zip(client.apply(&commands)) {
//!     match result {
//!         Ok(()) => println!("{command}"), // ipvsadm -A -t 192.0.2.10:80 -s wlc
//!         Err(error) => eprintln!("{error}"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here is global, asynchronous or aware of Kubernetes. There is no flush: the table may hold services of
//! others, so services are deleted one by one, by their keys.

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
