//! Many commands in one datagram, and their acknowledgements.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};

use super::frame::{self, Answer, Content, Incoming};
use crate::{Command, Origin, translate};

/// Longest datagram in bytes. One command takes about 150.
pub(super) const MAX_BYTES: usize = 32 * 1024;

/// What one datagram may hold. The first command always goes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Length in bytes.
    pub(super) bytes: usize,
    /// Number of messages: each has an acknowledgement that must find room in the receive buffer.
    pub(super) messages: usize,
}

/// A datagram of commands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// How many commands it holds.
    pub(super) count: usize,
    /// Sequence number of its first command. The others follow one by one.
    pub(super) first_sequence: u32,
    /// The sequence number after its last.
    pub(super) next_sequence: u32,
}

/// Encodes as many of the first commands as the limits allow, at least one if there is any.
pub(super) fn encode(
    commands: &[Command],
    first_sequence: u32,
    origin: Origin,
    limits: Limits,
) -> Chunk {
    let mut chunk = Chunk {
        bytes: Vec::new(),
        count: 0,
        first_sequence,
        next_sequence: first_sequence,
    };
    for command in commands.iter().take(limits.messages.max(1)) {
        let message = frame::encode(
            translate::message(command),
            origin,
            chunk.next_sequence,
            NLM_F_REQUEST | NLM_F_ACK,
        );
        if chunk.count > 0 && chunk.bytes.len() + message.len() > limits.bytes {
            break;
        }
        chunk.bytes.extend(message);
        chunk.count += 1;
        chunk.next_sequence = chunk.next_sequence.wrapping_add(1);
    }
    chunk
}

/// The acknowledgements of one chunk.
#[derive(Debug)]
pub(super) struct Acks {
    first_sequence: u32,
    answers: Vec<Option<Answer>>,
}

impl Acks {
    /// None yet, of `count` that are expected.
    pub(super) fn new(first_sequence: u32, count: usize) -> Self {
        Self {
            first_sequence,
            answers: vec![None; count],
        }
    }

    /// Takes a message. One that answers nothing of this chunk is passed over.
    pub(super) fn take(&mut self, message: &Incoming<'_>) {
        let Content::Answer(answer) = &message.content else {
            return;
        };
        let index = message.sequence.wrapping_sub(self.first_sequence);
        let place = usize::try_from(index)
            .ok()
            .and_then(|index| self.answers.get_mut(index));
        if let Some(place @ None) = place {
            *place = Some(answer.clone());
        }
    }

    /// Whether no more will come. The kernel answers in the order of the commands, so what is missing before the last
    /// answer stays missing: the kernel swallows `EINTR`, which a synchronisation daemon may end with.
    pub(super) fn are_final(&self) -> bool {
        self.answers.last().is_none_or(Option::is_some)
    }

    /// One for each command, in their order.
    pub(super) fn into_answers(self) -> impl Iterator<Item = Option<Answer>> {
        self.answers.into_iter()
    }
}

#[cfg(test)]
mod tests;
