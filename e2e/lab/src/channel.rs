//! The command channel of a node: commands run on it while its data cable is cut.
//!
//! One TCP connection carries one command. The request is one line of JSON; what follows in either direction is
//! frames: one octet of kind, four octets of length (big endian), the payload. When the caller's end closes, the
//! command's process group is killed.

mod caller;
mod guest;

use serde::{Deserialize, Serialize};

pub(crate) use caller::{Address, Remote};
pub use guest::serve;

/// Port of the channel on the node's management address.
pub(crate) const PORT: u16 = 2222;

/// Longest payload of one frame, in octets.
const MAX_PAYLOAD: usize = 64 * 1024;

/// The command to run.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    /// Program and arguments.
    command: Vec<String>,
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// From the node: standard output.
    Stdout = 1,
    /// From the node: standard error.
    Stderr = 2,
    /// From the node, the last one: the exit status as four octets, big endian.
    Exit = 3,
    /// To the node: a signal's number in one octet.
    Signal = 4,
}

/// Kind and payload length of a frame's first five octets; none when they make no sense.
fn header(octets: [u8; 5]) -> Option<(Kind, usize)> {
    let [kind, length @ ..] = octets;
    let kind = match kind {
        1 => Kind::Stdout,
        2 => Kind::Stderr,
        3 => Kind::Exit,
        4 => Kind::Signal,
        _ => return None,
    };
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (length <= MAX_PAYLOAD).then_some((kind, length))
}

/// A whole frame. The payload must not be longer than [`MAX_PAYLOAD`].
fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = vec![kind as u8];
    frame.extend(length.to_be_bytes());
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_kind_and_length() {
        let frame = frame(Kind::Stderr, b"no such file");
        let first: [u8; 5] = frame[..5].try_into().unwrap();
        assert_eq!(header(first), Some((Kind::Stderr, 12)));
        assert_eq!(&frame[5..], b"no such file");
    }

    #[test]
    fn nonsense_is_no_frame() {
        assert_eq!(header([9, 0, 0, 0, 1]), None);
        assert_eq!(header([1, 0xff, 0, 0, 0]), None);
    }
}
