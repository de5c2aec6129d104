use proptest::prelude::*;

use super::*;

const GUE_6080: FouPort = FouPort {
    outer: AddressFamily::IPv4,
    port: 6080,
};

#[test]
fn a_port_is_added_as_ip_fou_add_does() {
    let bytes = request(Command::Add, GUE_6080, 0x1b, 7);
    let expected: &[u8] = &[
        44, 0, 0, 0, 0x1b, 0, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0, // nlmsghdr
        1, 1, 0, 0, // FOU_CMD_ADD, version 1
        6, 0, 1, 0, 0x17, 0xc0, 0, 0, // port 6080
        5, 0, 2, 0, 2, 0, 0, 0, // AF_INET
        5, 0, 4, 0, 2, 0, 0, 0, // FOU_ENCAP_GUE
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn a_port_is_asked_for_by_number_and_family() {
    let bytes = request(Command::Get, GUE_6080, 0x1b, 8);
    assert_eq!(bytes.len(), 16 + 4 + 8 + 8);
    assert_eq!(bytes.get(16..18), Some(&[3, 1][..]));
}

/// What Linux answers about a port, as `fou_fill_info` orders it, and the acknowledgement.
#[test]
fn an_answer_says_what_is_in_the_packets() {
    let answer = |type_: u8| {
        [
            &[44, 0, 0, 0, 0x1b, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0][..],
            &[3, 1, 0, 0],
            &[5, 0, 2, 0, 2, 0, 0, 0],
            &[6, 0, 1, 0, 0x17, 0xc0, 0, 0],
            &[5, 0, 4, 0, type_, 0, 0, 0],
            &[36, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0],
            &[0; 20],
        ]
        .concat()
    };
    for (type_, expected) in [(1, FouKind::Direct), (2, FouKind::Gue)] {
        let datagram = answer(type_);
        let answers: Vec<Answer<'_>> = answers(&datagram, 8).collect();
        let [Answer::Payload(payload), Answer::End(0)] = answers.as_slice() else {
            panic!("{answers:?}");
        };
        assert_eq!(kind(payload).expect("a kind"), expected);
    }
    assert_eq!(answers(&answer(2), 9).count(), 0, "of another request");
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..256), sequence: u32) {
        for answer in answers(&bytes, sequence) {
            if let Answer::Payload(payload) = answer {
                let _ = (family(payload), kind(payload));
            }
        }
        let _ = (family(&bytes), kind(&bytes));
    }
}
