//! Fencing: makes sure that a director whose role this one took over, because it fell silent, does no
//! harm.
//!
//! ```text
//! plan ──► Fencer ◄── VRRP thread's report: which peer was lost
//!            │
//!            └──► hook ──► log, metric, Events, NodePlan.status.fencing
//! ```
//!
//! [`Fencer`] decides and is pure; [`run`] runs hooks. VRRP waits for neither.

mod fencer;
mod runner;

pub use fencer::{Fencer, Run};
pub use runner::{Outputs, run};
