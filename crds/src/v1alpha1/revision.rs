//! Digests by which the operator and an agent agree on what "applied" means.
//!
//! The operator computes them; an agent compares the digests that the objects carry and never
//! recomputes one, so that a newer field that it does not know cannot make it disagree.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{NodePlanSpec, PlanSliceSpec};

/// Digest of a slice's services and pools, 16 hexadecimal digits.
///
/// # Errors
/// When the slice cannot be written as JSON.
pub fn slice_digest(slice: &PlanSliceSpec) -> Result<String, serde_json::Error> {
    digest(&(&slice.services, &slice.pools))
}

/// Digest of a set of slices given as `(object name, slice digest)`, in any order.
#[must_use]
pub fn slices_digest<'a>(slices: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut slices: Vec<_> = slices.into_iter().collect();
    slices.sort_unstable();
    let mut hasher = Sha256::new();
    for (name, digest) in slices {
        hasher.update(name);
        hasher.update([0]);
        hasher.update(digest);
        hasher.update([0]);
    }
    hexadecimal(&hasher.finalize())
}

/// Revision of a node's plan: digest of everything but `revision` itself. The slices count through
/// `director.slicesDigest`.
///
/// # Errors
/// When the plan cannot be written as JSON.
pub fn node_revision(plan: &NodePlanSpec) -> Result<String, serde_json::Error> {
    digest(&(
        plan.format_version,
        &plan.required_features,
        &plan.director,
        &plan.real_server,
    ))
}

fn digest(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(hexadecimal(&Sha256::digest(serde_json::to_vec(value)?)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
