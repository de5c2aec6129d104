use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use proptest::prelude::*;

use super::*;

fn header(kind: u16, port: u32) -> Vec<u8> {
    let mut bytes = 36_u32.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    bytes.extend(1_u32.to_ne_bytes());
    bytes.extend(port.to_ne_bytes());
    bytes
}

fn acknowledgement(port: u32) -> Vec<u8> {
    // The kernel answers to the socket's port; what the request had is in the copy of its header.
    let mut bytes = header(NLMSG_ERROR, 99);
    bytes.extend(0_i32.to_ne_bytes());
    bytes.extend(header(28, port));
    bytes
}

#[test]
fn a_change_is_a_notice_before_and_after_it_is_made() {
    let mut requesters = Requesters::default();
    assert!(requesters.take(&header(28, 5)));
    assert!(requesters.take(&acknowledgement(5)));
    assert!(requesters.take(&acknowledgement(5)));
}

#[test]
fn an_answer_to_somebody_who_changed_nothing_is_none() {
    let mut requesters = Requesters::default();
    assert!(!requesters.take(&acknowledgement(5)));
    assert!(requesters.take(&header(28, 5)));
    assert!(!requesters.take(&acknowledgement(6)));
}

#[test]
fn the_latest_requesters_are_remembered() {
    let mut requesters = Requesters::default();
    for port in 0..=64 {
        assert!(requesters.take(&header(28, port)));
    }
    assert_eq!(requesters.ports.len(), REMEMBERED);
    assert!(!requesters.take(&acknowledgement(0)));
    assert!(requesters.take(&acknowledgement(64)));
}

proptest! {
    #[test]
    fn no_bytes_panic_or_are_kept_beyond_the_bound(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..48), 0..200)) {
        let mut requesters = Requesters::default();
        for message in messages {
            let has_noticed = requesters.take(&message);
            prop_assert!(!has_noticed || message.len() >= PAYLOAD);
        }
        prop_assert!(requesters.ports.len() <= REMEMBERED);
    }
}
