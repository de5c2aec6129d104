//! `RealServer`: a host behind virtual services.
//!
//! `dereference` → `validate` → `compile` → `status`. Its part of a node's plan is written by
//! [`crate::node::apply`], because a node may have both roles and its plan has one author.

pub mod compile;
pub mod dereference;
pub mod status;
pub mod validate;
