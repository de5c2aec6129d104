//! By what advertisements show that they come from a router of this virtual router.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::disguise::disguise;
use crate::hmac::{AntiReplay, HmacKeys, HmacMode};

/// How advertisements are authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// Version 2: a password in clear text (RFC 2338 section 5.3.6, kept by RFC 3768 as type 1).
    Simple(SimplePassword),
    /// Both versions: a trailer with an HMAC ([`crate::hmac`]).
    Hmac(HmacConfig),
}

/// Authentication by HMAC-SHA256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacConfig {
    /// The keys by their ids, and which of them signs.
    pub keys: HmacKeys,
    /// What keeps recorded messages from being sent again.
    pub anti_replay: AntiReplay,
    /// Whether messages are signed, and whether those without a trailer are accepted.
    pub mode: HmacMode,
}

/// The eight bytes of authentication data that every advertisement carries in clear text.
///
/// It protects against routers configured by mistake, not against anybody who can listen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SimplePassword([u8; 8]);

/// A password that does not fit into the eight bytes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("password of {length} bytes: version 2 carries 1 to 8 bytes")]
pub struct PasswordError {
    /// Length of the password in bytes.
    pub length: usize,
}

impl SimplePassword {
    /// A password of 1 to 8 bytes; a shorter one is padded with zero bytes, as keepalived does.
    ///
    /// # Errors
    /// The password is empty or longer than 8 bytes.
    pub fn new(password: &[u8]) -> Result<Self, PasswordError> {
        let length = password.len();
        let mut data = [0; 8];
        match data.get_mut(..length) {
            Some(field) if length > 0 => field.copy_from_slice(password),
            _ => return Err(PasswordError { length }),
        }
        Ok(Self(data))
    }

    /// The authentication data field as received.
    #[must_use]
    pub const fn from_wire(data: [u8; 8]) -> Self {
        Self(data)
    }

    /// The authentication data field as sent.
    #[must_use]
    pub const fn to_wire(self) -> [u8; 8] {
        self.0
    }
}

/// Written down in disguise.
impl Serialize for SimplePassword {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        disguise::<8>(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SimplePassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 8]>::deserialize(deserializer).map(Self)
    }
}

/// Hides the password: logs are read by more people than Secrets.
impl fmt::Debug for SimplePassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SimplePassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_short_passwords_and_refuses_others() {
        assert_eq!(
            SimplePassword::new(b"1111").unwrap().to_wire(),
            *b"1111\0\0\0\0"
        );
        assert_eq!(
            SimplePassword::new(b"12345678").unwrap().to_wire(),
            *b"12345678"
        );
        assert_eq!(SimplePassword::new(b""), Err(PasswordError { length: 0 }));
        assert_eq!(
            SimplePassword::new(b"123456789"),
            Err(PasswordError { length: 9 })
        );
    }

    #[test]
    fn debug_output_does_not_show_it() {
        let shown = format!("{:?}", SimplePassword::new(b"secret").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
