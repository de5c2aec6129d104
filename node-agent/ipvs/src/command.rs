//! Changes of the kernel's IPVS state.

use std::fmt;

use crate::model::{
    Destination, DestinationKey, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts,
};

/// One change. Its [`Display`](fmt::Display) is the command line of `ipvsadm` that does the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Adds a virtual service.
    AddService(Service),
    /// Replaces everything but the key of a service. Destinations, connections and counters stay. A new scheduler means
    /// a moment in which no new connection is scheduled.
    SetService(Service),
    /// Deletes a service with its destinations. Its connections lose their accounting, not their path.
    DeleteService(ServiceKey),
    /// Adds a destination to a service. One that was deleted while it had connections gets them back.
    AddDestination {
        /// The service.
        service: ServiceKey,
        /// The new destination.
        destination: Destination,
    },
    /// Replaces everything but the key of a destination. No connection is touched.
    SetDestination {
        /// The service.
        service: ServiceKey,
        /// The destination as it is to be.
        destination: Destination,
    },
    /// Deletes a destination. Packets of its connections are dropped from then on.
    DeleteDestination {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: DestinationKey,
    },
    /// Starts a synchronisation daemon.
    StartDaemon(SyncDaemon),
    /// Stops the synchronisation daemon of that role. One that is stopped before its thread ever ran is stopped without
    /// an answer ([`Error::NoAnswer`](crate::Error::NoAnswer)).
    StopDaemon(SyncRole),
    /// Sets the timeouts that are not 0.
    SetTimeouts(Timeouts),
    /// Zeroes the counters of a service and its destinations, or of all.
    Zero(Option<ServiceKey>),
}

impl Command {
    /// The virtual service that is added, changed or deleted, or whose destinations are.
    #[must_use]
    pub const fn changed_service(&self) -> Option<ServiceKey> {
        match self {
            Self::AddService(service) | Self::SetService(service) => Some(service.key),
            Self::DeleteService(key) => Some(*key),
            Self::AddDestination { service, .. }
            | Self::SetDestination { service, .. }
            | Self::DeleteDestination { service, .. } => Some(*service),
            Self::StartDaemon(_) | Self::StopDaemon(_) | Self::SetTimeouts(_) | Self::Zero(_) => {
                None
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(service) => write!(f, "ipvsadm -A {service}"),
            Self::SetService(service) => write!(f, "ipvsadm -E {service}"),
            Self::DeleteService(service) => write!(f, "ipvsadm -D {service}"),
            Self::AddDestination {
                service,
                destination,
            } => write!(f, "ipvsadm -a {service} {destination}"),
            Self::SetDestination {
                service,
                destination,
            } => write!(f, "ipvsadm -e {service} {destination}"),
            Self::DeleteDestination {
                service,
                destination,
            } => {
                write!(f, "ipvsadm -d {service} -r {destination}")
            }
            Self::StartDaemon(daemon) => write!(f, "ipvsadm --start-daemon {daemon}"),
            Self::StopDaemon(role) => write!(f, "ipvsadm --stop-daemon {role}"),
            Self::SetTimeouts(timeouts) => write!(f, "ipvsadm --set {timeouts}"),
            Self::Zero(None) => f.write_str("ipvsadm -Z"),
            Self::Zero(Some(service)) => write!(f, "ipvsadm -Z {service}"),
        }
    }
}

#[cfg(test)]
mod tests;
