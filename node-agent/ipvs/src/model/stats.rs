//! Counters.

/// Counters and rates of a service or a destination.
///
/// Counters only grow, except when they are zeroed. Rates are averages. The kernel renews both every two seconds, and
/// not at all when `net.ipv4.vs.run_estimation` is 0. Kernels before 4.1 report counters of packets and connections modulo
/// 2³².
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub incoming_packets: u64,
    /// Packets to clients that passed the director: with NAT only.
    pub outgoing_packets: u64,
    /// Bytes from clients.
    pub incoming_bytes: u64,
    /// Bytes to clients that passed the director: with NAT only.
    pub outgoing_bytes: u64,
    /// New connections per second.
    pub connections_per_second: u64,
    /// Packets from clients per second.
    pub incoming_packets_per_second: u64,
    /// Packets to clients per second.
    pub outgoing_packets_per_second: u64,
    /// Bytes from clients per second.
    pub incoming_bytes_per_second: u64,
    /// Bytes to clients per second.
    pub outgoing_bytes_per_second: u64,
}
