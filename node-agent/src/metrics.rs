//! What the loop counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::kernel::lookout::Way;

/// Bounds of the passes' durations in seconds.
const PASS_SECONDS: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// Kind of a change of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// See [`crate::op::Op::kind`].
    pub kind: &'static str,
}

/// A way to find changes of the IPVS table by others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WayLabel {
    /// See [`Way::name`].
    pub way: &'static str,
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `success` or `failure`.
    pub result: &'static str,
}

/// A member that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LeavingLabel {
    /// Virtual service, as `namespace/name`.
    pub virtual_service: String,
    /// Address.
    pub address: String,
    /// Port.
    pub port: u16,
}

/// What the loop counts. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Changes of the kernel that were made.
    pub ops: Family<KindLabel, Counter>,
    /// Changes that the kernel refused.
    pub failed_ops: Family<KindLabel, Counter>,
    /// Changes by others that were repaired.
    pub drift: Family<KindLabel, Counter>,
    /// Hooks that were run against a peer that fell silent.
    pub fencing: Family<ResultLabel, Counter>,
    /// How long a pass took.
    pub pass_seconds: Histogram,
    /// How long it took from the receipt of a plan until the kernel had taken the last change of an IPVS service for it,
    /// or until it was clear that there was none.
    pub plan_seconds: Histogram,
    /// Ways to find changes of the IPVS table by others: 1 for the one in use.
    pub ipvs_watch: Family<WayLabel, Gauge>,
    /// IPVS services of others.
    pub foreign_services: Gauge,
    /// IPVS services of ours.
    pub services: Gauge,
    /// Members whose checks fail.
    pub unhealthy_members: Gauge,
    /// Connections and persistence templates of members that leave.
    pub draining_connections: Family<LeavingLabel, Gauge>,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            ops: Family::default(),
            failed_ops: Family::default(),
            drift: Family::default(),
            fencing: Family::default(),
            pass_seconds: Histogram::new(PASS_SECONDS),
            plan_seconds: Histogram::new(PASS_SECONDS),
            ipvs_watch: Family::default(),
            foreign_services: Gauge::default(),
            services: Gauge::default(),
            unhealthy_members: Gauge::default(),
            draining_connections: Family::default(),
        };
        let agent = registry.sub_registry_with_prefix("lvs_agent");
        agent.register("ops", "Changes of the kernel by kind", metrics.ops.clone());
        agent.register(
            "failed_ops",
            "Changes that the kernel refused, by kind",
            metrics.failed_ops.clone(),
        );
        agent.register(
            "drift",
            "Changes by others that were repaired, by kind of the repair",
            metrics.drift.clone(),
        );
        agent.register(
            "fencing",
            "Hooks that were run against a peer that fell silent, by result",
            metrics.fencing.clone(),
        );
        agent.register_with_unit(
            "pass_duration",
            "Time to observe, plan, compare and apply",
            Unit::Seconds,
            metrics.pass_seconds.clone(),
        );
        agent.register_with_unit(
            "plan_duration",
            "Time from the receipt of a plan until the kernel had taken the last change of an IPVS service for it",
            Unit::Seconds,
            metrics.plan_seconds.clone(),
        );
        agent.register(
            "ipvs_watch",
            "How changes of the IPVS table by others are found: 1 for the way in use",
            metrics.ipvs_watch.clone(),
        );
        agent.register(
            "foreign_services",
            "IPVS services that belong to others",
            metrics.foreign_services.clone(),
        );
        agent.register(
            "services",
            "IPVS services of ours",
            metrics.services.clone(),
        );
        agent.register(
            "unhealthy_members",
            "Members of virtual services whose checks fail",
            metrics.unhealthy_members.clone(),
        );
        agent.register(
            "draining_connections",
            "Connections and persistence templates of members that leave",
            metrics.draining_connections.clone(),
        );
        metrics
    }

    /// Says how changes of the IPVS table by others are found, if they matter.
    pub fn set_ipvs_watch(&self, used: Option<Way>) {
        for way in [Way::Nlmon, Way::Poll] {
            let label = WayLabel { way: way.name() };
            let is_used = used == Some(way);
            self.ipvs_watch
                .get_or_create(&label)
                .set(i64::from(is_used));
        }
    }
}
