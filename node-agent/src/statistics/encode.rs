//! The figures in the text format. Pure.

use std::fmt::{self, Write as _};

use lvs_ipvs::{Family, ObservedDestination, Protocol, ServiceKey, Stats};
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel as _, EncodeLabelSet, EncodeLabelValue, LabelSetEncoder,
    LabelValueEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::{Level, ServiceSample, Snapshot};

/// Name after the prefix, help, value.
type Figure<T> = (&'static str, &'static str, fn(&T) -> u64);

const COUNTERS: [Figure<Stats>; 5] = [
    ("connections", "Connections scheduled", |stats| {
        stats.connections
    }),
    ("incoming_packets", "Packets from clients", |stats| {
        stats.incoming_packets
    }),
    (
        "outgoing_packets",
        "Packets to clients that passed the director, with NAT only",
        |stats| stats.outgoing_packets,
    ),
    ("incoming_bytes", "Bytes from clients", |stats| {
        stats.incoming_bytes
    }),
    (
        "outgoing_bytes",
        "Bytes to clients that passed the director, with NAT only",
        |stats| stats.outgoing_bytes,
    ),
];

const RATES: [Figure<Stats>; 5] = [
    (
        "connections_per_second",
        "Connections scheduled per second, as the kernel estimates",
        |stats| stats.connections_per_second,
    ),
    (
        "incoming_packets_per_second",
        "Packets from clients per second, as the kernel estimates",
        |stats| stats.incoming_packets_per_second,
    ),
    (
        "outgoing_packets_per_second",
        "Packets to clients per second, as the kernel estimates",
        |stats| stats.outgoing_packets_per_second,
    ),
    (
        "incoming_bytes_per_second",
        "Bytes from clients per second, as the kernel estimates",
        |stats| stats.incoming_bytes_per_second,
    ),
    (
        "outgoing_bytes_per_second",
        "Bytes to clients per second, as the kernel estimates",
        |stats| stats.outgoing_bytes_per_second,
    ),
];

const STATES: [Figure<ObservedDestination>; 4] = [
    (
        "active_connections",
        "Connections in a state in which data may flow",
        |server| server.active_connections.into(),
    ),
    (
        "inactive_connections",
        "Other connections: half-closed ones, and all of UDP",
        |server| server.inactive_connections.into(),
    ),
    (
        "persistent_connections",
        "Clients that persistence binds to the real server",
        |server| server.persistent_connections.into(),
    ),
    ("weight", "Weight; 0 for no new connections", |server| {
        server.destination.weight.into()
    }),
];

/// Encodes the figures.
pub(super) fn snapshot(
    encoder: &mut DescriptorEncoder<'_>,
    snapshot: &Snapshot,
    level: Level,
) -> fmt::Result {
    let services = || {
        snapshot
            .services
            .iter()
            .map(|service| (ServiceLabels(service), &service.stats))
    };
    let prefix = "lvs_virtual_service";
    counters(encoder, prefix, services)?;
    gauges(encoder, prefix, &RATES, services)?;
    if level != Level::RealServers {
        return Ok(());
    }
    let servers = || {
        snapshot.servers.iter().filter_map(|(position, server)| {
            let service = snapshot.services.get(*position)?;
            Some((ServerLabels { service, server }, server))
        })
    };
    let stats = || servers().map(|(labels, server)| (labels, &server.stats));
    let prefix = "lvs_real_server";
    counters(encoder, prefix, stats)?;
    gauges(encoder, prefix, &RATES, stats)?;
    gauges(encoder, prefix, &STATES, servers)
}

/// Encodes what is to know about the figures themselves.
pub(super) fn own(
    encoder: &mut DescriptorEncoder<'_>,
    dropped: usize,
    failures: u64,
) -> fmt::Result {
    encoder
        .encode_descriptor(
            "lvs_agent_statistics_dropped_series",
            "Series of virtual services and real servers that are left out to keep the limit",
            None,
            MetricType::Gauge,
        )?
        .encode_gauge(&i64::try_from(dropped).unwrap_or(i64::MAX))?;
    encoder
        .encode_descriptor(
            "lvs_agent_statistics_failures",
            "Times that the statistics could not be read",
            None,
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, _, u64>(&failures, None)
}

fn counters<'a, L: EncodeLabelSet, I: Iterator<Item = (L, &'a Stats)>>(
    encoder: &mut DescriptorEncoder<'_>,
    prefix: &str,
    samples: impl Fn() -> I,
) -> fmt::Result {
    for (name, help, value) in COUNTERS {
        let name = format!("{prefix}_{name}");
        let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
        for (labels, stats) in samples() {
            metric
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value(stats), None)?;
        }
    }
    Ok(())
}

fn gauges<'a, T: 'a, L: EncodeLabelSet, I: Iterator<Item = (L, &'a T)>>(
    encoder: &mut DescriptorEncoder<'_>,
    prefix: &str,
    figures: &[Figure<T>],
    samples: impl Fn() -> I,
) -> fmt::Result {
    for (name, help, value) in figures {
        let name = format!("{prefix}_{name}");
        let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        for (labels, sample) in samples() {
            metric
                .encode_family(&labels)?
                .encode_gauge(&value(sample))?;
        }
    }
    Ok(())
}

struct ServiceLabels<'a>(&'a ServiceSample);

impl EncodeLabelSet for ServiceLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let (namespace, name) = self.0.name.split_once('/').unwrap_or(("", &self.0.name));
        ("namespace", namespace).encode(encoder.encode_label())?;
        ("virtual_service", name).encode(encoder.encode_label())?;
        match self.0.key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => {
                ("address", Shown(address)).encode(encoder.encode_label())?;
                ("port", port).encode(encoder.encode_label())?;
                match protocol {
                    Protocol::Tcp => ("protocol", "TCP").encode(encoder.encode_label()),
                    Protocol::Udp => ("protocol", "UDP").encode(encoder.encode_label()),
                    Protocol::Sctp => ("protocol", "SCTP").encode(encoder.encode_label()),
                    Protocol::Other(number) => ("protocol", number).encode(encoder.encode_label()),
                }
            }
            ServiceKey::Mark { mark, family } => {
                ("mark", mark.get()).encode(encoder.encode_label())?;
                let family = match family {
                    Family::Ipv4 => "IPv4",
                    Family::Ipv6 => "IPv6",
                };
                ("family", family).encode(encoder.encode_label())
            }
        }
    }
}

struct ServerLabels<'a> {
    service: &'a ServiceSample,
    server: &'a ObservedDestination,
}

impl EncodeLabelSet for ServerLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ServiceLabels(self.service).encode(encoder)?;
        let key = self.server.destination.key;
        ("server_address", Shown(key.address)).encode(encoder.encode_label())?;
        ("server_port", key.port).encode(encoder.encode_label())
    }
}

/// A label's value without a string in between.
struct Shown<T>(T);

impl<T: fmt::Display> EncodeLabelValue for Shown<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}
