//! Whatever the kernel reports is an object or an error, and an object's command can be encoded and read back.
//!
//! `cargo +nightly fuzz run objects`

#![no_main]

use libfuzzer_sys::fuzz_target;
use lvs_ipvs::wire::{Attribute, Message};
use lvs_ipvs::{Command, Family, translate};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::decode(bytes) else {
        return;
    };
    let _ = translate::read_timeouts(&message.attributes);
    let _ = translate::read_info(&message.attributes);
    for attribute in &message.attributes {
        match attribute {
            Attribute::Service(attributes) => {
                if let Ok((service, _)) = translate::read_service(attributes) {
                    let again = translate::message(&Command::AddService(service.clone()));
                    let [Attribute::Service(attributes)] = again.attributes.as_slice() else {
                        panic!("{again:?}")
                    };
                    assert_eq!(translate::read_service(attributes).unwrap().0, service);
                }
            }
            Attribute::Destination(attributes) => {
                for family in [Family::Ipv4, Family::Ipv6] {
                    let _ = translate::read_destination(attributes, family);
                }
            }
            Attribute::Daemon(attributes) => {
                let _ = translate::read_daemon(attributes);
            }
            _ => {}
        }
    }
});
