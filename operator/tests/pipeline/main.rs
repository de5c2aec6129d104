//! The operator's decisions, against a cluster in memory: no API server, no clock.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

mod agents;
mod bad_input;
mod compile;
mod conflicts;
mod data_plane;
mod direct_routing;
mod fencing;
mod lifecycle;
mod reports;
mod scale;
mod sim;
mod status;
