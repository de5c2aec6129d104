//! VRRP without I/O: the Virtual Router Redundancy Protocol, version 3 (RFC 9568) and version 2
//! (RFC 3768), as values and pure functions.
//!
//! Nothing here opens a socket, reads a clock or touches an interface. A shell around [`Router`]
//! does that and decides nothing:
//!
//! ```text
//! raw socket ── ip::split_ipv4 ── Wire::decode ──► Router::handle(Received) ──► outputs
//! timer at Router::next_deadline ────────────────► Router::handle(Tick) ──────► outputs
//!                                 Output::SendAdvertisement ── Wire::encode ──► raw socket
//! ```
//!
//! [`Wire`] stands between bytes and the router: it knows the transport (multicast, or unicast peers
//! and their least TTL) and the keys of an HMAC. Each [`Output::SendAdvertisement`] is encoded anew,
//! for its destination is part of the checksum and an HMAC's number is used once; time of day is
//! handed in beside it. A simple password is part of the advertisement, and the router compares it.
//!
//! One [`Router`] is one virtual router (a VRID of one address family) on one interface. The shell
//! performs its [`Output`]s in the order in which they stand; that order is part of the contract.
//!
//! # What goes beyond the RFCs
//!
//! - *Hand-over without a gap*. A router that is drained or stopped while Active advertises
//!   priority 0, but keeps the virtual addresses until it hears its successor. Nobody waits for the
//!   successor's `Skew_Time`, because somebody answers all the while. [`Input::Drain`] and
//!   [`Input::Stop`] say how it ends when there is no successor.
//! - *Resuming*. A router whose process was restarted within [`CheckedConfig::resume_within`] of
//!   its last advertisement may go on as Active ([`Input::StartActive`]): no Backup can have taken
//!   over yet.
//! - *Sync groups*: routers that are Active together or not at all ([`group`]).
//! - *Authentication by HMAC-SHA256* in a trailer that keepalived 2.4 understands ([`hmac`]).
//! - *Tracking*: what else is wrong or right with the router's machine raises or lowers its priority,
//!   or keeps it from being Active at all ([`Input::Priority`]).
//! - *Stalls*: an Active Router that was itself stopped for so long that a Backup of the same priority
//!   has taken over steps back before it says a word, if it hears that one
//!   ([`CheckedConfig::succeeded_after`]) or must fear to have missed it
//!   ([`CheckedConfig::stalled_after`]); in the latter case it is Active again after two intervals
//!   without another. A Backup that was itself stopped when its timer ran out listens for a down
//!   interval more.
//! - *Split brain* is told of as long as it lasts ([`Output::SplitBrain`]).
//! - *Other hosts* that claim a virtual address by ARP or Neighbor Discovery are looked for and told
//!   of ([`conflict`]).
//! - *Announcements are repeated*: a gratuitous ARP that was lost is made good after seconds, not
//!   when a switch forgets its table.

pub mod announcement;
mod authentication;
mod checksum;
mod config;
pub mod conflict;
mod disguise;
pub mod group;
pub mod hmac;
mod interval;
pub mod ip;
mod packet;
mod reject;
mod router;
mod time;
pub mod virtual_mac;
mod wire;

pub use authentication::{Authentication, HmacConfig, PasswordError, SimplePassword};
pub use checksum::ChecksumConvention;
pub use config::{
    CheckedConfig, Config, ConfigError, GratuitousAnnouncements, LowerPriorityAdvertisement,
    Preemption, Transport,
};
pub use group::GroupOrder;
pub use interval::{Centiseconds, active_down_interval, skew_time};
pub use packet::{
    Addresses, Advertisement, IP_PROTOCOL, MULTICAST_IPV4, MULTICAST_IPV6, PRIORITY_OWNER,
    PRIORITY_RELEASE, Version,
};
pub use reject::RejectReason;
pub use router::{Adjustment, Differences, Input, Output, Role, RoleReason, Router};
pub use time::Monotonic;
pub use wire::{Wire, virtual_router_id};
