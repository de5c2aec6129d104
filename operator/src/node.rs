//! A node's plan: both of its roles in one object with one author.
//!
//! [`readiness`] says what agents have confirmed; `compile` → `apply` write plans and labels.

pub mod apply;
pub mod compile;
pub mod readiness;
