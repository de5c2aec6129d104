use netlink_packet_core::{DefaultNla, Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::GenlHeader;
use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::captured;
use crate::translate;

/// Length of the headers of netlink and of generic netlink.
const HEADERS_BYTES: usize = 20;
/// The command's place in a datagram.
const COMMAND: usize = 16;

fn decode(datagram: &[u8]) -> Message {
    parse(datagram[COMMAND], &datagram[HEADERS_BYTES..]).expect("a message that can be read")
}

fn parse(command: u8, bytes: &[u8]) -> Result<Message, netlink_packet_core::DecodeError> {
    Message::parse_with_param(
        bytes,
        GenlHeader {
            cmd: command,
            version: 1,
        },
    )
}

fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = vec![0xff; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

#[test]
fn captured_requests_come_back_byte_by_byte() {
    for (line, datagram) in captured::requests() {
        assert_eq!(
            encode(&decode(&datagram)),
            datagram[HEADERS_BYTES..],
            "{line}"
        );
    }
}

#[test]
fn captured_answers_are_read_without_a_rest() {
    for name in [
        "services",
        "destinations of 192.0.2.10:80",
        "daemons",
        "timeouts",
        "info",
    ] {
        let datagram = captured::answer(name);
        let length = u32::from_ne_bytes(*datagram.first_chunk().unwrap()) as usize;
        let message = decode(&datagram[..length]);
        let bytes = encode(&message);
        // The kernel does not mark its nests as such; nothing else differs.
        assert_eq!(bytes.len(), length - HEADERS_BYTES, "{name}");
        assert_eq!(parse(datagram[COMMAND], &bytes).unwrap(), message, "{name}");
        assert!(
            !message
                .attributes
                .iter()
                .any(|a| matches!(a, Attribute::Other(_))),
            "{name}"
        );
    }
}

#[test]
fn unknown_attributes_survive() {
    let unknown = DefaultNla::new(0x3abc, vec![1, 2, 3]);
    let message = Message::new(
        CommandCode(99),
        vec![
            Attribute::Service(vec![ServiceAttribute::Other(unknown.clone())]),
            Attribute::Destination(vec![
                DestinationAttribute::Other(unknown.clone()),
                DestinationAttribute::Stats64(vec![StatsAttribute::Other(unknown.clone())]),
            ]),
            Attribute::Daemon(vec![DaemonAttribute::Other(unknown.clone())]),
            Attribute::Other(unknown),
        ],
    );
    assert_eq!(parse(99, &encode(&message)).unwrap(), message);
}

#[test]
fn a_value_of_a_wrong_length_is_named() {
    // IPVS_CMD_ATTR_SERVICE with an IPVS_SVC_ATTR_PORT of 4 bytes.
    let bytes = [12, 0, 1, 0x80, 8, 0, 4, 0, 0, 80, 0, 0];
    let error = parse(1, &bytes).unwrap_err().to_string();
    assert!(
        error.contains("IPVS_CMD_ATTR_SERVICE caused by IPVS_SVC_ATTR_PORT"),
        "{error}"
    );
}

#[test]
fn an_attribute_longer_than_its_nest_is_refused() {
    let bytes = [8, 0, 1, 0x80, 40, 0, 4, 0];
    assert!(parse(1, &bytes).is_err());
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    let bytes = [4, 0, 0xff, 0xff];
    let error = parse(1, &bytes).unwrap_err().to_string();
    assert!(error.starts_with("attribute 16383 is both"), "{error}");
}

proptest! {
    #[test]
    fn what_was_written_is_read(command in arbitrary::command()) {
        let message = translate::message(&command);
        prop_assert_eq!(parse(message.command.0, &encode(&message)).unwrap(), message);
    }

    #[test]
    fn what_was_read_is_written(command: u8, bytes in arbitrary::bytes()) {
        if let Ok(message) = parse(command, &bytes) {
            prop_assert_eq!(parse(command, &encode(&message)).unwrap(), message);
        }
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::sample::select(captured::requests().into_iter().map(|(_, bytes)| bytes)
            .chain(["services", "destinations of 192.0.2.10:80", "daemons"].map(captured::answer))
            .collect::<Vec<_>>())
            .prop_flat_map(arbitrary::mutated),
    ) {
        let _ = parse(bytes.get(COMMAND).copied().unwrap_or(1), bytes.get(HEADERS_BYTES..).unwrap_or_default())
            .map(|message| translate::read_all(&message));
    }
}
