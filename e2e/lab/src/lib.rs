//! A real Kubernetes cluster with one IPVS kernel per node, on one machine, without a hypervisor.
//!
//! [`Lab`] is the whole cluster: nodes that are kernels of their own (user-mode Linux), a switch, a control
//! plane, clients. Its methods are what one does to machines: power off, cut a cable, run a command, send
//! traffic. [`light`] is the small form: one kernel that runs one command.
//!
//! All calls block. Call them from a plain thread, or in `tokio::task::spawn_blocking`.

mod capture;
pub mod channel;
mod client;
mod command;
mod control_plane;
pub mod image;
mod kubectl;
mod lab;
pub mod light;
mod logs;
mod netns;
mod network;
mod node;
mod node_files;
mod paths;
mod poll;
mod process;
mod progress;
pub mod proxy;
mod running;
pub mod serve;
mod state;
pub mod topology;
pub mod traffic;
mod uml;

pub use capture::{Capture, Packet};
pub use client::Client;
pub use command::Output;
pub use lab::{Lab, Options};
pub use node::{Direction, Node};
pub use running::Running;
pub use topology::Topology;
