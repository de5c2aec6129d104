//! The node agent: makes a node's kernel equal to its plan, and keeps it so.

pub mod admin;
pub mod agent;
pub mod args;
pub mod bundle;
pub mod diff;
pub mod drift;
pub mod facts;
pub mod fencing;
#[cfg(test)]
mod fixture;
pub mod heartbeat;
pub mod hook;
pub mod kernel;
pub mod lock;
pub mod metrics;
pub mod model;
pub mod observe;
pub mod op;
pub mod op_log;
pub mod ownership;
pub mod plan;
pub mod programming;
pub mod report;
pub mod reporter;
pub mod secrets;
pub mod source;
pub mod statistics;
pub mod store;
pub mod supervisor;
pub mod track;
pub mod vrrp;
