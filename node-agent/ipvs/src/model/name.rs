//! Names that the kernel keeps in 16 bytes.

use std::fmt;
use std::str::FromStr;

/// A name of a scheduler, a persistence engine or a network interface: 1 to 15 bytes without NUL.
///
/// The kernel keeps each in 16 bytes including the final NUL (`IP_VS_SCHEDNAME_MAXLEN`, `IP_VS_PENAME_MAXLEN` and
/// `IP_VS_IFNAME_MAXLEN` in `linux/ip_vs.h`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Longest name in bytes.
    pub const MAX_BYTES: usize = 15;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than [`Name::MAX_BYTES`] or contains a NUL.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        if name.is_empty() || name.len() > Self::MAX_BYTES || name.contains('\0') {
            return Err(NameError { name });
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("name {name:?} has {} bytes: 1 to 15 bytes without NUL are possible", name.len())]
pub struct NameError {
    /// The text that was given.
    pub name: String,
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_bytes_are_the_limit() {
        assert_eq!(Name::new("a".repeat(15)).map(|n| n.as_str().len()), Ok(15));
        let error = Name::new("a".repeat(16)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "name \"aaaaaaaaaaaaaaaa\" has 16 bytes: 1 to 15 bytes without NUL are possible"
        );
    }

    #[test]
    fn empty_names_and_nuls_are_refused() {
        assert!(Name::new("").is_err());
        assert!(Name::new("r\0r").is_err());
    }
}
