use proptest::prelude::*;

use super::*;
use crate::{arbitrary, captured};

/// Length of `struct nlmsghdr`.
const NETLINK_HEADER_BYTES: usize = 16;

#[test]
fn the_captured_number_is_read() {
    assert_eq!(
        read(&captured::answer("family IPVS")[NETLINK_HEADER_BYTES..]).unwrap(),
        28
    );
}

#[test]
fn an_answer_without_the_number_is_refused() {
    assert_eq!(
        read(&[1, 2, 0, 0]).unwrap_err().to_string(),
        "attribute CTRL_ATTR_FAMILY_ID is missing"
    );
    assert!(read(&[]).is_err());
}

#[test]
fn the_request_names_the_family() {
    let bytes = request(7);
    // CTRL_CMD_GETFAMILY, then CTRL_ATTR_FAMILY_NAME.
    assert_eq!(bytes[NETLINK_HEADER_BYTES], 3);
    assert_eq!(
        bytes[NETLINK_HEADER_BYTES + HEADER_BYTES..],
        *b"\x09\x00\x02\x00IPVS\x00\x00\x00\x00"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in arbitrary::bytes()) {
        let _ = read(&bytes);
    }
}
