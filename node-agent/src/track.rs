//! What a director watches beside its peers, and what that does to its priority.
//!
//! ```text
//! plan ──► Evaluator ◄── looks: interfaces, pings, files, processes, hooks, virtual services
//!              │
//!              └──► verdict of each instance ──► VRRP thread
//! ```
//!
//! [`Evaluator`] decides and is pure; [`run`] looks.

mod evaluator;
mod process;
mod watcher;

pub use evaluator::{Evaluator, HookLook, Subject, Verdict};
pub use process::{ProcessError, ProcessLook, Processes};
pub use watcher::run;
