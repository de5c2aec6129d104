//! The node agent: makes a node's kernel equal to its plan, and keeps it so.

pub mod args;
pub mod bundle;
pub mod kernel;
pub mod lock;
pub mod op;
pub mod op_log;
pub mod report;
pub mod source;
pub mod store;
pub mod supervisor;
pub mod vrrp;
