//! Counters.

use crate::model::Stats;
use crate::wire::StatsAttribute as A;

/// Of the two nests of counters that kernels from 4.1 on report, the wide one.
#[derive(Default)]
pub(super) struct Widest {
    narrow: Stats,
    wide: Option<Stats>,
}

impl Widest {
    pub(super) fn narrow(&mut self, stats: Stats) {
        self.narrow = stats;
    }

    pub(super) fn wide(&mut self, stats: Stats) {
        self.wide = Some(stats);
    }

    pub(super) fn get(self) -> Stats {
        self.wide.unwrap_or(self.narrow)
    }
}

pub(super) fn read_stats(attributes: &[A]) -> Stats {
    let mut stats = Stats::default();
    for attribute in attributes {
        match attribute {
            A::Connections(counter) => stats.connections = counter.get(),
            A::IncomingPackets(counter) => stats.incoming_packets = counter.get(),
            A::OutgoingPackets(counter) => stats.outgoing_packets = counter.get(),
            A::IncomingBytes(counter) => stats.incoming_bytes = counter.get(),
            A::OutgoingBytes(counter) => stats.outgoing_bytes = counter.get(),
            A::ConnectionsPerSecond(counter) => stats.connections_per_second = counter.get(),
            A::IncomingPacketsPerSecond(counter) => {
                stats.incoming_packets_per_second = counter.get();
            }
            A::OutgoingPacketsPerSecond(counter) => {
                stats.outgoing_packets_per_second = counter.get();
            }
            A::IncomingBytesPerSecond(counter) => stats.incoming_bytes_per_second = counter.get(),
            A::OutgoingBytesPerSecond(counter) => stats.outgoing_bytes_per_second = counter.get(),
            A::Other(_) => {}
        }
    }
    stats
}
