//! What the loop says about the node: the parts of `NodePlan.status` that it knows, and drift.

pub mod compose;
pub mod connection_sync;
pub mod refusal;
pub mod services;

use std::collections::BTreeMap;

use lvs_crds::v1alpha1::{
    DrainingServer, FencingReport, InstanceReport, KernelReport, ServiceProblem, UnhealthyServer,
};

/// State of the node after a pass of the loop. Two equal reports mean the same status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Generation of the plan that this report speaks of; -1 before the first plan.
    pub observed_generation: i64,
    /// The plan's revision, once the kernel equals the plan as far as it can.
    pub applied_revision: Option<String>,
    /// State of the VRRP instances.
    pub instances: Vec<InstanceReport>,
    /// How the fencing of peers is; none = there is none.
    pub fencing: Option<FencingReport>,
    /// Members whose checks fail, at most [`Report::MAX_NAMED`].
    pub unhealthy: Vec<UnhealthyServer>,
    /// How many members' checks fail, also those beyond the list.
    pub unhealthy_count: usize,
    /// Virtual services that cannot be carried out as asked, at most [`Report::MAX_NAMED`].
    pub service_problems: Vec<ServiceProblem>,
    /// Virtual services whose quorum is lost, at most [`Report::MAX_NAMED`].
    pub without_quorum: Vec<String>,
    /// Members that leave and are still in the table, at most [`Report::MAX_NAMED`].
    pub draining: Vec<DrainingServer>,
    /// How many members leave, also those beyond the list.
    pub draining_count: usize,
    /// How many virtual services of each VRRP instance that tracks them are ready.
    pub ready_services: BTreeMap<String, ReadyServices>,
    /// What the kernel can do.
    pub kernel: Option<KernelReport>,
    /// Conditions, without times: whoever publishes them adds those.
    pub conditions: Vec<ReportedCondition>,
}

impl Report {
    /// Longest list: what the status can hold.
    pub const MAX_NAMED: usize = 256;

    /// The report of an agent that has no plan yet.
    #[must_use]
    pub fn unobserved() -> Self {
        Self {
            observed_generation: -1,
            ..Self::default()
        }
    }
}

/// How many of some virtual services are ready: in the kernel, and with their quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadyServices {
    /// Those that are.
    pub ready: u64,
    /// All of them.
    pub all: u64,
}

impl ReadyServices {
    /// Whether `percent` of 100 are ready; true if there are none at all.
    #[must_use]
    pub fn is_at_least(self, percent: u32) -> bool {
        self.ready.saturating_mul(100) >= self.all.saturating_mul(percent.into())
    }
}

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedCondition {
    /// Type, see [`lvs_crds::v1alpha1::condition`].
    pub type_: &'static str,
    /// Whether it holds.
    pub status: bool,
    /// One word in `CamelCase`.
    pub reason: &'static str,
    /// What a person should know, and do.
    pub message: String,
}

/// Something that was not as the last successful pass had left it, and has been repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// What it belongs to.
    pub subject: Subject,
    /// One word in `CamelCase`.
    pub reason: &'static str,
    /// What was found, as the commands that repaired it.
    pub message: String,
}

/// What an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The node itself: its `NodePlan`.
    Node,
    /// A virtual service.
    VirtualService {
        /// Namespace of the object.
        namespace: String,
        /// Name of the object.
        name: String,
        /// UID of the object.
        uid: String,
    },
}
