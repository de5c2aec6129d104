use proptest::prelude::*;

use super::*;
use crate::{arbitrary, captured};

fn only(datagram: &[u8]) -> Incoming<'_> {
    let mut all = messages(datagram);
    let first = all.next().expect("a message");
    assert_eq!(all.next(), None);
    first
}

/// A refusal with errno 22 and the words "no", whose echo of the request is `echo`.
fn refusal(flags: u16, echo: &[u8]) -> Vec<u8> {
    let words = [7, 0, 1, 0, b'n', b'o', 0, 0];
    let length = 16 + 4 + echo.len() + words.len();
    let mut bytes = Vec::new();
    bytes.extend(u32::try_from(length).unwrap().to_ne_bytes());
    bytes.extend(NLMSG_ERROR.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(9_u32.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend((-22_i32).to_ne_bytes());
    bytes.extend(echo);
    bytes.extend(words);
    bytes
}

#[test]
fn captured_acknowledgements_are_read() {
    let content = |name| match only(&captured::answer(name)).content {
        Content::Answer(answer) | Content::Done(answer) => answer.errno,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(content("acknowledgement"), 0);
    assert_eq!(
        content("refusal of ipvsadm -A -t 192.0.2.10:81 -s nosuch"),
        2
    );
    assert_eq!(content("end of a dump"), 0);
}

#[test]
fn a_datagram_has_several_messages() {
    let datagram = captured::answer("services");
    let payloads: Vec<_> = messages(&datagram).map(|message| message.content).collect();
    assert_eq!(payloads.len(), 3);
    for payload in payloads {
        let Content::Payload(payload) = payload else {
            panic!("{payload:?}")
        };
        assert_eq!(Message::decode(payload).unwrap().attributes.len(), 1);
    }
}

#[test]
fn the_kernels_words_follow_the_echoed_request() {
    let mut header = [0; 16];
    header[0] = 16;
    let mut whole = [0; 24];
    whole[0] = 22;
    let expected = Content::Answer(Answer {
        errno: 22,
        detail: Some("no".to_owned()),
    });
    assert_eq!(
        only(&refusal(CAPPED | WITH_ATTRIBUTES, &header)).content,
        expected
    );
    assert_eq!(only(&refusal(WITH_ATTRIBUTES, &whole)).content, expected);
    let silent = Content::Answer(Answer {
        errno: 22,
        detail: None,
    });
    assert_eq!(only(&refusal(CAPPED, &header)).content, silent);
}

#[test]
fn a_dumps_end_may_be_an_error() {
    let mut datagram = captured::answer("end of a dump");
    datagram[16..20].copy_from_slice(&(-12_i32).to_ne_bytes());
    let expected = Content::Done(Answer {
        errno: 12,
        detail: None,
    });
    assert_eq!(only(&datagram).content, expected);
}

#[test]
fn what_we_send_has_the_headers_that_ipvsadm_sends() {
    let (_, captured) = &captured::requests()[0];
    let message = Message::decode(&captured[16..]).unwrap();
    let sequence = u32::from_ne_bytes(captured[8..12].try_into().unwrap());
    let flags = netlink_packet_core::NLM_F_REQUEST | NLM_F_ACK;
    let origin = Origin {
        family: 28,
        port: u32::from_ne_bytes(captured[12..16].try_into().unwrap()),
    };
    assert_eq!(encode(message, origin, sequence, flags), *captured);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in arbitrary::bytes()) {
        prop_assert!(messages(&bytes).count() <= bytes.len() / HEADER_BYTES);
    }

    #[test]
    fn no_broken_answer_panics(
        bytes in prop::sample::select(vec![
            captured::answer("refusal of ipvsadm -A -t 192.0.2.10:81 -s nosuch"),
            captured::answer("services"),
            captured::answer("end of a dump"),
            refusal(WITH_ATTRIBUTES, &[22; 24]),
        ]).prop_flat_map(arbitrary::mutated),
    ) {
        for message in messages(&bytes) {
            if let Content::Payload(payload) = message.content {
                let _ = Message::decode(payload);
            }
        }
    }
}
