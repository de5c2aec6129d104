//! What can go wrong between this crate and the kernel.

use std::io;

use netlink_packet_core::DecodeError;
use rustix::io::Errno;

use crate::change::Change;

/// A failed request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no `nf_tables`, or not all that is needed of it.
    #[error(
        "the kernel has no {what}: load the module {module} on this host (modprobe {module}); Linux 5.4 or later with \
         {option} is needed"
    )]
    Unsupported {
        /// What is missing.
        what: &'static str,
        /// Module that has it.
        module: &'static str,
        /// Option of the kernel's configuration.
        option: &'static str,
    },
    /// The kernel answered with an error. Nothing was changed, neither by this request nor by others of its
    /// transaction.
    #[error("{request}: {reason}")]
    Refused {
        /// The request, as `nft` would take it.
        request: String,
        /// Why.
        reason: Refusal,
    },
    /// The kernel did not answer. A transaction may or may not have been committed.
    #[error("{request}: the kernel did not answer; whether it did what was asked is not known")]
    NoAnswer {
        /// The request.
        request: String,
    },
    /// The ruleset changed during each of several attempts to read the table.
    #[error(
        "table inet lvs_operator: the ruleset changed while it was read, {attempts} times in a row"
    )]
    Inconsistent {
        /// Attempts made.
        attempts: u32,
    },
    /// The answer is not what `linux/netfilter/nf_tables.h` says.
    #[error("{request}: the kernel's answer cannot be read: {source}")]
    Decode {
        /// The request.
        request: String,
        /// What is wrong with the answer.
        source: DecodeError,
    },
    /// The netlink socket failed.
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
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// Why the kernel refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `ENOENT`
    #[error("it, or something that it names, does not exist")]
    NotFound,
    /// `EEXIST`
    #[error("it exists already and is different")]
    Exists,
    /// `EBUSY`
    #[error("it is in use")]
    Busy,
    /// `EPERM` or `EACCES`
    #[error(
        "not permitted: CAP_NET_ADMIN in the user namespace that owns this network namespace is needed"
    )]
    NotPermitted,
    /// `ENOMEM` or `ENOBUFS`
    #[error("the kernel is out of memory")]
    OutOfMemory,
    /// Any other answer.
    #[error("{}", io::Error::from_raw_os_error(*errno))]
    Other {
        /// The error number, positive, as in `errno.h`.
        errno: i32,
    },
}

impl Refusal {
    pub(crate) fn from_errno(errno: i32) -> Self {
        match Errno::from_raw_os_error(errno) {
            Errno::NOENT => Self::NotFound,
            Errno::EXIST => Self::Exists,
            Errno::BUSY => Self::Busy,
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            Errno::NOMEM | Errno::NOBUFS => Self::OutOfMemory,
            _ => Self::Other { errno },
        }
    }
}

/// `nf_tables` as a whole.
pub(crate) const NO_NF_TABLES: Error = Error::Unsupported {
    what: "nf_tables",
    module: "nf_tables",
    option: "CONFIG_NF_TABLES",
};

/// The answer to a change of a transaction; none for the transaction as a whole.
pub(crate) fn of_change(errno: i32, change: Option<&Change>) -> Error {
    let unsupported = |what, module, option| Error::Unsupported {
        what,
        module,
        option,
    };
    match (Errno::from_raw_os_error(errno), change) {
        // nfnetlink knows no such subsystem.
        (Errno::OPNOTSUPP, None) => NO_NF_TABLES,
        // The second is what `nft_supported_family` comes to.
        (Errno::AFNOSUPPORT, _) | (Errno::OPNOTSUPP, Some(Change::AddTable)) => unsupported(
            "nf_tables of the family inet",
            "nf_tables",
            "CONFIG_NF_TABLES_INET",
        ),
        (Errno::OPNOTSUPP, Some(Change::AddMap { .. })) => {
            // A module of its own before Linux 5.10.
            unsupported(
                "hash maps of nf_tables",
                "nf_tables_set",
                "CONFIG_NF_TABLES_SET",
            )
        }
        (Errno::NOENT | Errno::OPNOTSUPP, Some(Change::AddChain { base: Some(_), .. })) => {
            unsupported(
                "filter chains of nf_tables for IPv4 and IPv6",
                "nf_tables",
                "CONFIG_NF_TABLES_INET",
            )
        }
        _ => Error::Refused {
            request: change.map_or_else(
                || "transaction on table inet lvs_operator".to_owned(),
                ToString::to_string,
            ),
            reason: Refusal::from_errno(errno),
        },
    }
}

/// The answer to a question.
pub(crate) fn of_question(errno: i32, request: &'static str) -> Error {
    match Errno::from_raw_os_error(errno) {
        // nfnetlink knows no such subsystem, or the subsystem no such message.
        Errno::INVAL | Errno::OPNOTSUPP => NO_NF_TABLES,
        Errno::AFNOSUPPORT => of_change(errno, None),
        _ => Error::Refused {
            request: request.to_owned(),
            reason: Refusal::from_errno(errno),
        },
    }
}

#[cfg(test)]
mod tests;
