//! Many commands in one datagram, and their answers.
//!
//! The kernel tells every error, asked or not, and acknowledges a success where the message asks for it. The
//! commands of a datagram are carried out one after the other before its system call returns; so when the last one is
//! answered, one before it that was not has succeeded. The last one asks, and so do those on which the kernel may
//! keep silent although they failed.

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
    // Where the header of the last message begins.
    let mut last = None;
    for command in commands.iter().take(limits.messages.max(1)) {
        let flags = if may_fail_silently(command) {
            NLM_F_REQUEST | NLM_F_ACK
        } else {
            NLM_F_REQUEST
        };
        let message = translate::message(command);
        let message = frame::encode(message, origin, chunk.next_sequence, flags);
        if chunk.count > 0 && chunk.bytes.len() + message.len() > limits.bytes {
            break;
        }
        last = Some(chunk.bytes.len());
        chunk.bytes.extend(message);
        chunk.count += 1;
        chunk.next_sequence = chunk.next_sequence.wrapping_add(1);
    }
    if let Some(header) = last.and_then(|begin| chunk.bytes.get_mut(begin..)) {
        frame::ask_for_acknowledgement(header);
    }
    chunk
}

/// Whether the kernel may say nothing although a command failed: it swallows `EINTR`, which the start of a
/// synchronisation daemon may end with.
const fn may_fail_silently(command: &Command) -> bool {
    matches!(command, Command::StartDaemon(_) | Command::StopDaemon(_))
}

/// The answers to one chunk.
#[derive(Debug)]
pub(super) struct Answers {
    first_sequence: u32,
    received: Vec<Option<Answer>>,
    /// Whether an answer may have been lost.
    is_torn: bool,
}

impl Answers {
    /// None yet, of `count` commands.
    pub(super) fn new(first_sequence: u32, count: usize) -> Self {
        Self {
            first_sequence,
            received: vec![None; count],
            is_torn: false,
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
            .and_then(|index| self.received.get_mut(index));
        if let Some(place @ None) = place {
            *place = Some(answer.clone());
        }
    }

    /// Answers were lost.
    pub(super) fn lose(&mut self) {
        self.is_torn = true;
    }

    /// Whether no more will come: the last command is answered.
    pub(super) fn are_final(&self) -> bool {
        self.received.last().is_none_or(Option::is_some)
    }

    /// One for each of `commands`, in their order; none where it is not known what became of the command.
    pub(super) fn into_answers(
        self,
        commands: &[Command],
    ) -> impl Iterator<Item = (&Command, Option<Answer>)> {
        let is_whole = self.are_final() && !self.is_torn;
        commands
            .iter()
            .zip(self.received)
            .map(move |(command, answer)| {
                let succeeded =
                    || (is_whole && !may_fail_silently(command)).then_some(Answer::SUCCESS);
                (command, answer.or_else(succeeded))
            })
    }
}

#[cfg(test)]
mod tests;
