//! Settings and facts of IPVS as a whole in one network namespace.

use std::fmt;

/// How long IPVS remembers idle connections, in seconds.
///
/// In [`Command::SetTimeouts`](crate::Command::SetTimeouts), 0 leaves a timeout as it is, as with `ipvsadm --set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timeouts {
    /// Established TCP connections, 900 by default.
    pub tcp_seconds: u32,
    /// TCP connections of which one side sent FIN, 120 by default.
    pub tcp_fin_seconds: u32,
    /// UDP, 300 by default.
    pub udp_seconds: u32,
}

/// The order of `ipvsadm --set`: `900 120 300`.
impl fmt::Display for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.tcp_seconds, self.tcp_fin_seconds, self.udp_seconds
        )
    }
}

/// What the kernel says of its IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Info {
    /// Version of IPVS: major, minor, patch.
    pub version: [u8; 3],
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}

/// As `ipvsadm -L` prints it: `1.2.1 (size=4096)`.
impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.version;
        write!(
            f,
            "{major}.{minor}.{patch} (size={})",
            self.connection_table_size
        )
    }
}
