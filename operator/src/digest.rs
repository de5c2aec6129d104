//! Stable digests: the same value gives the same text in every process and version.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Digest of a value's JSON, 16 hexadecimal digits.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn of(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let sum = Sha256::digest(serde_json::to_vec(value)?);
    Ok(sum.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A number that a key always maps to.
#[must_use]
pub fn number(key: &str) -> u64 {
    Sha256::digest(key.as_bytes())
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
