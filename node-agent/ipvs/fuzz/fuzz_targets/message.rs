//! Whatever decodes encodes to what decodes to the same.
//!
//! `cargo +nightly fuzz run message`

#![no_main]

use libfuzzer_sys::fuzz_target;
use lvs_ipvs::wire::Message;
use netlink_packet_core::Emitable;
use netlink_packet_generic::GenlMessage;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        let framed = GenlMessage::from_payload(message.clone());
        let mut again = vec![0; framed.buffer_len()];
        framed.emit(&mut again);
        assert_eq!(Message::decode(&again).unwrap(), message);
    }
});
