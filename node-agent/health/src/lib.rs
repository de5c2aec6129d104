//! Health checks of real servers: when to probe, what a result means, and the probes themselves.
//!
//! Deciding is pure and takes the time as an argument: a [`Schedule`] is the rise and fall of one
//! probe, a [`Registry`] holds all targets, runs equal probes once and says what is due. The
//! [`Engine`] is the thin shell around it: it sleeps until the next due time, probes the network
//! and publishes a [`Health`] per target.
//!
//! ```text
//!  desired targets ──► Registry ──► due jobs ──► Engine ──► probe::tcp, probe::ping
//!                         ▲                                        │
//!                         └──────────────── results ───────────────┘
//!                         │
//!                         └──► Health per target (a tokio watch)
//! ```
//!
//! The crate knows nothing of Kubernetes, IPVS or weights: a target is whatever key the caller
//! gives it.

mod combine;
mod engine;
pub mod escape;
mod failure;
pub mod probe;
mod registry;
mod schedule;
mod target;

pub use combine::{Health, combine};
pub use engine::Engine;
pub use failure::Failure;
pub use registry::{Changes, Job, Registry, RunId};
pub use schedule::Schedule;
pub use target::{Check, Mode, Policy, Probe, Target};
