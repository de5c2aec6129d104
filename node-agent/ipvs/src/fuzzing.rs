//! Entry points of fuzz targets into what is private.

/// Takes a datagram as the client does: as part of an answer, as acknowledgements, as the family's number.
pub fn datagram(bytes: &[u8]) {
    crate::client::fuzz(bytes);
}
