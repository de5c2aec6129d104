//! What the kernel should be: pure functions from a node's plan, its facts and the health of the
//! members to values.
//!
//! ```text
//! PlanBundle ─► services ─┬─► members (what is checked) ─► health ─┐
//!                         └───────────────► ipvs ◄─────────────────┘
//! PlanBundle, NodeFacts ──► daemons, vrrp, real_server
//! ```

pub mod daemons;
pub mod ipvs;
pub mod members;
pub mod real_server;
pub mod services;
pub mod vrrp;

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::condition::reason;
use lvs_ipvs::{ServiceKey, SyncDaemon};

use crate::bundle::PlanBundle;
use crate::facts::NodeFacts;
use crate::kernel::sysctls::Sysctl;

use ipvs::PlannedService;
use members::MemberKey;
use real_server::RealServerPlan;
use services::Services;

/// Everything that the kernel should have of ours, VRRP's VIPs excepted: [`vrrp::plan`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The IPVS table.
    pub services: BTreeMap<ServiceKey, PlannedService>,
    /// Keys that stay as they are, because what belongs to them has not all arrived.
    pub untouched: BTreeSet<ServiceKey>,
    /// Synchronisation daemons, at most one of each role; `None` while their interface is not
    /// known, which leaves those that run alone.
    pub daemons: Option<Vec<SyncDaemon>>,
    /// Sysctls of a director.
    pub director_sysctls: BTreeMap<Sysctl, String>,
    /// VIPs and sysctls of a real server; `None` while its interfaces are not known, which leaves
    /// everything as it is.
    pub real_server: Option<RealServerPlan>,
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
}

impl Problem {
    /// Something has not arrived yet.
    #[must_use]
    pub const fn pending(message: String) -> Self {
        Self {
            reason: reason::PENDING,
            message,
            instance: None,
        }
    }

    /// A value that the API should have refused.
    #[must_use]
    pub const fn invalid(message: String) -> Self {
        Self {
            reason: reason::NOT_ACCEPTED,
            message,
            instance: None,
        }
    }

    /// The kernel lacks something; the message names the module and says how to get it.
    #[must_use]
    pub const fn unsupported(message: String) -> Self {
        Self {
            reason: reason::UNSUPPORTED_BY_KERNEL,
            message,
            instance: None,
        }
    }

    /// The node lacks something.
    #[must_use]
    pub const fn of_node(message: String) -> Self {
        Self {
            reason: reason::KERNEL_ERROR,
            message,
            instance: None,
        }
    }
}

/// Plans a node. `services` are the resolved ones of `bundle`; `is_up` says whether a member's
/// checks let it have new connections.
#[must_use]
pub fn plan(
    bundle: &PlanBundle,
    services: &Services,
    facts: &NodeFacts,
    is_up: &dyn Fn(&MemberKey) -> bool,
) -> Plan {
    let mut problems = services.problems.clone();
    let daemons = daemons::plan(bundle.plan.director.as_ref(), facts);
    let real_server = real_server::plan(bundle.plan.real_server.as_ref(), facts);
    if let Ok(real_server) = &real_server {
        problems.extend(real_server.tunnels.problems.iter().cloned());
    }
    Plan {
        services: ipvs::table(services, is_up),
        untouched: services.untouched.keys().copied().collect(),
        daemons: daemons.map_err(|problem| problems.push(problem)).ok(),
        director_sysctls: director_sysctls(services),
        real_server: real_server.map_err(|problem| problems.push(problem)).ok(),
        problems,
    }
}

/// Port reuse bits of `net.ipv4.vs.conn_reuse_mode` (Documentation/networking/ipvs-sysctl.rst): a SYN
/// on a connection that is over is scheduled anew. The second bit counts states that directors of
/// direct routing see last; without it a client that takes a port again within two minutes reaches
/// the real server of that time, also when it is dead.
const CONN_REUSE_MODE: &str = "3";

fn director_sysctls(services: &Services) -> BTreeMap<Sysctl, String> {
    use lvs_crds::v1alpha1::ForwardingMethod;
    let mut sysctls: BTreeMap<_, _> = services
        .resolved
        .values()
        .filter(|service| service.plan.forwarding.method == ForwardingMethod::NAT)
        .flat_map(|service| &service.addresses)
        // NAT makes a director a router between clients and real servers.
        .map(|vip| (Sysctl::forwarding(*vip), "1".to_owned()))
        .collect();
    if !services.resolved.is_empty() {
        sysctls.insert(Sysctl::of_ipvs("conn_reuse_mode"), CONN_REUSE_MODE.into());
    }
    sysctls
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
