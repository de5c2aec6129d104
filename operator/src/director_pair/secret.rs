//! No client: whether a Secret has what VRRP is to authenticate by.

use std::ops::RangeInclusive;

use lvs_crds::v1alpha1::condition::reason;

use super::dereference::SecretLookup;
use crate::rejection::Rejection;

/// Longest password of version 2 in bytes (RFC 2338 section 5.3.10).
const PASSWORD_BYTES: usize = 8;
/// Length of an HMAC key in bytes: as much as the digest is worth, and a block of SHA-256 at most.
const KEY_BYTES: RangeInclusive<usize> = 32..=64;

/// Judges what was found.
///
/// # Errors
/// What is missing, too long or too short, and how to make it right.
pub fn check(secret: &SecretLookup, namespace: &str) -> Result<(), Rejection> {
    const FIELD: &str = "spec.vrrp.authentication.secretRef";
    match secret {
        SecretLookup::Missing { name, key } => {
            let value = match key.parse::<u8>() {
                Ok(_) => "$(openssl rand -hex 32)",
                Err(_) => "PASSWORD",
            };
            Err(Rejection::new(
                reason::SECRET_NOT_FOUND,
                format!(
                    "{FIELD}: namespace {namespace} has no Secret {name} with key {key}; create it: \
                     kubectl create secret generic {name} --namespace {namespace} \
                     --from-literal={key}={value}"
                ),
            ))
        }
        SecretLookup::Password {
            name,
            key,
            bytes: 0,
        } => Err(Rejection::new(
            reason::SECRET_NOT_FOUND,
            format!(
                "{FIELD}: key {key} of Secret {namespace}/{name} is empty; it must hold a password of 1 to \
                 {PASSWORD_BYTES} bytes"
            ),
        )),
        SecretLookup::Password { name, key, bytes } if *bytes > PASSWORD_BYTES => {
            Err(Rejection::new(
                reason::SECRET_TOO_LONG,
                format!(
                    "{FIELD}: key {key} of Secret {namespace}/{name} has more than the {PASSWORD_BYTES} \
                     bytes that VRRP version 2 carries; shorten it (keepalived uses the first \
                     {PASSWORD_BYTES} bytes of auth_pass)"
                ),
            ))
        }
        SecretLookup::NotNeeded | SecretLookup::Password { .. } => Ok(()),
        SecretLookup::Keys { name, bytes } => {
            let wrong = bytes.iter().find(|(_, bytes)| !KEY_BYTES.contains(*bytes));
            let Some((id, bytes)) = wrong else {
                return Ok(());
            };
            let (reason, found) = if bytes < KEY_BYTES.start() {
                (reason::SECRET_TOO_SHORT, format!("has {bytes} bytes"))
            } else {
                let longest = KEY_BYTES.end();
                (
                    reason::SECRET_TOO_LONG,
                    format!("has more than {longest} bytes"),
                )
            };
            Err(Rejection::new(
                reason,
                format!(
                    "{FIELD}: key {id} of Secret {namespace}/{name} {found}; an HMAC key must have {} to {} \
                     random ones: openssl rand -hex 32",
                    KEY_BYTES.start(),
                    KEY_BYTES.end()
                ),
            ))
        }
    }
}
