//! The connection synchronisation daemons.

use std::fmt;
use std::net::IpAddr;

use super::Name;

/// What a synchronisation daemon does. One of each role may run in a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// Sends the node's connections (`IP_VS_STATE_MASTER`).
    Master,
    /// Receives the peer's connections (`IP_VS_STATE_BACKUP`).
    Backup,
}

/// A synchronisation daemon: a kernel thread that multicasts connections or learns them.
///
/// Options that are `None` are the kernel's to choose. It reports its choice back, so compare with
/// [`SyncDaemon::is_met_by`]. Kernels before 4.3 do not know these options.
///
/// ```
/// use lvs_ipvs::{Name, SyncDaemon, SyncRole};
///
/// let wanted = SyncDaemon::new(SyncRole::Master, Name::new("eth0")?, 7);
/// assert_eq!(wanted.to_string(), "master --mcast-interface eth0 --syncid 7");
/// let observed = SyncDaemon { port: Some(8848), ..wanted.clone() };
/// assert!(wanted.is_met_by(&observed) && wanted != observed);
/// # Ok::<(), lvs_ipvs::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncDaemon {
    /// Role.
    pub role: SyncRole,
    /// Interface whose link carries the multicast.
    pub interface: Name,
    /// Identity of the group of directors. A backup with 0 takes messages of every group.
    pub sync_id: u8,
    /// Largest UDP payload in bytes; the interface's MTU less headers if `None`.
    pub max_length_bytes: Option<u16>,
    /// Multicast group, 224.0.0.81 if `None`.
    pub group: Option<IpAddr>,
    /// UDP port of the first thread, 1 to 65535, 8848 if `None`.
    pub port: Option<u16>,
    /// Time to live (hop limit), 1 to 255, 1 if `None`.
    pub ttl: Option<u8>,
}

impl SyncDaemon {
    /// A daemon whose options are the kernel's to choose.
    #[must_use]
    pub const fn new(role: SyncRole, interface: Name, sync_id: u8) -> Self {
        Self {
            role,
            interface,
            sync_id,
            max_length_bytes: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    /// Whether `observed` is this daemon: equal in everything that is not left to the kernel here.
    #[must_use]
    pub fn is_met_by(&self, observed: &Self) -> bool {
        fn met<T: PartialEq + Copy>(wanted: Option<T>, observed: Option<T>) -> bool {
            wanted.is_none() || wanted == observed
        }
        self.role == observed.role
            && self.interface == observed.interface
            && self.sync_id == observed.sync_id
            && met(self.max_length_bytes, observed.max_length_bytes)
            && met(self.group, observed.group)
            && met(self.port, observed.port)
            && met(self.ttl, observed.ttl)
    }
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// The daemon as `ipvsadm --start-daemon` takes it.
impl fmt::Display for SyncDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} --mcast-interface {} --syncid {}",
            self.role, self.interface, self.sync_id
        )?;
        if let Some(bytes) = self.max_length_bytes {
            write!(f, " --sync-maxlen {bytes}")?;
        }
        if let Some(group) = self.group {
            write!(f, " --mcast-group {group}")?;
        }
        if let Some(port) = self.port {
            write!(f, " --mcast-port {port}")?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, " --mcast-ttl {ttl}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
