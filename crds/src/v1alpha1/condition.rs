//! Condition types and reasons, and the rule that a status changes only when its meaning does.
//!
//! Conventions: [Kubernetes API conventions, "Typical status properties"][conventions].
//!
//! [conventions]: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

#[cfg(test)]
mod tests;

/// All kinds: the object is valid, also beside the others; what it asks for is carried out.
pub const ACCEPTED: &str = "Accepted";
/// All kinds: the summary that `kubectl wait --for=condition=Ready` looks at.
pub const READY: &str = "Ready";
/// `DirectorPair`, `VirtualService`, `NodePlan`: the kernels equal the plan.
pub const PROGRAMMED: &str = "Programmed";
/// Any kind, only while true: the operator is on its way to the state asked for.
pub const RECONCILING: &str = "Reconciling";
/// Any kind, only while true: no way forward without somebody's help.
pub const STALLED: &str = "Stalled";

/// `DirectorPair`: every director's agent reports.
pub const PEERS_REACHABLE: &str = "PeersReachable";
/// `DirectorPair`: every instance has an Active Router.
pub const ACTIVE_ELECTED: &str = "ActiveElected";
/// `DirectorPair`, `NodePlan`: connections are synchronised between the directors.
pub const CONNECTION_SYNCED: &str = "ConnectionSynced";
/// `DirectorPair`: True is bad: more than one director is Active in an instance.
pub const SPLIT_BRAIN: &str = "SplitBrain";

/// `DirectorPair`: every instance runs on every director, and nothing is wrong with it.
pub const VRRP_HEALTHY: &str = "VRRPHealthy";

/// `DirectorPair` with fencing: nothing that should fence a silent director has failed.
pub const FENCING_HEALTHY: &str = "FencingHealthy";

/// `VirtualService`: everything that it names exists.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// `VirtualService`: a director answers for its addresses.
pub const ADVERTISED: &str = "Advertised";
/// `VirtualService`: every member that should be in is up.
pub const BACKENDS_HEALTHY: &str = "BackendsHealthy";

/// `RealServer`: its address is known.
pub const RESOLVED: &str = "Resolved";
/// `RealServer`, `NodePlan`: its loopback has the VIPs.
pub const LOOPBACK_CONFIGURED: &str = "LoopbackConfigured";
/// `RealServer`, `NodePlan`: it does not answer ARP for the VIPs.
pub const ARP_SUPPRESSED: &str = "ARPSuppressed";
/// `RealServer`: its checks pass.
pub const HEALTHY: &str = "Healthy";
/// `RealServer`, `VirtualService`: it was asked to drain, and the last of its connections has ended
/// or the time for it is over.
pub const DRAINED: &str = "Drained";

/// Reasons: one word in `CamelCase` that a program can act on.
pub mod reason {
    /// The condition is as it should be.
    pub const AS_EXPECTED: &str = "AsExpected";
    /// The object is valid.
    pub const ACCEPTED: &str = "Accepted";
    /// Not finished yet.
    pub const PENDING: &str = "Pending";
    /// `adminState` is `Disabled`.
    pub const DISABLED: &str = "Disabled";
    /// `adminState` is `Drain`.
    pub const DRAINING: &str = "Draining";
    /// `adminState` is `Maintenance`.
    pub const MAINTENANCE: &str = "Maintenance";
    /// It is left to somebody else (`External`).
    pub const EXTERNAL: &str = "External";
    /// `Accepted` is False.
    pub const NOT_ACCEPTED: &str = "NotAccepted";

    /// An older virtual service of the pair has the same VIP and port.
    pub const VIP_CONFLICT: &str = "VIPConflict";
    /// An older pair uses the same virtual router id on the same network.
    pub const VRID_CONFLICT: &str = "VRIDConflict";
    /// No `DirectorPair` of that name.
    pub const DIRECTOR_PAIR_NOT_FOUND: &str = "DirectorPairNotFound";
    /// The pair has no VRRP instance of that name.
    pub const INSTANCE_NOT_FOUND: &str = "InstanceNotFound";
    /// No Node of that name.
    pub const NODE_NOT_FOUND: &str = "NodeNotFound";
    /// The node is a director of an older pair.
    pub const NODE_IN_ANOTHER_PAIR: &str = "NodeInAnotherPair";
    /// DR and NAT need VIP and real server of one address family.
    pub const MIXED_FAMILY: &str = "MixedFamily";
    /// An IPv6 VIP on a pair with VRRP version 2.
    pub const IPV6_NEEDS_VERSION_3: &str = "IPv6NeedsVersion3";
    /// The Secret or its key does not exist.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// The password is longer than the 8 bytes of the protocol, or an HMAC key than 64.
    pub const SECRET_TOO_LONG: &str = "SecretTooLong";
    /// An HMAC key is shorter than 32 bytes.
    pub const SECRET_TOO_SHORT: &str = "SecretTooShort";
    /// The address of a VIP is also a host's own.
    pub const NOT_A_REAL_SERVER_ADDRESS: &str = "NotARealServerAddress";

    /// No member at all.
    pub const NO_BACKENDS: &str = "NoBackends";
    /// Every member's checks fail.
    pub const ALL_BACKENDS_DOWN: &str = "AllBackendsDown";
    /// Some members' checks fail.
    pub const SOME_BACKENDS_DOWN: &str = "SomeBackendsDown";
    /// Nobody is Active.
    pub const NO_ACTIVE_ROUTER: &str = "NoActiveRouter";
    /// More than one director is Active.
    pub const MULTIPLE_ACTIVE_ROUTERS: &str = "MultipleActiveRouters";
    /// A VRRP instance cannot run on a director, or something is wrong with it; the message says what.
    pub const INSTANCE_PROBLEM: &str = "InstanceProblem";
    /// A director fenced another; the message says which and when.
    pub const PEER_FENCED: &str = "PeerFenced";
    /// A director could not fence another now; the message says why.
    pub const FENCING_PROBLEM: &str = "FencingProblem";
    /// A director could not fence another; the message says why.
    pub const FENCING_FAILED: &str = "FencingFailed";
    /// An agent has not reported.
    pub const AGENT_NOT_REPORTING: &str = "AgentNotReporting";
    /// An older virtual service of the pair has the same firewall mark.
    pub const MARK_CONFLICT: &str = "MarkConflict";
    /// A director's kernel lacks a module that this needs; the message names it and how to get it.
    pub const UNSUPPORTED_BY_KERNEL: &str = "UnsupportedByKernel";
    /// The members that are up weigh less than the quorum; the fallback serves, if there is one.
    pub const QUORUM_LOST: &str = "QuorumLost";
    /// A director is being told of the connections of the Active Router.
    pub const CATCHING_UP: &str = "CatchingUp";
    /// A director's kernel does not run the sync daemons.
    pub const SYNC_DAEMON_MISSING: &str = "SyncDaemonMissing";
    /// Connections of what was asked to drain are still open.
    pub const CONNECTIONS_REMAIN: &str = "ConnectionsRemain";
    /// A sysctl differs from what it should be, and nobody is to change it (`CheckOnly`).
    pub const SYSCTL_DIFFERS: &str = "SysctlDiffers";
    /// The kernel refused, or lacks something; the message says what.
    pub const KERNEL_ERROR: &str = "KernelError";
}

/// The conditions to write: `new`, where a condition whose status is what it was keeps the
/// `lastTransitionTime` that it had. A type that `new` lacks is gone.
///
/// Callers put the present time into `new`; writing is needed only when the result differs from
/// `old`.
#[must_use]
pub fn merge(old: &[Condition], new: Vec<Condition>) -> Vec<Condition> {
    new.into_iter()
        .map(|mut condition| {
            let before = old.iter().find(|before| {
                before.type_ == condition.type_ && before.status == condition.status
            });
            if let Some(before) = before {
                condition.last_transition_time = before.last_transition_time.clone();
            }
            condition
        })
        .collect()
}

/// `status.observedGeneration` before the first reconcile, so that `kubectl wait`, Argo CD and Flux
/// never take an object for done that nobody has looked at.
#[must_use]
pub fn unobserved() -> i64 {
    -1
}
