//! `VirtualService`: a VIP, its ports and the real servers behind it.
//!
//! `dereference` → `validate` (with [`pools`], [`marks`], [`fallback`] and
//! [`claims`]) → `compile` (with [`needs`] and
//! [`slices`]) → `apply` → `status`.

pub mod apply;
pub mod claims;
pub mod compile;
pub mod dereference;
pub mod fallback;
pub mod marks;
pub mod needs;
pub mod pools;
pub mod slices;
pub mod status;
pub mod validate;
