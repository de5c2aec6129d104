//! What the end-to-end tests share: a cluster with the product installed, and readers for what
//! `kubectl`, `ipvsadm` and `ip` print. It knows the product only from outside.

#![allow(
    clippy::indexing_slicing,
    reason = "JSON and YAML values answer a missing key with null"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

pub mod cluster;
pub mod connections;
pub mod eventually;
pub mod example;
pub mod gap;
pub mod ipvs;
pub mod keepalived;
pub mod kubectl;
pub mod metrics;
pub mod promises;
pub mod record;
pub mod scenario;
