use super::*;

const SEQUENCE: u32 = 5;

/// A reply whose payloads are single bytes, and those that it showed.
#[derive(Debug)]
struct Heard {
    reply: Reply,
    bytes: Vec<u8>,
}

impl Heard {
    fn new() -> Self {
        Self {
            reply: Reply::new(SEQUENCE),
            bytes: Vec::new(),
        }
    }

    /// One datagram comes.
    fn take<const N: usize>(&mut self, datagram: [Incoming<'_>; N]) {
        self.reply
            .take(datagram.into_iter(), &mut |payload| match payload {
                [byte] => {
                    self.bytes.push(*byte);
                    Ok(())
                }
                _ => Err("not one byte".into()),
            });
    }
}

fn payload(bytes: &[u8]) -> Incoming<'_> {
    Incoming {
        sequence: SEQUENCE,
        flags: 0,
        content: Content::Payload(bytes),
    }
}

fn done(errno: i32) -> Incoming<'static> {
    let content = Content::Done(Answer {
        errno,
        detail: None,
    });
    Incoming {
        sequence: SEQUENCE,
        flags: 0,
        content,
    }
}

#[test]
fn parts_come_together_at_the_end() {
    let mut heard = Heard::new();
    heard.take([payload(&[1]), payload(&[2])]);
    heard.take([payload(&[3])]);
    assert!(heard.reply.end().is_none());
    heard.take([done(0)]);
    let outcome = heard.reply.end().unwrap().unwrap();
    assert_eq!(heard.bytes, [1, 2, 3]);
    assert_eq!(
        outcome,
        Outcome {
            parts: 2,
            interrupted: false
        }
    );
}

#[test]
fn the_end_may_come_with_the_last_part() {
    let mut heard = Heard::new();
    heard.take([payload(&[1]), done(0), payload(&[2])]);
    assert_eq!(heard.reply.end().unwrap().unwrap().parts, 1);
    assert_eq!(heard.bytes, [1]);
}

#[test]
fn answers_to_others_are_passed_over() {
    let mut heard = Heard::new();
    heard.take([
        Incoming {
            sequence: SEQUENCE - 1,
            ..payload(&[1])
        },
        Incoming {
            sequence: SEQUENCE + 1,
            ..done(0)
        },
    ]);
    assert!(heard.reply.end().is_none());
    heard.take([done(0)]);
    assert_eq!(heard.reply.end().unwrap().unwrap().parts, 0);
    assert_eq!(heard.bytes, []);
}

#[test]
fn a_change_or_a_loss_meanwhile_is_told() {
    let mut changed = Heard::new();
    changed.take([Incoming {
        flags: NLM_F_DUMP_INTR,
        ..payload(&[1])
    }]);
    changed.take([done(0)]);
    assert!(changed.reply.end().unwrap().unwrap().interrupted);

    let mut lost = Heard::new();
    lost.reply.lose();
    lost.take([done(0)]);
    assert!(lost.reply.end().unwrap().unwrap().interrupted);
}

#[test]
fn an_unreadable_part_is_an_error_after_the_last_part() {
    let mut heard = Heard::new();
    heard.take([payload(&[]), payload(&[1])]);
    assert!(heard.reply.end().is_none());
    heard.take([done(0)]);
    assert!(matches!(heard.reply.end(), Some(Err(Failure::Decode(_)))));
    assert_eq!(heard.bytes, []);
}

#[test]
fn a_refusal_ends_it() {
    let mut heard = Heard::new();
    heard.take([done(1)]);
    let error = heard.reply.end().unwrap().unwrap_err().about("ipvsadm -Ln");
    assert!(
        matches!(
            error,
            Error::Refused {
                reason: Refusal::NotPermitted,
                ..
            }
        ),
        "{error}"
    );
}
