//! The kernel's refusals.

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use crate::Command;
use crate::model::{
    Destination, DestinationKey, Family, Forwarding, Name, Netmask, Service, ServiceKey, SyncRole,
    TunnelKind,
};

/// Why the kernel refused a request (`net/netfilter/ipvs/ip_vs_ctl.c`).
///
/// The kernel answers with an error number, which means one thing or another depending on what was asked. For some it
/// also depends on what the kernel has; then the likeliest reason is given.
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
    /// `ERANGE` for a weight that is negative to the kernel.
    #[error("weight {weight} is out of range: 0 to 2147483647")]
    WeightOutOfRange {
        /// The weight.
        weight: u32,
    },
    /// `ERANGE` for thresholds.
    #[error("the lower threshold {lower} is above the upper threshold {upper}")]
    ThresholdsOutOfOrder {
        /// Upper threshold.
        upper: u32,
        /// Lower threshold.
        lower: u32,
    },
    /// `EINVAL` for a destination: its address is multicast or broadcast, or unspecified.
    #[error("{address} is no unicast address")]
    NotUnicast {
        /// The destination's address.
        address: IpAddr,
    },
    /// `EINVAL` for a destination of the other family that is not reached by a tunnel.
    #[error(
        "{address} is of the other address family than the virtual service: such a real server needs the forwarding \
         method tunnelling"
    )]
    OtherFamilyWithoutTunnel {
        /// The destination's address.
        address: IpAddr,
    },
    /// `EINVAL` for a destination of the other family behind a tunnel.
    #[error(
        "{address} is of the other address family than the virtual service: the kernel takes no such real server while \
         a synchronisation daemon runs"
    )]
    OtherFamilyWhileSynchronising {
        /// The destination's address.
        address: IpAddr,
    },
    /// `EINVAL` for a destination behind a tunnel by GUE.
    #[error("a GUE tunnel needs a port, 1 to 65535")]
    TunnelWithoutPort,
    /// `EINVAL` for an IPv6 service.
    #[error(
        "the persistence mask of an IPv6 service is a prefix length of 1 to 128, not {netmask}"
    )]
    NoPrefixLength {
        /// The mask.
        netmask: Netmask,
    },
    /// `EINVAL` for a daemon: its group is no multicast address.
    #[error("{group} is no multicast address")]
    NotMulticast {
        /// The group.
        group: IpAddr,
    },
    /// `EINVAL` for a daemon, otherwise.
    #[error(
        "the kernel runs no synchronisation daemon while a virtual service has real servers of the other address family"
    )]
    FamiliesMixed,
    /// `EINVAL` for timeouts.
    #[error(
        "a timeout is too long: 2147483647 divided by the kernel's ticks per second is the limit"
    )]
    TimeoutTooLong,
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
    /// `EINVAL`, otherwise.
    #[error("the kernel calls it invalid")]
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
    /// The meaning of an error number as an answer to `command`, or to a reading if there is none.
    pub(crate) fn from_errno(errno: i32, command: Option<&Command>) -> Self {
        match (Errno::from_raw_os_error(errno), command) {
            (Errno::PERM | Errno::ACCESS, _) => Self::NotPermitted,
            (Errno::NOMEM | Errno::NOBUFS, _) => Self::OutOfMemory,
            (Errno::AFNOSUPPORT, _) => Self::FamilyNotSupported,
            (Errno::EXIST, _) => Self::Exists,
            (Errno::INVAL, Some(command)) => Self::invalid(command),
            (Errno::INVAL, None) => Self::Invalid,
            (
                Errno::RANGE,
                Some(
                    Command::AddDestination { destination, .. }
                    | Command::SetDestination { destination, .. },
                ),
            ) => Self::out_of_range(destination),
            (Errno::NODEV, Some(Command::StartDaemon(daemon))) => Self::NoSuchInterface {
                interface: daemon.interface.clone(),
            },
            (Errno::SRCH | Errno::NOENT, Some(Command::StopDaemon(role))) => {
                Self::NoSuchDaemon { role: *role }
            }
            (Errno::SRCH, _) => Self::NoSuchService,
            (Errno::NOENT, Some(Command::AddService(service) | Command::SetService(service))) => {
                Self::unknown_name(service)
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

    fn unknown_name(service: &Service) -> Self {
        let scheduler = service.scheduler.clone();
        match service.persistence_engine.clone() {
            None => Self::UnknownScheduler { scheduler },
            Some(engine) => Self::UnknownSchedulerOrEngine { scheduler, engine },
        }
    }

    fn out_of_range(destination: &Destination) -> Self {
        let Destination {
            weight,
            upper_threshold: upper,
            lower_threshold: lower,
            ..
        } = *destination;
        if lower > upper {
            Self::ThresholdsOutOfOrder { upper, lower }
        } else {
            Self::WeightOutOfRange { weight }
        }
    }

    fn invalid(command: &Command) -> Self {
        match command {
            Command::AddService(service) | Command::SetService(service) => {
                match service.persistence {
                    Some(persistence) if service.key.family() == Family::Ipv6 => {
                        Self::NoPrefixLength {
                            netmask: persistence.netmask,
                        }
                    }
                    _ => Self::Invalid,
                }
            }
            Command::AddDestination {
                service,
                destination,
            }
            | Command::SetDestination {
                service,
                destination,
            } => Self::invalid_destination(service, destination),
            Command::StartDaemon(daemon) => match daemon.group {
                Some(group) if !group.is_multicast() => Self::NotMulticast { group },
                _ => Self::FamiliesMixed,
            },
            Command::SetTimeouts(_) => Self::TimeoutTooLong,
            Command::DeleteService(_)
            | Command::DeleteDestination { .. }
            | Command::StopDaemon(_)
            | Command::Zero(_) => Self::Invalid,
        }
    }

    /// In the order in which the kernel checks.
    fn invalid_destination(service: &ServiceKey, destination: &Destination) -> Self {
        let DestinationKey { address, .. } = destination.key;
        let tunnel = match destination.forwarding {
            Forwarding::Tunnel(tunnel) => Some(tunnel),
            _ => None,
        };
        let other_family = service.family() != Family::of(address);
        if other_family && tunnel.is_none() {
            Self::OtherFamilyWithoutTunnel { address }
        } else if tunnel.is_some_and(|tunnel| tunnel.kind == TunnelKind::Gue && tunnel.port == 0) {
            Self::TunnelWithoutPort
        } else if other_family && !address.is_multicast() && !address.is_unspecified() {
            Self::OtherFamilyWhileSynchronising { address }
        } else {
            Self::NotUnicast { address }
        }
    }
}

#[cfg(test)]
mod tests;
