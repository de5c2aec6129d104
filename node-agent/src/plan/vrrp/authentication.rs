//! By what a director's advertisements are authenticated. Pure.

use lvs_crds::v1alpha1::{self as crds, AuthenticationMode, AuthenticationType, SecretReference};
use lvs_vrrp::hmac::{AntiReplay, HmacKey, HmacKeys, HmacMode};
use lvs_vrrp::{Authentication, HmacConfig, SimplePassword};

use crate::secrets::Secrets;

/// Bytes of a password that version 2 carries; keepalived cuts longer ones alike.
const PASSWORD_BYTES: usize = 8;

/// By how many seconds the directors' clocks may differ: much more than NTP leaves, and a recorded
/// advertisement is refused by its number anyway once its sender has been heard.
const WINDOW_SECONDS: u16 = 60;

/// What the plan asks for, with the values of the Secret.
///
/// # Errors
/// The Secret is not known yet, or cannot be used.
pub(super) fn plan(
    plan: &crds::Authentication,
    secrets: &Secrets,
) -> Result<Option<Authentication>, String> {
    if plan.type_ == AuthenticationType::None {
        return Ok(None);
    }
    let Some(reference) = &plan.secret_ref else {
        return Err("authentication names no Secret".to_owned());
    };
    let authentication = match plan.type_ {
        AuthenticationType::None => return Ok(None),
        AuthenticationType::Simple => Authentication::Simple(password(reference, secrets)?),
        AuthenticationType::HMACSHA256 => Authentication::Hmac(HmacConfig {
            keys: keys(plan.active_key_id, reference, secrets)?,
            anti_replay: match plan.anti_replay {
                crds::AntiReplay::Time => AntiReplay::Time {
                    window_seconds: WINDOW_SECONDS,
                },
                crds::AntiReplay::Monotonic => AntiReplay::Monotonic,
            },
            mode: match plan.mode {
                AuthenticationMode::Enforce => HmacMode::Enforce,
                AuthenticationMode::Permissive => HmacMode::Permissive,
                AuthenticationMode::ReceiveOnly => HmacMode::ReceiveOnly,
            },
        }),
    };
    Ok(Some(authentication))
}

fn password(reference: &SecretReference, secrets: &Secrets) -> Result<SimplePassword, String> {
    let (name, key) = (&reference.name, reference.password_key());
    let password = secrets
        .password(reference)
        .ok_or_else(|| format!("Secret {name} with key {key} is not known"))?;
    let used = password.get(..PASSWORD_BYTES).unwrap_or(password);
    SimplePassword::new(used).map_err(|error| format!("key {key} of Secret {name}: {error}"))
}

fn keys(
    active: Option<i32>,
    reference: &SecretReference,
    secrets: &Secrets,
) -> Result<HmacKeys, String> {
    let name = &reference.name;
    let active = active
        .and_then(|id| u8::try_from(id).ok())
        .ok_or_else(|| "authentication names no key id of 1 to 255 to sign with".to_owned())?;
    let keys: Result<Vec<HmacKey>, _> = secrets
        .hmac_keys(name)
        .map(|(id, key)| HmacKey::new(id, key))
        .collect();
    let keys = keys.and_then(|keys| HmacKeys::new(keys, active));
    keys.map_err(|error| format!("Secret {name}: {error}"))
}
