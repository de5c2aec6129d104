//! `DirectorPair`: which nodes are directors, and how they fail over.
//!
//! `dereference` → `validate` (with [`vrid`] and [`addresses`]) → `compile` → `apply` → `status`.

pub mod addresses;
pub mod apply;
pub mod compile;
pub mod dereference;
pub mod observe;
pub mod secret;
pub mod sources;
pub mod status;
pub mod validate;
pub mod vrid;
