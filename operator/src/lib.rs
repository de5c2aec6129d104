//! The operator: compiles `DirectorPair`, `VirtualService` and `RealServer` objects into plans for
//! the node agents, schedules the agents, and answers in the objects' status.
//!
//! Read in this order. [`world`] is a snapshot of the cluster. [`pipeline`] takes it through the
//! steps of [`director_pair`], [`real_server`], [`virtual_service`] and [`node`]; each kind has one
//! folder, each step one file whose first line says whether it needs a client. [`decision`] adds
//! statuses and Events and keeps what differs from the cluster. [`controller`] is the loop that
//! takes snapshots from [`stores`] and writes decisions.

pub mod admin;
pub mod agents;
pub mod announcement;
pub mod args;
mod backoff;
pub mod cluster;
pub mod conditions;
pub mod controller;
pub mod decision;
pub mod digest;
pub mod director_pair;
pub mod lease;
pub mod metrics;
pub mod node;
pub mod pipeline;
pub mod real_server;
pub mod rejection;
pub mod stores;
pub mod virtual_service;
pub mod world;
