//! What can go wrong between this crate and the kernel.

use std::io;

use netlink_packet_core::DecodeError;

mod refusal;

pub use refusal::Refusal;

/// A failed request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel does not know the generic netlink family `IPVS`.
    #[error("the kernel has no IPVS: load the module ip_vs on this host (modprobe ip_vs)")]
    NotSupported,
    /// The kernel answered with an error; nothing was changed.
    #[error("{request}: {reason}{}", detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Refused {
        /// The request as `ipvsadm` would take it.
        request: String,
        /// Why.
        reason: Refusal,
        /// The kernel's own words, if it has any (extended acknowledgement).
        detail: Option<String>,
    },
    /// The kernel did not answer: the answer was lost, or the kernel swallowed it, as it does with `EINTR`. A change
    /// may or may not have been made. After a reading that ended so, make a new [`Client`](crate::Client): the old
    /// one's reading may still be going on.
    #[error("{request}: the kernel did not answer; whether it did what was asked is not known")]
    NoAnswer {
        /// The request as `ipvsadm` would take it.
        request: String,
    },
    /// The table changed during each of several attempts to read it, or parts of the answer were lost.
    #[error("{request}: the table changed while it was read, {attempts} times in a row")]
    Inconsistent {
        /// The request as `ipvsadm` would take it.
        request: String,
        /// Attempts made.
        attempts: u32,
    },
    /// The answer is not what `linux/ip_vs.h` says.
    #[error("{request}: the kernel's answer cannot be read: {source}")]
    Decode {
        /// The request as `ipvsadm` would take it.
        request: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The netlink socket failed. A change that was to be sent was not made.
    #[error("netlink socket: cannot {operation}: {source}")]
    Socket {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// The kernel's reason, if this is its refusal.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
