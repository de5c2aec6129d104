//! Needs no client: the operator's metrics, in the text format of Prometheus.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds of the duration's buckets in seconds: a small cluster takes a millisecond, ten
/// thousand virtual services about a second.
const DURATION_BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Labels of a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: String,
    result: &'static str,
}

/// Labels of a count of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Objects {
    kind: &'static str,
}

/// The operator's metrics. Clones share their values.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    runs: Counter,
    failures: Counter,
    duration: Histogram,
    writes: Family<Write, Counter>,
    objects: Family<Objects, Gauge>,
    rejected: Family<Objects, Gauge>,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("lvs_operator");
        let runs = Counter::default();
        registry.register("reconciles", "Runs of the reconcile loop", runs.clone());
        let failures = Counter::default();
        registry.register("reconcile_failures", "Runs with an error", failures.clone());
        let duration = Histogram::new(DURATION_BUCKETS);
        registry.register_with_unit(
            "reconcile_duration",
            "Time of a run, with its writes",
            Unit::Seconds,
            duration.clone(),
        );
        let writes = Family::default();
        registry.register("writes", "Writes to the API server", writes.clone());
        let objects = Family::default();
        registry.register("objects", "Objects in the cluster", objects.clone());
        let rejected = Family::default();
        registry.register(
            "rejected_objects",
            "Objects that are not accepted",
            rejected.clone(),
        );
        let leading = Gauge::default();
        registry.register("leading", "1 while this replica leads", leading.clone());
        Self {
            registry: Arc::new(registry),
            runs,
            failures,
            duration,
            writes,
            objects,
            rejected,
            leading,
        }
    }

    /// A run has ended.
    pub fn ran(&self, duration: Duration, succeeded: bool) {
        self.runs.inc();
        self.duration.observe(duration.as_secs_f64());
        if !succeeded {
            self.failures.inc();
        }
    }

    /// A write has ended.
    pub fn wrote(&self, kind: &str, succeeded: bool) {
        let result = if succeeded { "success" } else { "failure" };
        self.writes
            .get_or_create(&Write {
                kind: kind.to_owned(),
                result,
            })
            .inc();
    }

    /// There are this many objects of a kind, of which this many are not accepted.
    pub fn count(&self, kind: &'static str, all: usize, rejected: usize) {
        let labels = Objects { kind };
        self.objects
            .get_or_create(&labels)
            .set(i64::try_from(all).unwrap_or(i64::MAX));
        self.rejected
            .get_or_create(&labels)
            .set(i64::try_from(rejected).unwrap_or(i64::MAX));
    }

    /// Whether this replica leads.
    pub fn lead(&self, leading: bool) {
        self.leading.set(i64::from(leading));
    }

    /// All of them as text.
    ///
    /// # Errors
    /// When a value cannot be written, which does not happen for text in memory.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut body = String::new();
        text::encode(&mut body, &self.registry)?;
        Ok(body)
    }
}
