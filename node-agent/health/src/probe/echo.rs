//! ICMP echo messages: RFC 792 ("Echo or Echo Reply Message") and RFC 4443 section 4.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |     Code      |          Checksum             |
//! |           Identifier          |        Sequence Number        |
//! |     Token, 16 bytes: whom the reply is for                    |
//! ```

use std::net::IpAddr;

/// Bytes of a request.
pub(super) const LENGTH: usize = 8 + TOKEN_LENGTH;
const TOKEN_LENGTH: usize = 16;

/// IP version of a message; the types differ, and the kernel makes the checksum of version 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    fn request_type(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    pub(super) fn reply_type(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }
}

/// What ties a reply to its request. The identifier and sequence number of the header are 16 bits
/// that any other program on the host may use too; the token in the payload is what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Token(pub(super) u128);

impl Token {
    fn identifier(self) -> [u8; 2] {
        let [first, second, ..] = self.0.to_be_bytes();
        [first, second]
    }

    fn sequence(self) -> [u8; 2] {
        let [.., first, second] = self.0.to_be_bytes();
        [first, second]
    }
}

/// An echo request with its checksum; for version 6 the kernel replaces the checksum by one that
/// includes the pseudo-header (RFC 3542 section 3.1).
pub(super) fn request(family: Family, token: Token) -> Vec<u8> {
    let mut message = Vec::with_capacity(LENGTH);
    message.extend([family.request_type(), 0, 0, 0]);
    message.extend(token.identifier());
    message.extend(token.sequence());
    message.extend(token.0.to_be_bytes());
    let [high, low] = checksum(&message).to_be_bytes();
    if let [_, _, first, second, ..] = message.as_mut_slice() {
        (*first, *second) = (high, low);
    }
    message
}

/// The token of an echo reply as a raw socket delivers it: version 4 with its IP header, version 6
/// without. `None` for everything else.
pub(super) fn reply_token(family: Family, packet: &[u8]) -> Option<Token> {
    let message = match family {
        Family::V4 => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        Family::V6 => packet,
    };
    let (&[kind, code, ..], token) = message.split_first_chunk::<8>()?;
    let token = Token(u128::from_be_bytes(*token.first_chunk::<TOKEN_LENGTH>()?));
    (kind == family.reply_type() && code == 0).then_some(token)
}

/// Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: Token = Token(0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f);

    /// What Linux 6 answered on its loopback to the requests for [`TOKEN`], as a raw socket got it.
    const REPLY_V4: &[u8] =
        b"\x45\x00\x00\x2c\x01\x05\x00\x00\x40\x01\x7b\xca\x7f\x00\x00\x01\x7f\x00\x00\x01\
        \x00\x00\x19\x0f\x10\x11\x1e\x1f\
        \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
    const REPLY_V6: &[u8] = b"\x81\x00\x97\xba\x10\x11\x1e\x1f\
        \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";

    #[test]
    fn a_request_has_the_layout_of_rfc_792() {
        assert_eq!(
            request(Family::V4, TOKEN),
            b"\x08\x00\x11\x0f\x10\x11\x1e\x1f\
            \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
        );
        assert_eq!(request(Family::V6, TOKEN)[..2], [128, 0]);
    }

    #[test]
    fn captured_replies_are_read() {
        assert_eq!(reply_token(Family::V4, REPLY_V4), Some(TOKEN));
        assert_eq!(reply_token(Family::V6, REPLY_V6), Some(TOKEN));
        for cut in 0..REPLY_V4.len() {
            assert_eq!(reply_token(Family::V4, &REPLY_V4[..cut]), None);
        }
    }

    /// The example of RFC 1071 section 3.
    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
    }

    fn reply(family: Family, token: Token, ip_header_words: u8) -> Vec<u8> {
        let mut packet = match family {
            Family::V4 => {
                let mut header = vec![0; usize::from(ip_header_words) * 4];
                header[0] = 0x40 | ip_header_words;
                header
            }
            Family::V6 => Vec::new(),
        };
        let start = packet.len();
        packet.extend(request(family, token));
        packet[start] = family.reply_type();
        packet
    }

    proptest! {
        #[test]
        fn a_reply_gives_its_token_back(token: u128, words in 5_u8..=15, v6: bool) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            let packet = reply(family, Token(token), words);
            prop_assert_eq!(reply_token(family, &packet), Some(Token(token)));
        }

        #[test]
        fn a_request_is_no_reply(token: u128) {
            prop_assert_eq!(reply_token(Family::V6, &request(Family::V6, Token(token))), None);
        }

        #[test]
        fn no_bytes_make_it_panic(packet: Vec<u8>, v6: bool) {
            let _ = reply_token(if v6 { Family::V6 } else { Family::V4 }, &packet);
        }
    }
}
