//! Counters of the VRRP thread: atomics, because it must not wait for whoever reads metrics.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lvs_vrrp::RejectReason;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds of the lateness buckets, in microseconds.
const LATENESS_MICROSECONDS: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that is set.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the VRRP thread counts.
#[derive(Debug, Default)]
pub struct VrrpMetrics {
    /// Advertisements sent.
    pub advertisements_sent: Counter,
    /// Advertisements received that counted.
    pub advertisements_received: Counter,
    /// Gratuitous ARP and unsolicited Neighbor Advertisement frames sent.
    pub announcements_sent: Counter,
    /// Packets and frames that could not be sent.
    pub send_errors: Counter,
    /// Changes of role.
    pub role_changes: Counter,
    /// VIPs that another program had deleted and that were added again.
    pub vips_restored: Counter,
    /// Events that were not passed on because the reader was too slow.
    pub events_lost: Counter,
    /// Routers that are Active beside another one.
    pub split_brain: Gauge,
    /// VIPs that another host claims by ARP.
    pub address_conflicts: Gauge,
    /// Recordings that were not written because the disk was too slow.
    pub recordings_lost: Counter,
    /// Priority on `SCHED_FIFO`; 0 on the ordinary scheduler.
    pub realtime_priority: Gauge,
    /// 1 if the memory of the agent is locked.
    pub memory_locked: Gauge,
    /// 1 if the watchdog runs and is fed.
    pub watchdog_running: Gauge,
    rejected: [Counter; RejectReason::ALL.len()],
    lateness: [Counter; LATENESS_MICROSECONDS.len() + 1],
    lateness_microseconds: Counter,
}

impl VrrpMetrics {
    /// Counts a packet that was discarded.
    pub fn reject(&self, reason: RejectReason) {
        let position = RejectReason::ALL.iter().position(|each| *each == reason);
        if let Some(counter) = position.and_then(|position| self.rejected.get(position)) {
            counter.increment();
        }
    }

    /// Counts an advertisement that left `late` after it was due.
    pub fn advertised_late(&self, late: Duration) {
        let microseconds = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENESS_MICROSECONDS.partition_point(|bound| *bound < microseconds);
        if let Some(counter) = self.lateness.get(bucket) {
            counter.increment();
        }
        self.lateness_microseconds.add(microseconds);
    }
}

impl Collector for VrrpMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters: [(&str, &str, &Counter); 8] = [
            (
                "lvs_agent_vrrp_advertisements_sent",
                "Advertisements sent",
                &self.advertisements_sent,
            ),
            (
                "lvs_agent_vrrp_advertisements_received",
                "Advertisements received that counted",
                &self.advertisements_received,
            ),
            (
                "lvs_agent_vrrp_announcements_sent",
                "Gratuitous ARP and unsolicited Neighbor Advertisement frames sent",
                &self.announcements_sent,
            ),
            (
                "lvs_agent_vrrp_send_errors",
                "Packets and frames that could not be sent",
                &self.send_errors,
            ),
            (
                "lvs_agent_vrrp_role_changes",
                "Changes of role",
                &self.role_changes,
            ),
            (
                "lvs_agent_vrrp_vips_restored",
                "VIPs that another program had deleted and that were added again",
                &self.vips_restored,
            ),
            (
                "lvs_agent_vrrp_events_lost",
                "Events dropped because the reader was too slow",
                &self.events_lost,
            ),
            (
                "lvs_agent_vrrp_recordings_lost",
                "Recordings of the flight recorder dropped because the disk was too slow",
                &self.recordings_lost,
            ),
        ];
        for (name, help, counter) in counters {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&counter.get(), None)?;
        }
        let gauges: [(&str, &str, &Gauge); 5] = [
            (
                "lvs_agent_vrrp_split_brain",
                "Routers that are Active beside another one",
                &self.split_brain,
            ),
            (
                "lvs_agent_vrrp_address_conflicts",
                "VIPs that another host claims by ARP",
                &self.address_conflicts,
            ),
            (
                "lvs_agent_vrrp_realtime_priority",
                "Real-time priority of the VRRP thread, 0 for none",
                &self.realtime_priority,
            ),
            (
                "lvs_agent_vrrp_memory_locked",
                "Whether the memory of the agent is locked",
                &self.memory_locked,
            ),
            (
                "lvs_agent_vrrp_watchdog_running",
                "Whether the watchdog runs and is fed",
                &self.watchdog_running,
            ),
        ];
        for (name, help, gauge) in gauges {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&i64::try_from(gauge.get()).unwrap_or(i64::MAX))?;
        }
        let mut rejected = encoder.encode_descriptor(
            "lvs_agent_vrrp_packets_rejected",
            "Packets discarded, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, counter) in RejectReason::ALL.iter().zip(&self.rejected) {
            rejected
                .encode_family(&[("reason", reason.label())])?
                .encode_counter::<NoLabelSet, _, u64>(&counter.get(), None)?;
        }
        self.encode_lateness(encoder)
    }
}

impl VrrpMetrics {
    #[allow(
        clippy::cast_precision_loss,
        reason = "the text format has floating point numbers only"
    )]
    fn encode_lateness(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let bounds = LATENESS_MICROSECONDS
            .iter()
            .map(|bound| *bound as f64 / 1e6)
            .chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.lateness.iter().map(Counter::get)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder
            .encode_descriptor(
                "lvs_agent_vrrp_advertisement_lateness_seconds",
                "How late advertisements left, against the time that they were due",
                None,
                MetricType::Histogram,
            )?
            .encode_histogram::<NoLabelSet>(
                self.lateness_microseconds.get() as f64 / 1e6,
                count,
                &buckets,
                None,
            )
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn the_text_names_reasons_and_cumulates_lateness() {
        let metrics = VrrpMetrics::default();
        metrics.reject(RejectReason::Checksum);
        for microseconds in [50, 100, 101, 2_000_000] {
            metrics.advertised_late(Duration::from_micros(microseconds));
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(metrics));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for line in [
            "lvs_agent_vrrp_packets_rejected_total{reason=\"checksum\"} 1",
            "lvs_agent_vrrp_packets_rejected_total{reason=\"ttl\"} 0",
            "lvs_agent_vrrp_advertisement_lateness_seconds_bucket{le=\"0.0001\"} 2",
            "lvs_agent_vrrp_advertisement_lateness_seconds_bucket{le=\"0.00025\"} 3",
            "lvs_agent_vrrp_advertisement_lateness_seconds_bucket{le=\"+Inf\"} 4",
            "lvs_agent_vrrp_advertisement_lateness_seconds_count 4",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
