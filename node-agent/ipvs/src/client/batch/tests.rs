use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::model::{Family, ServiceKey, SyncRole};

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

/// What is known of each command: its error number.
fn known(answers: Answers, commands: &[Command]) -> Vec<Option<i32>> {
    let answers = answers.into_answers(commands);
    answers
        .map(|(_, answer)| answer.map(|answer| answer.errno))
        .collect()
}

#[test]
fn answers_find_their_commands_in_any_order() {
    let mut answers = Answers::new(u32::MAX, 3);
    answers.take(&answer(0, 2));
    answers.take(&answer(u32::MAX, 0));
    assert!(!answers.are_final());
    answers.take(&answer(1, 17));
    assert!(answers.are_final());
    assert_eq!(known(answers, &deletions(3)), [Some(0), Some(2), Some(17)]);
}

#[test]
fn answers_to_others_and_second_answers_count_for_nothing() {
    let mut answers = Answers::new(10, 2);
    for sequence in [9, 12, 0, 10, 10] {
        answers.take(&answer(sequence, 0));
    }
    answers.take(&answer(10, 1));
    assert!(!answers.are_final());
    assert_eq!(known(answers, &deletions(2)), [Some(0), None]);
}

#[test]
fn silence_before_the_last_answer_is_success_unless_answers_were_lost() {
    let mut answers = Answers::new(1, 3);
    answers.take(&answer(2, 17));
    answers.take(&answer(3, 0));
    assert!(answers.are_final());
    assert_eq!(known(answers, &deletions(3)), [Some(0), Some(17), Some(0)]);

    let mut answers = Answers::new(1, 3);
    answers.lose();
    answers.take(&answer(3, 0));
    assert_eq!(known(answers, &deletions(3)), [None, None, Some(0)]);
}

#[test]
fn a_daemon_on_which_the_kernel_is_silent_may_have_failed() {
    let mut commands = deletions(2);
    commands.insert(1, Command::StopDaemon(SyncRole::Backup));
    let chunk = encode(
        &commands,
        1,
        ORIGIN,
        Limits {
            bytes: 4096,
            messages: 9,
        },
    );
    let asks: Vec<bool> = frame::messages(&chunk.bytes)
        .map(|message| message.flags & NLM_F_ACK != 0)
        .collect();
    assert_eq!(asks, [false, true, true]);
    let mut answers = Answers::new(1, 3);
    answers.take(&answer(3, 0));
    assert_eq!(known(answers, &commands), [Some(0), None, Some(0)]);
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
