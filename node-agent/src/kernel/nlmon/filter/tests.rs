use netlink_packet_core::{NLM_F_ACK, NLM_F_MULTIPART};
use proptest::prelude::*;

use super::*;

const FAMILY: u16 = 28;
const OURS: u32 = 4711;
const THEIRS: u32 = 4712;

/// What a message looks like to the filter.
struct Packet {
    protocol: u32,
    interface: u32,
    bytes: Vec<u8>,
}

/// Whether a program shows a packet, by the rules of `Documentation/networking/filter.rst`.
fn shows(program: &Program, packet: &Packet) -> bool {
    let bytes = |position: usize, count: usize| {
        let bytes = packet.bytes.get(position..position + count)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte)),
        )
    };
    let mut loaded = 0;
    let mut position = 0;
    while let Some(step) = program.steps.get(position) {
        let target = match *step {
            Step::Load(field) => {
                let number = match field {
                    Field::Byte(position) => bytes(position, 1),
                    Field::Half(position) => bytes(position, 2),
                    Field::Word(position) => bytes(position, 4),
                    Field::Protocol => Some(packet.protocol),
                    Field::Interface => Some(packet.interface),
                };
                let Some(number) = number else { return false };
                loaded = number;
                Target::Next
            }
            Step::IsEqual(number, yes, no) => {
                if loaded == number {
                    yes
                } else {
                    no
                }
            }
            Step::HasBit(bit, yes, no) => {
                if loaded & bit != 0 {
                    yes
                } else {
                    no
                }
            }
        };
        position += usize::from(program.distance(position, target)) + 1;
    }
    position == program.steps.len()
}

fn header(kind: u16, flags: u16, port: u32) -> Vec<u8> {
    let mut bytes = 100_u32.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(7_u32.to_ne_bytes());
    bytes.extend(port.to_ne_bytes());
    bytes
}

fn packet(bytes: Vec<u8>) -> Packet {
    Packet {
        protocol: 16,
        interface: 3,
        bytes,
    }
}

fn request(command: CommandCode, port: u32) -> Packet {
    let mut bytes = header(FAMILY, NLM_F_REQUEST | NLM_F_ACK, port);
    bytes.extend([command.0, 1, 0, 0]);
    packet(bytes)
}

fn acknowledgement(error: i32, family: u16, port: u32) -> Packet {
    let mut bytes = header(NLMSG_ERROR, 0x100, port);
    bytes.extend(error.to_ne_bytes());
    bytes.extend(header(family, NLM_F_REQUEST | NLM_F_ACK, port));
    packet(bytes)
}

fn program() -> Program {
    Program::changes(Origin {
        family: FAMILY,
        port: OURS,
    })
}

#[test]
fn others_changes_are_shown_and_nothing_else_they_ask() {
    for code in 0..=u8::MAX {
        let command = CommandCode(code);
        assert_eq!(
            shows(&program(), &request(command, THEIRS)),
            CHANGES.contains(&command),
            "{command:?}"
        );
        // Programs may leave their port out.
        assert_eq!(
            shows(&program(), &request(command, 0)),
            CHANGES.contains(&command),
            "{command:?}"
        );
        assert!(!shows(&program(), &request(command, OURS)), "{command:?}");
    }
}

#[test]
fn answers_are_shown_when_they_acknowledge_something_of_others() {
    assert!(shows(&program(), &acknowledgement(0, FAMILY, THEIRS)));
    assert!(!shows(&program(), &acknowledgement(0, FAMILY, OURS)));
    assert!(!shows(&program(), &acknowledgement(-2, FAMILY, THEIRS)));
    assert!(!shows(&program(), &acknowledgement(0, FAMILY + 1, THEIRS)));
    // A part of a dump.
    let mut listed = header(FAMILY, NLM_F_MULTIPART, THEIRS);
    listed.extend([CommandCode::NEW_SERVICE.0, 1, 0, 0]);
    assert!(!shows(&program(), &packet(listed)));
}

#[test]
fn other_protocols_and_families_are_dropped() {
    let mut routing = request(CommandCode::NEW_SERVICE, THEIRS);
    routing.protocol = 0;
    assert!(!shows(&program(), &routing));
    let mut bytes = header(FAMILY + 1, NLM_F_REQUEST, THEIRS);
    bytes.extend([CommandCode::NEW_SERVICE.0, 1, 0, 0]);
    assert!(!shows(&program(), &packet(bytes)));
}

#[test]
fn routing_messages_are_those_of_one_device() {
    let program = Program::routing_messages(3);
    let message = |protocol, interface| Packet {
        protocol,
        interface,
        bytes: vec![],
    };
    assert!(shows(&program, &message(0, 3)));
    assert!(!shows(&program, &message(0, 4)));
    assert!(!shows(&program, &message(16, 3)));
}

#[test]
fn every_jump_stays_within_the_program() {
    for program in [program(), Program::routing_messages(1)] {
        let count = program.encode().len();
        assert_eq!(count, program.steps.len() + 2);
        for position in 0..program.steps.len() {
            for target in [Target::Next, Target::Show, Target::Drop] {
                assert!(position + 1 + usize::from(program.distance(position, target)) < count);
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_ours_is_never_shown(mut bytes in prop::collection::vec(any::<u8>(), 16..64)) {
        bytes[PORT..PORT + 4].copy_from_slice(&OURS.to_ne_bytes());
        prop_assert!(!shows(&program(), &packet(bytes)));
    }
}
