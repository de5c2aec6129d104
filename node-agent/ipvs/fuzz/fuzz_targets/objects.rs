//! Whatever the kernel reports is an object or an error; read from the bytes or from the message it is the same; and an
//! object's command can be encoded and read back.
//!
//! `cargo +nightly fuzz run objects`

#![no_main]

use libfuzzer_sys::fuzz_target;
use lvs_ipvs::wire::{Attribute, CommandCode, Message};
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
                    let _ = Command::AddService(service).to_string();
                }
            }
            Attribute::Destination(attributes) => {
                for family in [Family::Ipv4, Family::Ipv6] {
                    if let Ok(observed) = translate::read_destination(attributes, family) {
                        let _ = observed.destination.to_string();
                    }
                }
            }
            Attribute::Daemon(attributes) => {
                if let Ok(daemon) = translate::read_daemon(attributes) {
                    let _ = daemon.to_string();
                }
            }
            _ => {}
        }
    }
    straight(bytes, &message.attributes);
});

/// The decoders that skip the message find what they would find in it.
fn straight(bytes: &[u8], attributes: &[Attribute]) {
    // The attributes of an info have the numbers of others.
    if Message::decode(bytes).is_ok_and(|message| message.command == CommandCode::SET_INFO) {
        return;
    }
    let service = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Service(attributes) => Some(translate::read_service(attributes).ok()),
        _ => None,
    });
    assert_eq!(translate::decode_service(bytes).ok(), flipped(service));
    let destination = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Destination(attributes) => {
            Some(translate::read_destination(attributes, Family::Ipv4).ok())
        }
        _ => None,
    });
    assert_eq!(
        translate::decode_destination(bytes, Family::Ipv4).ok(),
        flipped(destination)
    );
    let daemon = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Daemon(attributes) => Some(translate::read_daemon(attributes).ok()),
        _ => None,
    });
    assert_eq!(translate::decode_daemon(bytes).ok(), flipped(daemon));
}

/// None of its kind is an answer, one that cannot be read is none.
fn flipped<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    match found {
        None => Some(None),
        Some(None) => None,
        Some(Some(object)) => Some(Some(object)),
    }
}
