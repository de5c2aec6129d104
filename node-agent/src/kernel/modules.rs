//! Kernel modules that tunnels need, and having the kernel load them.

use std::fmt;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

/// A kernel module of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// IPv4 in IPv4, with the device `tunl0`.
    Ipip,
    /// IPv6 in IPv4, with the device `sit0`.
    Sit,
    /// IPv6 in IPv6, with the device `ip6tnl0`.
    Ip6Tunnel,
    /// GRE over IPv4, with the device `gre0`.
    IpGre,
    /// GRE over IPv6, with the device `ip6gre0`.
    Ip6Gre,
}

impl Module {
    /// Its name, as `modprobe` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Sit => "sit",
            Self::Ip6Tunnel => "ip6_tunnel",
            Self::IpGre => "ip_gre",
            Self::Ip6Gre => "ip6_gre",
        }
    }

    /// The device that it makes in every network namespace, which takes the packets that are for no
    /// tunnel of their own.
    #[must_use]
    pub const fn device(self) -> &'static str {
        match self {
            Self::Ipip => "tunl0",
            Self::Sit => "sit0",
            Self::Ip6Tunnel => "ip6tnl0",
            Self::IpGre => "gre0",
            Self::Ip6Gre => "ip6gre0",
        }
    }

    /// Has the kernel load the module: who has `CAP_NET_ADMIN` and asks for the index of a device
    /// that is not there gets the module with the alias `netdev-DEVICE` (`dev_load` in
    /// `net/core/dev_ioctl.c`). No file of the node and no `CAP_SYS_MODULE` is needed.
    ///
    /// # Errors
    /// When the device is not there after that: the module is missing, or the node forbids it.
    pub fn load(self) -> Result<(), Errno> {
        if_nametoindex(self.device()).map(drop)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
