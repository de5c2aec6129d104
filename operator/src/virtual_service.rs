//! `VirtualService`: a VIP, its ports and the real servers behind it.
//!
//! `dereference` → `validate` (with [`pools`] and [`claims`]) → `compile` (with [`slices`]) → `apply` → `status`.

pub mod apply;
pub mod claims;
pub mod compile;
pub mod dereference;
pub mod pools;
pub mod slices;
pub mod status;
pub mod validate;
