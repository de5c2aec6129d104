//! Which real server a new connection goes to.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// IPVS scheduler, by its kernel name (`ipvsadm(8)`, option `-s`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerName {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections.
    #[default]
    Wlc,
    /// Locality-based least connections.
    Lblc,
    /// Locality-based least connections with replication.
    Lblcr,
    /// Destination hashing.
    Dh,
    /// Source hashing.
    Sh,
    /// Shortest expected delay.
    Sed,
    /// Never queue.
    Nq,
    /// Weighted fail-over: the available server with the highest weight gets everything.
    Fo,
    /// Weighted overflow.
    Ovf,
    /// Maglev hashing.
    Mh,
    /// Power of two choices (kernel 5.15 and later).
    Twos,
}

impl SchedulerName {
    /// Kernel name, the suffix of the module `ip_vs_NAME`.
    #[must_use]
    pub fn kernel_name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Dh => "dh",
            Self::Sh => "sh",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Mh => "mh",
            Self::Twos => "twos",
        }
    }
}

/// Scheduler flag (`ipvsadm -b`), valid only with the scheduler it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SchedulerFlag {
    /// `sh-fallback`: choose another server when the hashed one is unavailable.
    SHFallback,
    /// `sh-port`: include the source port in the hash.
    SHPort,
    /// `mh-fallback`: choose another server when the hashed one is unavailable.
    MHFallback,
    /// `mh-port`: include the source port in the hash.
    MHPort,
}

/// Scheduler of a virtual service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduler {
    /// Scheduler name.
    #[serde(default)]
    pub name: SchedulerName,
    /// Flags of the scheduler, at most 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<SchedulerFlag>,
}
