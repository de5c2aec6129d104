//! The answer to one request, put together from messages.

use netlink_packet_core::{DecodeError, NLM_F_DUMP_INTR};

use super::frame::{Answer, Content, Incoming};
use crate::error::{Error, Refusal};

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome<T> {
    /// The payloads in their order.
    pub(super) messages: Vec<T>,
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
pub(super) struct Reply<T> {
    sequence: u32,
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    messages: Vec<T>,
    interrupted: bool,
    unreadable: Option<DecodeError>,
    last: Option<Answer>,
}

impl<T> Reply<T> {
    pub(super) fn new(sequence: u32, decode: fn(&[u8]) -> Result<T, DecodeError>) -> Self {
        Self {
            sequence,
            decode,
            messages: Vec::new(),
            interrupted: false,
            unreadable: None,
            last: None,
        }
    }

    /// Takes a message.
    pub(super) fn take(&mut self, message: &Incoming<'_>) {
        if message.sequence != self.sequence || self.last.is_some() {
            return;
        }
        self.interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
        match &message.content {
            // After one that cannot be read the rest is taken all the same: the next request must find the socket idle.
            Content::Payload(payload) => match (self.decode)(payload) {
                Ok(message) => self.messages.push(message),
                Err(error) => self.unreadable = Some(error),
            },
            Content::Answer(answer) | Content::Done(answer) => self.last = Some(answer.clone()),
            Content::Overrun => self.lose(),
            Content::Nothing => {}
        }
    }

    /// Messages were lost.
    pub(super) fn lose(&mut self) {
        self.interrupted = true;
    }

    /// The answer, once it is complete.
    pub(super) fn end(&mut self) -> Option<Result<Outcome<T>, Failure>> {
        let last = self.last.take()?;
        Some(if last.errno != 0 {
            Err(Failure::Refused(last))
        } else if let Some(error) = self.unreadable.take() {
            Err(Failure::Decode(error))
        } else {
            Ok(Outcome {
                messages: std::mem::take(&mut self.messages),
                interrupted: self.interrupted,
            })
        })
    }
}

#[cfg(test)]
mod tests;
