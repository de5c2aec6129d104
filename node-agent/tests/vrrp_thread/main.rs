//! The VRRP thread on real sockets: two of them in network namespaces of their own, joined by a veth
//! pair. Needs root; without it there is nothing to test, and the tests say so.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod conflicts;
mod frozen;
mod hosts;
mod recorder;
mod roles;
mod routes;
mod tracking;
mod transport;
mod vips;
mod virtual_mac;
mod watchdog;
