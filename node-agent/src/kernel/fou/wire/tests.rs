use netlink_packet_core::NLM_F_DUMP;
use proptest::prelude::*;

use super::*;

const GUE_6080: FouPort = FouPort {
    outer: AddressFamily::IPv4,
    port: 6080,
};

#[test]
fn a_port_is_added_as_ip_fou_add_does() {
    let bytes = request(
        Command::Add,
        Some(GUE_6080),
        0x1b,
        7,
        NLM_F_REQUEST | NLM_F_ACK,
    );
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
fn a_dump_asks_for_nothing_in_particular() {
    let bytes = request(Command::Get, None, 0x1b, 8, NLM_F_REQUEST | NLM_F_DUMP);
    assert_eq!(bytes.len(), 20);
    assert_eq!(bytes.get(16..18), Some(&[3, 1][..]));
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..256), sequence: u32) {
        for answer in answers(&bytes, sequence) {
            if let Answer::Payload(payload) = answer {
                let _ = (family(payload), port(payload));
            }
        }
        let _ = (family(&bytes), port(&bytes));
    }
}
