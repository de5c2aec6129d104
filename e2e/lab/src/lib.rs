//! A real Kubernetes cluster with one IPVS kernel per node, on one machine, without a hypervisor.
//!
//! [`Lab`] is the whole cluster: nodes that are kernels of their own (user-mode Linux), a switch, a control
//! plane, clients. Its methods are what one does to machines: power off, cut a cable, run a command, send
//! traffic. [`light`] is the small form: one kernel that runs one command.
//!
//! All calls block. Call them from a plain thread, or in `tokio::task::spawn_blocking`.

mod command;
pub mod light;
mod paths;
mod process;
mod uml;

pub use command::Output;
