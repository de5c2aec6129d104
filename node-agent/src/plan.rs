//! What the kernel should be: pure functions from a node's plan, its facts and the health of the
//! members to values.
//!
//! ```text
//! PlanBundle ─► services ─┬─► members (what is checked) ─► health ─┐
//!                         └───────► ipvs, one by one ◄─────────────┘
//! PlanBundle, NodeFacts ──► daemons, sysctls, vrrp, real_server
//! ```

pub mod daemons;
pub mod drain;
pub mod ipvs;
pub mod marks;
pub mod members;
pub mod pool;
pub mod quorum;
pub mod real_server;
pub mod services;
pub mod sync_hold;
pub mod sysctls;
pub mod vrrp;

use std::collections::BTreeMap;

use lvs_crds::v1alpha1::condition::reason;
use lvs_ipvs::{SyncDaemon, Timeouts};

use crate::bundle::PlanBundle;
use crate::facts::NodeFacts;
use crate::kernel::sysctls::Sysctl;

use marks::MarkPlan;
use real_server::RealServerPlan;
use services::Services;

/// What the kernel should have of ours, but for the IPVS services, which are planned one by one
/// ([`ipvs::plan`]), and VRRP's VIPs ([`vrrp::plan`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Synchronisation daemons, at most one of each role; `None` while their interface is not
    /// known, which leaves those that run alone.
    pub daemons: Option<Vec<SyncDaemon>>,
    /// Timeouts of connections; `None` leaves them as the node has them.
    pub timeouts: Option<Timeouts>,
    /// Sysctls of a director.
    pub director_sysctls: BTreeMap<Sysctl, String>,
    /// Sysctls that are looked at and not changed.
    pub checked_sysctls: BTreeMap<Sysctl, String>,
    /// VIPs and sysctls of a real server; `None` while its interfaces are not known, which leaves
    /// everything as it is.
    pub real_server: Option<RealServerPlan>,
    /// Packets that the director gives firewall marks.
    pub marks: MarkPlan,
    /// Why the plan cannot be carried out as a whole.
    pub problems: Vec<Problem>,
}

/// Why something of the plan cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One word in `CamelCase` for the condition.
    pub reason: &'static str,
    /// What is wrong, where, and what would be right.
    pub message: String,
    /// The VRRP instance that cannot run for it.
    pub instance: Option<String>,
    /// Whether the agent has done all that is its part: somebody else is to act.
    pub is_advice: bool,
}

impl Problem {
    /// Something has not arrived yet.
    #[must_use]
    pub const fn pending(message: String) -> Self {
        Self {
            reason: reason::PENDING,
            message,
            instance: None,
            is_advice: false,
        }
    }

    /// A value that the API should have refused.
    #[must_use]
    pub const fn invalid(message: String) -> Self {
        Self {
            reason: reason::NOT_ACCEPTED,
            message,
            instance: None,
            is_advice: false,
        }
    }

    /// The kernel lacks something; the message names the module and says how to get it.
    #[must_use]
    pub const fn unsupported(message: String) -> Self {
        Self {
            reason: reason::UNSUPPORTED_BY_KERNEL,
            message,
            instance: None,
            is_advice: false,
        }
    }

    /// The node lacks something.
    #[must_use]
    pub const fn of_node(message: String) -> Self {
        Self {
            reason: reason::KERNEL_ERROR,
            message,
            instance: None,
            is_advice: false,
        }
    }

    /// Something that is not the agent's to change.
    #[must_use]
    pub const fn advice(reason: &'static str, message: String) -> Self {
        Self {
            reason,
            message,
            instance: None,
            is_advice: true,
        }
    }
}

/// Plans a node. `services` are the resolved ones of `bundle`.
#[must_use]
pub fn plan(bundle: &PlanBundle, services: &Services, facts: &NodeFacts) -> Plan {
    let director = bundle.plan.director.as_ref();
    let mut problems = services.problems.clone();
    let daemons = daemons::plan(director, facts);
    let real_server = real_server::plan(bundle.plan.real_server.as_ref(), facts);
    if let Ok(real_server) = &real_server {
        problems.extend(real_server.tunnels.problems.iter().cloned());
    }
    let sysctls = sysctls::plan(director, services, facts);
    let marks = marks::plan(services, &mut problems);
    Plan {
        daemons: daemons.map_err(|problem| problems.push(problem)).ok(),
        timeouts: director
            .and_then(|director| director.timeouts.as_ref())
            .map(timeouts),
        director_sysctls: sysctls.managed,
        checked_sysctls: sysctls.checked,
        real_server: real_server.map_err(|problem| problems.push(problem)).ok(),
        marks,
        problems,
    }
}

fn timeouts(plan: &lvs_crds::v1alpha1::Timeouts) -> Timeouts {
    let seconds = |value: i32| u32::try_from(value).unwrap_or_default();
    Timeouts {
        tcp_seconds: seconds(plan.tcp_seconds),
        tcp_fin_seconds: seconds(plan.tcp_fin_seconds),
        udp_seconds: seconds(plan.udp_seconds),
    }
}

impl Plan {
    /// All sysctls that are to have a value.
    #[must_use]
    pub fn sysctls(&self) -> BTreeMap<&Sysctl, &str> {
        let of_real_server = self.real_server.iter().flat_map(|plan| &plan.sysctls);
        self.director_sysctls
            .iter()
            .chain(of_real_server)
            .map(|(sysctl, value)| (sysctl, value.as_str()))
            .collect()
    }
}
