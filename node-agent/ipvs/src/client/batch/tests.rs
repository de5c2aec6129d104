use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::model::{Family, ServiceKey};

fn deletions(count: u32) -> Vec<Command> {
    (1..=count)
        .filter_map(NonZeroU32::new)
        .map(|mark| {
            Command::DeleteService(ServiceKey::Mark {
                mark,
                family: Family::Ipv4,
            })
        })
        .collect()
}

fn answer(sequence: u32, errno: i32) -> Incoming<'static> {
    let content = Content::Answer(Answer {
        errno,
        detail: None,
    });
    Incoming {
        sequence,
        flags: 0,
        content,
    }
}

const ORIGIN: Origin = Origin {
    family: 28,
    port: 4711,
};

#[test]
fn a_chunk_ends_at_either_limit() {
    let commands = deletions(10);
    let one = encode(
        &commands,
        1,
        ORIGIN,
        Limits {
            bytes: 0,
            messages: 10,
        },
    );
    assert_eq!(one.count, 1);
    let length = one.bytes.len();
    let by_bytes = encode(
        &commands,
        1,
        ORIGIN,
        Limits {
            bytes: 3 * length + 1,
            messages: 10,
        },
    );
    assert_eq!((by_bytes.count, by_bytes.bytes.len()), (3, 3 * length));
    let by_messages = encode(
        &commands,
        1,
        ORIGIN,
        Limits {
            bytes: 100 * length,
            messages: 4,
        },
    );
    assert_eq!((by_messages.count, by_messages.next_sequence), (4, 5));
}

#[test]
fn answers_find_their_commands_in_any_order() {
    let mut acks = Acks::new(u32::MAX, 3);
    acks.take(&answer(0, 2));
    acks.take(&answer(u32::MAX, 0));
    assert!(!acks.are_final());
    acks.take(&answer(1, 17));
    assert!(acks.are_final());
    let errnos: Vec<_> = acks
        .into_answers()
        .flatten()
        .map(|answer| answer.errno)
        .collect();
    assert_eq!(errnos, [0, 2, 17]);
}

#[test]
fn answers_to_others_and_second_answers_count_for_nothing() {
    let mut acks = Acks::new(10, 2);
    for sequence in [9, 12, 0, 10, 10] {
        acks.take(&answer(sequence, 0));
    }
    acks.take(&answer(10, 1));
    assert!(!acks.are_final());
    let answers: Vec<_> = acks.into_answers().collect();
    assert_eq!(
        answers,
        [
            Some(Answer {
                errno: 0,
                detail: None
            }),
            None
        ]
    );
}

#[test]
fn an_answer_that_was_swallowed_is_not_waited_for() {
    let mut acks = Acks::new(1, 3);
    acks.take(&answer(1, 0));
    acks.take(&answer(3, 0));
    assert!(acks.are_final());
    let missing: Vec<_> = acks.into_answers().map(|answer| answer.is_none()).collect();
    assert_eq!(missing, [false, true, false]);
}

proptest! {
    #[test]
    fn every_command_is_sent_once_and_in_order(
        commands in prop::collection::vec(arbitrary::command(), 0..40),
        first: u32,
        bytes in 0..2000_usize,
        messages in 0..20_usize,
    ) {
        let limits = Limits { bytes, messages };
        let (mut rest, mut sequence, mut sent) = (commands.as_slice(), first, Vec::new());
        while !rest.is_empty() {
            let chunk = encode(rest, sequence, ORIGIN, limits);
            prop_assert!(chunk.count == 1 || chunk.bytes.len() <= bytes);
            prop_assert!(chunk.count <= messages.max(1));
            for message in frame::messages(&chunk.bytes) {
                prop_assert_eq!(message.sequence, sequence);
                sequence = sequence.wrapping_add(1);
                let Content::Payload(payload) = message.content else { panic!("a request") };
                sent.push(crate::wire::Message::decode(payload).unwrap());
            }
            prop_assert_eq!(chunk.next_sequence, sequence);
            rest = &rest[chunk.count..];
        }
        let expected: Vec<_> = commands.iter().map(translate::message).collect();
        prop_assert_eq!(sent, expected);
    }
}
