//! What the API server refuses, tried without one: defaults, structure and CEL rules of the
//! generated definitions, applied to objects as people write them.

#![allow(
    clippy::indexing_slicing,
    reason = "JSON values answer a missing key with null"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where its premise fails"
)]

mod api_server;
mod bad_input;
mod chart;
mod definitions;
mod rules;
mod structure;
