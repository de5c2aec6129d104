//! The connection synchronisation daemons. Pure.

use std::net::IpAddr;

use lvs_crds::v1alpha1::{ConnectionSyncMode, DirectorRole};
use lvs_ipvs::{Name, SyncDaemon, SyncRole};

use super::Problem;
use crate::facts::NodeFacts;

/// Bytes below which the kernel raises the longest message of a backup daemon
/// (`net/netfilter/ipvs/ip_vs_sync.c`, `start_sync_thread`).
const SHORTEST_OF_BACKUP: u16 = 1024;
/// Bytes of the largest IP packet.
const LONGEST_PACKET: u16 = 65535;
const UDP_HEADER: u16 = 8;

/// The daemons of a director: both roles, so that failback keeps connections as failover does.
///
/// # Errors
/// When the interface is not known.
pub fn plan(
    director: Option<&DirectorRole>,
    facts: &NodeFacts,
) -> Result<Vec<SyncDaemon>, Problem> {
    let Some(director) = director else {
        return Ok(Vec::new());
    };
    let sync = &director.connection_sync;
    if sync.mode == ConnectionSyncMode::Disabled {
        return Ok(Vec::new());
    }
    let interface = if sync.interface.is_empty() {
        facts.select(&director.interface)
    } else {
        facts.named(&sync.interface)
    };
    let problem = |error: &dyn std::fmt::Display| {
        Problem::of_node(format!("connection synchronisation: {error}"))
    };
    let interface = interface.map_err(|error| problem(&error))?;
    let name = Name::new(&*interface.name).map_err(|error| problem(&error))?;
    let sync_id = u8::try_from(sync.sync_id).map_err(|error| problem(&error))?;
    let group: IpAddr = sync
        .group
        .parse()
        .map_err(|error: std::net::AddrParseError| problem(&error))?;
    let daemon = |role| SyncDaemon {
        max_length_bytes: max_length(role, sync.max_packet_bytes, group),
        group: Some(group),
        port: u16::try_from(sync.port).ok(),
        ttl: u8::try_from(sync.ttl).ok(),
        ..SyncDaemon::new(role, name.clone(), sync_id)
    };
    Ok(vec![daemon(SyncRole::Master), daemon(SyncRole::Backup)])
}

/// The longest message as the kernel will report it: what it corrects is corrected here, or the
/// daemon would be found different for ever.
fn max_length(role: SyncRole, wanted_bytes: i32, group: IpAddr) -> Option<u16> {
    let ip_header = if group.is_ipv4() { 20 } else { 40 };
    let longest = LONGEST_PACKET - UDP_HEADER - ip_header;
    let shortest = match role {
        SyncRole::Master => 1,
        SyncRole::Backup => SHORTEST_OF_BACKUP,
    };
    u16::try_from(wanted_bytes)
        .ok()
        .map(|bytes| bytes.clamp(shortest, longest))
}

#[cfg(test)]
mod tests;
