//! Virtual services.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use super::Name;

/// Address family of a virtual service or of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `AF_INET`
    Ipv4,
    /// `AF_INET6`
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

/// Transport protocol of a virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `IPPROTO_TCP`, 6
    Tcp,
    /// `IPPROTO_UDP`, 17
    Udp,
    /// `IPPROTO_SCTP`, 132
    Sctp,
    /// Another number of the IANA registry. The kernel stores it, but IPVS does not balance it.
    Other(u16),
}

impl Protocol {
    /// The protocol's number in the IANA registry.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }

    /// The protocol of a number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

/// What packets a virtual service takes. At most one service of a network namespace has a given key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets of one protocol to one address and port.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// The virtual IP address (VIP).
        address: IpAddr,
        /// Destination port. 0 takes all ports that no other service takes and needs [`Persistence`].
        port: u16,
    },
    /// Packets that carry a firewall mark, of any protocol and port.
    Mark {
        /// The mark. 0 means "no mark" to the kernel.
        mark: NonZeroU32,
        /// Marks of IPv4 and IPv6 packets are different services.
        family: Family,
    },
}

impl ServiceKey {
    /// The family of the packets that the service takes.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(*address),
            Self::Mark { family, .. } => *family,
        }
    }
}

bitflags::bitflags! {
    /// Flags of a virtual service that its owner chooses (`IP_VS_SVC_F_*` in `linux/ip_vs.h`).
    ///
    /// Persistence is a flag too in the kernel; here it is [`Service::persistence`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct ServiceFlags: u32 {
        /// `IP_VS_SVC_F_ONEPACKET`: each UDP datagram is scheduled anew.
        const ONE_PACKET = 0x04;
        /// `IP_VS_SVC_F_SCHED1`: fall back to another server when the chosen one has weight 0, for `sh` and `mh`.
        const SCHEDULER_1 = 0x08;
        /// `IP_VS_SVC_F_SCHED2`: hash the source port too, for `sh` and `mh`.
        const SCHEDULER_2 = 0x10;
        /// `IP_VS_SVC_F_SCHED3`
        const SCHEDULER_3 = 0x20;
        // Flags of later kernels are kept as they are.
        const _ = !(wire_only::PERSISTENT | wire_only::HASHED);
    }
}

/// Flags that stand on the wire only.
pub(crate) mod wire_only {
    /// `IP_VS_SVC_F_PERSISTENT`: the service has a persistence timeout.
    pub(crate) const PERSISTENT: u32 = 0x01;
    /// `IP_VS_SVC_F_HASHED`: set by the kernel on every service that it lists.
    pub(crate) const HASHED: u32 = 0x02;
}

/// How much of a client's address persistence looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Netmask {
    /// Mask of an IPv4 service. The kernel takes any, contiguous or not.
    V4(Ipv4Addr),
    /// Prefix length of an IPv6 service in bits, 1 to 128.
    V6(u8),
}

impl Netmask {
    /// The mask that tells every client from every other: the default of `ipvsadm`.
    #[must_use]
    pub const fn host(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::Ipv6 => Self::V6(128),
        }
    }

    /// The mask of a prefix length: 1 to 32 for IPv4, 1 to 128 for IPv6, nothing outside.
    #[must_use]
    pub fn from_prefix_length(family: Family, bits: u8) -> Option<Self> {
        match family {
            Family::Ipv4 if (1..=32).contains(&bits) => {
                Some(Self::V4(Ipv4Addr::from_bits(u32::MAX << (32 - bits))))
            }
            Family::Ipv6 if (1..=128).contains(&bits) => Some(Self::V6(bits)),
            _ => None,
        }
    }

    /// The family of services that can have this mask.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::Ipv4,
            Self::V6(_) => Family::Ipv6,
        }
    }
}

/// A client that came back within the timeout gets the real server that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persistence {
    /// How long a client is remembered after its last connection, in seconds. `ipvsadm` takes 1 to 2,678,400 (31
    /// days); the kernel does not check.
    pub timeout_seconds: u32,
    /// Clients that are equal under this mask count as one. Its family must be the service's: to the kernel both are
    /// four bytes.
    pub netmask: Netmask,
}

impl Persistence {
    /// Persistence of single clients.
    #[must_use]
    pub const fn of_hosts(family: Family, timeout_seconds: u32) -> Self {
        Self {
            timeout_seconds,
            netmask: Netmask::host(family),
        }
    }
}

/// A virtual service without its destinations.
///
/// ```
/// use lvs_ipvs::{Family, Name, Netmask, Persistence, Protocol, Service, ServiceFlags, ServiceKey};
///
/// let key = ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, 10].into(), port: 443 };
/// let service = Service {
///     flags: ServiceFlags::SCHEDULER_2,
///     persistence: Netmask::from_prefix_length(Family::Ipv4, 24)
///         .map(|netmask| Persistence { timeout_seconds: 300, netmask }),
///     ..Service::new(key, Name::new("mh")?)
/// };
/// assert_eq!(service.to_string(), "-t 192.0.2.10:443 -s mh -p 300 -M 255.255.255.0 -b mh-port");
/// # Ok::<(), lvs_ipvs::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// What packets the service takes.
    pub key: ServiceKey,
    /// Name of the scheduler, for example `wlc`. `none` drops new connections and costs nothing to set up.
    pub scheduler: Name,
    /// Flags.
    pub flags: ServiceFlags,
    /// Persistence, if clients are to keep their real server.
    pub persistence: Option<Persistence>,
    /// Name of the persistence engine, `sip` in the kernel's tree. Needs [`Service::persistence`].
    pub persistence_engine: Option<Name>,
}

impl Service {
    /// A service with a scheduler and without anything else.
    #[must_use]
    pub const fn new(key: ServiceKey, scheduler: Name) -> Self {
        Self {
            key,
            scheduler,
            flags: ServiceFlags::empty(),
            persistence: None,
            persistence_engine: None,
        }
    }

    /// Names of the set scheduler flags as `ipvsadm -b` takes them.
    fn scheduler_flag_names(&self) -> Vec<&'static str> {
        let (first, second) = match self.scheduler.as_str() {
            "sh" => ("sh-fallback", "sh-port"),
            "mh" => ("mh-fallback", "mh-port"),
            _ => ("flag-1", "flag-2"),
        };
        [
            (ServiceFlags::SCHEDULER_1, first),
            (ServiceFlags::SCHEDULER_2, second),
            (ServiceFlags::SCHEDULER_3, "flag-3"),
        ]
        .into_iter()
        .filter(|(flag, _)| self.flags.contains(*flag))
        .map(|(_, name)| name)
        .collect()
    }
}

/// `address:port`, an IPv6 address in brackets.
pub(super) fn socket_address(address: IpAddr, port: u16) -> impl fmt::Display {
    std::net::SocketAddr::new(address, port)
}

/// The option of `ipvsadm` that names the service: `-t 192.0.2.10:80`, `-f 7 -6`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address {
                protocol,
                address,
                port,
            } => {
                let address = socket_address(address, port);
                match protocol {
                    Protocol::Tcp => write!(f, "-t {address}"),
                    Protocol::Udp => write!(f, "-u {address}"),
                    Protocol::Sctp => write!(f, "--sctp-service {address}"),
                    // ipvsadm cannot name it.
                    Protocol::Other(number) => write!(f, "--protocol {number} {address}"),
                }
            }
            Self::Mark {
                mark,
                family: Family::Ipv4,
            } => write!(f, "-f {mark}"),
            Self::Mark {
                mark,
                family: Family::Ipv6,
            } => write!(f, "-f {mark} -6"),
        }
    }
}

/// As `ipvsadm -M` takes it: a mask in dotted notation, or a prefix length.
impl fmt::Display for Netmask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(bits) => bits.fmt(f),
        }
    }
}

/// The option of `ipvsadm`'s persistence: `-p 50`, with `-M` if the mask is not the default.
impl fmt::Display for Persistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-p {}", self.timeout_seconds)?;
        if self.netmask == Netmask::host(self.netmask.family()) {
            return Ok(());
        }
        write!(f, " -M {}", self.netmask)
    }
}

/// The service as a line of `ipvsadm-save -n` has it after `-A`, but for two things that `ipvsadm` 1.31 takes and does not
/// print: the third flag of `sh` and `mh`, and marks from 2³¹ on, which it prints as negative numbers.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -s {}", self.key, self.scheduler)?;
        if let Some(persistence) = &self.persistence {
            write!(f, " {persistence}")?;
        }
        if let Some(engine) = &self.persistence_engine {
            write!(f, " --pe {engine}")?;
        }
        if self.flags.contains(ServiceFlags::ONE_PACKET) {
            f.write_str(" -o")?;
        }
        let names = self.scheduler_flag_names();
        if !names.is_empty() {
            write!(f, " -b {}", names.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
