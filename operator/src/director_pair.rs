//! `DirectorPair`: which nodes are directors, and how they fail over.
//!
//! `dereference` → `validate` (with [`vrid`]) → `compile` → `apply` → `status`.

pub mod apply;
pub mod compile;
pub mod dereference;
pub mod observe;
pub mod status;
pub mod validate;
pub mod vrid;
