//! The answer to one request, put together from messages.

use netlink_packet_core::{DecodeError, NLM_F_DUMP_INTR};

use super::frame::{Answer, Content, Incoming};
use crate::error::{Error, Refusal};

/// What is known of an answer that is complete. Its payloads went to the visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Datagrams with payloads. The kernel holds its lock for one datagram at a time: what came in one is consistent.
    pub(super) parts: usize,
    /// Whether the table changed meanwhile, or parts were lost: the answer is not to be trusted.
    pub(super) interrupted: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The kernel refused.
    Refused(Answer),
    /// A payload cannot be read.
    Decode(DecodeError),
}

impl Failure {
    /// The failure as an error of `request`.
    pub(super) fn about(self, request: &str) -> Error {
        let request = request.to_owned();
        match self {
            Self::Refused(Answer { errno, detail }) => Error::Refused {
                request,
                reason: Refusal::from_errno(errno, None),
                detail,
            },
            Self::Decode(source) => Error::Decode { request, source },
        }
    }
}

/// An answer in the making. Messages with another sequence number, late answers to earlier requests, are passed over.
#[derive(Debug)]
pub(super) struct Reply {
    sequence: u32,
    outcome: Outcome,
    unreadable: Option<DecodeError>,
    last: Option<Answer>,
}

impl Reply {
    pub(super) fn new(sequence: u32) -> Self {
        Self {
            sequence,
            outcome: Outcome {
                parts: 0,
                interrupted: false,
            },
            unreadable: None,
            last: None,
        }
    }

    /// Takes the messages of one datagram and shows their payloads to `visit`.
    pub(super) fn take<'a>(
        &mut self,
        datagram: impl Iterator<Item = Incoming<'a>>,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>,
    ) {
        let mut payloads = false;
        for message in datagram {
            if message.sequence != self.sequence || self.last.is_some() {
                continue;
            }
            self.outcome.interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
            match message.content {
                Content::Payload(payload) => {
                    payloads = true;
                    // After one that cannot be read the rest is taken all the same: the next request must find the
                    // socket idle.
                    if self.unreadable.is_none() {
                        self.unreadable = visit(payload).err();
                    }
                }
                Content::Answer(answer) | Content::Done(answer) => self.last = Some(answer),
                Content::Overrun => self.lose(),
                Content::Nothing => {}
            }
        }
        self.outcome.parts += usize::from(payloads);
    }

    /// Messages were lost.
    pub(super) fn lose(&mut self) {
        self.outcome.interrupted = true;
    }

    /// The end of the answer, once it is complete.
    pub(super) fn end(&mut self) -> Option<Result<Outcome, Failure>> {
        let last = self.last.take()?;
        Some(if last.errno != 0 {
            Err(Failure::Refused(last))
        } else if let Some(error) = self.unreadable.take() {
            Err(Failure::Decode(error))
        } else {
            Ok(self.outcome)
        })
    }
}

#[cfg(test)]
mod tests;
