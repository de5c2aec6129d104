//! What can go wrong between this crate and the kernel.

use std::io;

use netlink_packet_core::DecodeError;
use rustix::io::Errno;

use crate::Command;
use crate::model::{Name, SyncRole};

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
    /// may or may not have been made.
    #[error("{request}: the kernel did not answer; whether it did what was asked is not known")]
    NoAnswer {
        /// The request as `ipvsadm` would take it.
        request: String,
    },
    /// The table changed during each of several attempts to read it.
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

/// Why the kernel refused a request (`net/netfilter/ipvs/ip_vs_ctl.c`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `ESRCH`
    #[error("there is no such virtual service")]
    NoSuchService,
    /// `ENOENT` for a destination.
    #[error("the virtual service has no such destination")]
    NoSuchDestination,
    /// `ENOENT` for a service: neither built in nor loadable.
    #[error("scheduler {scheduler} is unknown: load the module ip_vs_{scheduler} on this host")]
    UnknownScheduler {
        /// The scheduler.
        scheduler: Name,
    },
    /// `ENOENT` for a service with a persistence engine: one of the two is unknown.
    #[error(
        "scheduler {scheduler} or persistence engine {engine} is unknown: load the modules ip_vs_{scheduler} and \
         ip_vs_pe_{engine} on this host"
    )]
    UnknownSchedulerOrEngine {
        /// The scheduler.
        scheduler: Name,
        /// The persistence engine.
        engine: Name,
    },
    /// `EEXIST`
    #[error("it exists already")]
    Exists,
    /// `ERANGE`
    #[error(
        "weight or thresholds are out of range: 0 <= weight <= 2147483647, lower <= upper threshold"
    )]
    OutOfRange,
    /// `ESRCH` or `ENOENT` for a daemon.
    #[error("no {role} synchronisation daemon runs")]
    NoSuchDaemon {
        /// Its role.
        role: SyncRole,
    },
    /// `ENODEV`
    #[error("there is no network interface {interface}")]
    NoSuchInterface {
        /// The interface.
        interface: Name,
    },
    /// `EINVAL`
    #[error(
        "invalid: addresses of real servers are unicast; a real server of the other family needs tunnelling and no \
         synchronisation daemon; GUE needs a port; an IPv6 prefix is 1 to 128"
    )]
    Invalid,
    /// `EAFNOSUPPORT`
    #[error("the kernel's IPVS does not support this address family")]
    FamilyNotSupported,
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
    /// The meaning of an error number as an answer to `command`, or to a dump if there is none.
    pub(crate) fn from_errno(errno: i32, command: Option<&Command>) -> Self {
        match (Errno::from_raw_os_error(errno), command) {
            (Errno::PERM | Errno::ACCESS, _) => Self::NotPermitted,
            (Errno::NOMEM | Errno::NOBUFS, _) => Self::OutOfMemory,
            (Errno::AFNOSUPPORT, _) => Self::FamilyNotSupported,
            (Errno::RANGE, _) => Self::OutOfRange,
            (Errno::EXIST, _) => Self::Exists,
            (Errno::INVAL, _) => Self::Invalid,
            (Errno::NODEV, Some(Command::StartDaemon(daemon))) => Self::NoSuchInterface {
                interface: daemon.interface.clone(),
            },
            (Errno::SRCH | Errno::NOENT, Some(Command::StopDaemon(role))) => {
                Self::NoSuchDaemon { role: *role }
            }
            (Errno::SRCH, _) => Self::NoSuchService,
            (Errno::NOENT, Some(Command::AddService(service) | Command::SetService(service))) => {
                let scheduler = service.scheduler.clone();
                match service.persistence_engine.clone() {
                    None => Self::UnknownScheduler { scheduler },
                    Some(engine) => Self::UnknownSchedulerOrEngine { scheduler, engine },
                }
            }
            (
                Errno::NOENT,
                Some(
                    Command::AddDestination { .. }
                    | Command::SetDestination { .. }
                    | Command::DeleteDestination { .. },
                ),
            ) => Self::NoSuchDestination,
            _ => Self::Other { errno },
        }
    }
}

#[cfg(test)]
mod tests;
