//! Destinations: the real servers of a virtual service.

use std::fmt;
use std::net::IpAddr;

use super::Stats;
use super::service::socket_address;

/// A destination's identity among those of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// The real server's address, unicast. Its family may differ from the service's with
    /// [`Forwarding::Tunnel`] only.
    pub address: IpAddr,
    /// The real server's port. Only [`Forwarding::Nat`] translates ports; with the others it is the service's port.
    pub port: u16,
}

bitflags::bitflags! {
    /// Encapsulation flags of a tunnel (`IP_VS_TUNNEL_ENCAP_FLAG_*`), for GUE and GRE.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct TunnelFlags: u16 {
        /// `IP_VS_TUNNEL_ENCAP_FLAG_CSUM`: the outer header carries a checksum.
        const CHECKSUM = 0x1;
        /// `IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM`: remote checksum offload, GUE only.
        const REMOTE_CHECKSUM = 0x2;
        // Flags of later kernels are kept as they are.
        const _ = !0;
    }
}

/// Encapsulation of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// IP in IP, the only kind before kernel 5.2.
    IpIp,
    /// Generic UDP encapsulation, kernel 5.2 and later.
    Gue,
    /// Generic routing encapsulation, kernel 5.3 and later.
    Gre,
    /// A kind that this crate does not know.
    Other(u8),
}

impl TunnelKind {
    /// The kind's number, `IP_VS_CONN_F_TUNNEL_TYPE_*`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::IpIp => 0,
            Self::Gue => 1,
            Self::Gre => 2,
            Self::Other(number) => number,
        }
    }

    /// The kind of a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::IpIp,
            1 => Self::Gue,
            2 => Self::Gre,
            other => Self::Other(other),
        }
    }
}

/// How packets are wrapped on their way to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    /// Encapsulation.
    pub kind: TunnelKind,
    /// UDP port of GUE, 1 to 65535; 0 with the other kinds.
    pub port: u16,
    /// Flags, empty with [`TunnelKind::IpIp`].
    pub flags: TunnelFlags,
}

impl Tunnel {
    /// IP in IP.
    pub const IPIP: Self = Self {
        kind: TunnelKind::IpIp,
        port: 0,
        flags: TunnelFlags::empty(),
    };
}

/// Forwarding method: how packets reach a real server (`IP_VS_CONN_F_FWD_MASK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Masquerading (NAT): addresses are translated, answers come back through the director.
    Nat,
    /// The director is the real server itself.
    Local,
    /// Tunnelling: packets are wrapped; answers go to the client directly.
    Tunnel(Tunnel),
    /// Direct routing: only the link-layer address changes; answers go to the client directly.
    DirectRouting,
    /// Packets pass to their original destination: a transparent cache's bypass.
    Bypass,
    /// A number that this crate does not know, 5 to 7.
    Other(u8),
}

/// A real server of a virtual service.
///
/// ```
/// use lvs_ipvs::{Destination, DestinationKey, Forwarding};
///
/// let key = DestinationKey { address: [198, 51, 100, 21].into(), port: 8080 };
/// let server = Destination { upper_threshold: 100, ..Destination::new(key, Forwarding::Nat, 5) };
/// assert_eq!(server.to_string(), "-r 198.51.100.21:8080 -m -w 5 -x 100");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Identity.
    pub key: DestinationKey,
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// Share of the connections, 0 to 2,147,483,647 (`ipvsadm` takes up to 65535). 0 gets no new ones.
    pub weight: u32,
    /// Connections from which on no new ones are sent; 0 for no limit.
    pub upper_threshold: u32,
    /// Connections below which a server that was over its upper threshold gets new ones again; 0 for three quarters
    /// of the upper threshold. Not above the upper threshold.
    pub lower_threshold: u32,
}

impl Destination {
    /// A destination without thresholds.
    #[must_use]
    pub const fn new(key: DestinationKey, forwarding: Forwarding, weight: u32) -> Self {
        Self {
            key,
            forwarding,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }
}

/// A destination as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDestination {
    /// What was configured.
    pub destination: Destination,
    /// Connections in a state in which data may flow.
    pub active_connections: u32,
    /// Other connections: half-closed ones, and all of UDP.
    pub inactive_connections: u32,
    /// Persistence templates that point here.
    pub persistent_connections: u32,
    /// Counters.
    pub stats: Stats,
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        socket_address(self.address, self.port).fmt(f)
    }
}

/// Options of `ipvsadm`: `--tun-type gue --tun-port 6080 --tun-csum`.
impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TunnelKind::IpIp => return f.write_str("--tun-type ipip"),
            TunnelKind::Gue => write!(f, "--tun-type gue --tun-port {}", self.port)?,
            TunnelKind::Gre => f.write_str("--tun-type gre")?,
            // ipvsadm cannot name it.
            TunnelKind::Other(number) => write!(f, "--tun-type {number}")?,
        }
        f.write_str(if self.flags.contains(TunnelFlags::REMOTE_CHECKSUM) {
            " --tun-remcsum"
        } else if self.flags.contains(TunnelFlags::CHECKSUM) {
            " --tun-csum"
        } else {
            " --tun-nocsum"
        })
    }
}

/// The option of `ipvsadm`: `-g`, `-m` or `-i`. A local or bypassed destination has none; its name stands instead.
impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nat => f.write_str("-m"),
            Self::DirectRouting => f.write_str("-g"),
            Self::Tunnel(_) => f.write_str("-i"),
            Self::Local => f.write_str("--local"),
            Self::Bypass => f.write_str("--bypass"),
            Self::Other(number) => write!(f, "--forwarding {number}"),
        }
    }
}

/// The destination as a line of `ipvsadm-save -n` has it from `-r` on, with thresholds, which that program leaves out.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-r {} {} -w {}", self.key, self.forwarding, self.weight)?;
        if let Forwarding::Tunnel(tunnel) = &self.forwarding {
            write!(f, " {tunnel}")?;
        }
        if self.upper_threshold != 0 {
            write!(f, " -x {}", self.upper_threshold)?;
        }
        if self.lower_threshold != 0 {
            write!(f, " -y {}", self.lower_threshold)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
