//! Secrets in what is written down: in place of each stands another that equals it wherever the secret
//! does, so that a recording can be replayed, and that tells nothing of it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::LazyLock;

use hmac::{Hmac, Mac as _};
use serde::{Serialize as _, Serializer};
use sha2::Sha256;

/// Known to this process alone, and gone with it.
static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut key = [0; 32];
    for part in key.chunks_mut(8) {
        let random = RandomState::new().build_hasher().finish();
        part.copy_from_slice(&random.to_ne_bytes());
    }
    key
});

/// What stands for `secret`.
pub(crate) fn disguise<const BYTES: usize>(secret: &[u8]) -> [u8; BYTES] {
    let mut disguised = [0; BYTES];
    // An HMAC takes a key of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*KEY) {
        mac.update(secret);
        for (to, from) in disguised.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
    }
    disguised
}

/// Serialises what stands for `secret`.
pub(crate) fn serialize<S: Serializer>(secret: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    disguise::<32>(secret).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_stay_equal_and_different_ones_different() {
        let [one, same, other] =
            [b"secret", b"secret", b"Secret"].map(|secret| disguise::<8>(secret));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(&one[..6], b"secret");
    }
}
