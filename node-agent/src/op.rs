//! One change of the kernel, as a value.

use std::fmt;
use std::net::IpAddr;

use crate::kernel::sysctls::Sysctl;

/// One change of the kernel. Its [`Display`](fmt::Display) reads like the command that does the
/// same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a sysctl.
    SetSysctl {
        /// Which.
        sysctl: Sysctl,
        /// The value to write.
        value: String,
    },
    /// Adds a VIP to an interface of a real server, for good.
    AddAddress(LoopbackVip),
    /// Deletes a VIP from an interface of a real server.
    DeleteAddress(LoopbackVip),
    /// Changes the IPVS table or its synchronisation daemons.
    Ipvs(lvs_ipvs::Command),
}

/// A VIP on a real server's interface, with the prefix of a single host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoopbackVip {
    /// The VIP.
    pub address: IpAddr,
    /// Prefix length: 32 or 128, except when one that was found is deleted.
    pub prefix_length: u8,
    /// Index of the interface.
    pub interface_index: u32,
    /// Name of the interface, usually `lo`.
    pub interface_name: String,
}

impl Op {
    /// Kind of change, the label of the metric that counts them.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        use lvs_ipvs::Command;
        match self {
            Self::SetSysctl { .. } => "set_sysctl",
            Self::AddAddress(_) => "add_address",
            Self::DeleteAddress(_) => "delete_address",
            Self::Ipvs(command) => match command {
                Command::AddService(_) => "add_service",
                Command::SetService(_) => "set_service",
                Command::DeleteService(_) => "delete_service",
                Command::AddDestination { .. } => "add_destination",
                Command::SetDestination { .. } => "set_destination",
                Command::DeleteDestination { .. } => "delete_destination",
                Command::StartDaemon(_) => "start_daemon",
                Command::StopDaemon(_) => "stop_daemon",
                Command::SetTimeouts(_) => "set_timeouts",
                Command::Zero(_) => "zero",
            },
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetSysctl { sysctl, value } => write!(f, "sysctl {sysctl}={value}"),
            Self::AddAddress(vip) => write!(f, "ip addr add {vip}"),
            Self::DeleteAddress(vip) => write!(f, "ip addr del {vip}"),
            Self::Ipvs(command) => command.fmt(f),
        }
    }
}

impl fmt::Display for LoopbackVip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{} dev {}",
            self.address, self.prefix_length, self.interface_name
        )
    }
}
