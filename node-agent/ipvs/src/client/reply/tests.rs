use super::*;

const SEQUENCE: u32 = 5;

/// A reply whose payloads are single bytes.
fn reply() -> Reply<u8> {
    Reply::new(SEQUENCE, |payload| match payload {
        [byte] => Ok(*byte),
        _ => Err("not one byte".into()),
    })
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
    let mut reply = reply();
    reply.take(&payload(&[1]));
    reply.take(&payload(&[2]));
    assert!(reply.end().is_none());
    reply.take(&done(0));
    let outcome = reply.end().unwrap().unwrap();
    assert_eq!(
        outcome,
        Outcome {
            messages: vec![1, 2],
            interrupted: false
        }
    );
}

#[test]
fn answers_to_others_are_passed_over() {
    let mut reply = reply();
    reply.take(&Incoming {
        sequence: SEQUENCE - 1,
        ..payload(&[1])
    });
    reply.take(&Incoming {
        sequence: SEQUENCE + 1,
        ..done(0)
    });
    assert!(reply.end().is_none());
    reply.take(&done(0));
    assert_eq!(reply.end().unwrap().unwrap().messages, []);
}

#[test]
fn a_change_or_a_loss_meanwhile_is_told() {
    let mut changed = reply();
    changed.take(&Incoming {
        flags: NLM_F_DUMP_INTR,
        ..payload(&[1])
    });
    changed.take(&done(0));
    assert!(changed.end().unwrap().unwrap().interrupted);

    let mut lost = reply();
    lost.lose();
    lost.take(&done(0));
    assert!(lost.end().unwrap().unwrap().interrupted);
}

#[test]
fn an_unreadable_part_is_an_error_after_the_last_part() {
    let mut reply = reply();
    reply.take(&payload(&[]));
    assert!(reply.end().is_none());
    reply.take(&payload(&[1]));
    reply.take(&done(0));
    assert!(matches!(reply.end(), Some(Err(Failure::Decode(_)))));
}

#[test]
fn a_refusal_ends_it() {
    let mut reply = reply();
    reply.take(&done(1));
    let error = reply.end().unwrap().unwrap_err().about("ipvsadm -Ln");
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
