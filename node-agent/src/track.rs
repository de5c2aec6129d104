//! What a director watches beside its peers, and what that does to its priority.
//!
//! ```text
//! plan ──► Evaluator ◄── looks: interfaces, pings, files, hooks, virtual services
//!              │
//!              └──► verdict of each instance ──► VRRP thread
//! ```
//!
//! [`Evaluator`] decides and is pure; [`run`] looks.

mod evaluator;
mod watcher;

pub use evaluator::{Evaluator, HookLook, Subject, Verdict};
pub use watcher::run;
