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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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
#[x_kube(
    validation = Rule::new("self.name == 'sh' || !has(self.flags) || !self.flags.exists(f, f.startsWith('SH'))")
        .message(Message::Expression(
            r#""SHFallback and SHPort belong to the scheduler sh, not to " + self.name + ": remove them, or set name to sh""#.into(),
        ))
        .field_path(".flags"),
    validation = Rule::new("self.name == 'mh' || !has(self.flags) || !self.flags.exists(f, f.startsWith('MH'))")
        .message(Message::Expression(
            r#""MHFallback and MHPort belong to the scheduler mh, not to " + self.name + ": remove them, or set name to mh""#.into(),
        ))
        .field_path(".flags")
)]
pub struct Scheduler {
    /// Scheduler name.
    #[serde(default)]
    pub name: SchedulerName,
    /// Flags of the scheduler, at most 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub flags: Vec<SchedulerFlag>,
    /// Every packet is scheduled by itself (`ipvsadm -o`). For UDP alone.
    #[serde(default)]
    pub one_packet: bool,
}
