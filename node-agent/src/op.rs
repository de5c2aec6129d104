//! One change of the kernel, as a value.

use std::fmt;
use std::net::IpAddr;

use lvs_crds::v1alpha1::AddressFamily;

use crate::kernel::fou::FouPort;
use crate::kernel::modules::Module;
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
    /// Has the kernel load a module.
    LoadModule(Module),
    /// Sets a link up or down.
    SetLink(LinkState),
    /// Takes GUE packets from a UDP port.
    AddFouPort(FouPort),
    /// Takes no more packets from a UDP port.
    DeleteFouPort(FouPort),
    /// Changes the table of firewall marks, in one transaction.
    SetMarks(Vec<lvs_nftables::Change>),
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

/// A link as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkState {
    /// Index of the link.
    pub index: u32,
    /// Name of the link.
    pub name: String,
    /// Whether it is to be up.
    pub is_up: bool,
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
            Self::LoadModule(_) => "load_module",
            Self::SetLink(_) => "set_link",
            Self::AddFouPort(_) => "add_fou_port",
            Self::DeleteFouPort(_) => "delete_fou_port",
            Self::SetMarks(_) => "set_marks",
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
            Self::LoadModule(module) => write!(f, "modprobe {module}"),
            Self::SetLink(link) => {
                let state = if link.is_up { "up" } else { "down" };
                write!(f, "ip link set {} {state}", link.name)
            }
            Self::AddFouPort(port) => write!(f, "{} fou add {port} gue", ip(port.outer)),
            Self::DeleteFouPort(port) => write!(f, "{} fou del {port}", ip(port.outer)),
            Self::SetMarks(changes) => summary(changes, f),
            Self::Ipvs(command) => command.fmt(f),
        }
    }
}

/// Changes of the table of marks that are printed; a new table has some forty.
const PRINTED_CHANGES: usize = 3;

fn summary(changes: &[lvs_nftables::Change], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, change) in changes.iter().take(PRINTED_CHANGES).enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        write!(f, "{separator}{change}")?;
    }
    match changes.len().checked_sub(PRINTED_CHANGES) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, "; and {more} more in the same transaction"),
    }
}

const fn ip(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::IPv4 => "ip",
        AddressFamily::IPv6 => "ip -6",
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
