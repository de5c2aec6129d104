//! Version `v1alpha1` of the API, one kind or shared block per file.

#![allow(
    clippy::duplicated_attributes,
    reason = "every printcolumn has its own type_ and json_path"
)]
#![allow(
    unreachable_pub,
    unused_qualifications,
    reason = "KubeSchema copies each struct into a function, with its visibility and its paths"
)]

pub mod backend;
pub mod condition;
pub mod connection_sync;
pub mod director_kernel;
pub mod director_pair;
pub mod drain;
pub mod fencing;
mod format;
pub mod forwarding;
pub mod frontend;
pub mod health_check;
pub mod interface;
pub mod node_plan;
pub mod persistence;
pub mod plan_slice;
pub mod real_server;
pub mod revision;
pub mod route;
pub mod scheduler;
pub mod track;
pub mod virtual_service;
pub mod vrrp;

pub use backend::{AdminState, BackendPool, ConnectionLimits, InlineServer, RealServerSelector};
pub use connection_sync::{ConnectionSync, ConnectionSyncMode};
pub use director_kernel::{SysctlMode, Sysctls, Timeouts};
pub use director_pair::{
    Director, DirectorPair, DirectorPairSpec, DirectorPairStatus, DirectorStatus, InstanceAddress,
    InstancePriority, InstanceStatus, SyncGroup, VrrpInstance,
};
pub use drain::{Drain, DrainTimeoutAction};
pub use fencing::{Fencing, FencingHook, FencingReport, FencingRun, OtherDirector, Watchdog};
pub use forwarding::{Forwarding, ForwardingMethod, Tunnel, TunnelChecksum, TunnelType};
pub use frontend::{
    AddressFamily, BindAddresses, FirewallMark, Frontend, MarkRules, Port, Protocol,
};
pub use health_check::{Check, CheckMode, CheckType, FailureAction, HealthCheck, InitialState};
pub use interface::InterfaceSelector;
pub use node_plan::{
    DirectorRole, DrainingServer, InstancePlan, InstanceReport, KernelReport, LoopbackAddress,
    NodePlan, NodePlanSpec, NodePlanStatus, RealServerRole, RouterState, ServiceProblem,
    SplitBrain, TunnelPlan, UnhealthyServer,
};
pub use persistence::{Persistence, PersistenceEngine};
pub use plan_slice::{MarkPlan, MemberPlan, PlanSlice, PlanSliceSpec, PoolPlan, ServicePlan};
pub use real_server::{
    ArpSuppression, Loopback, LoopbackMode, RealServer, RealServerAdminState, RealServerSpec,
    RealServerStatus, RpFilter, TunnelReceiver,
};
pub use route::InstanceRoute;
pub use scheduler::{Scheduler, SchedulerFlag, SchedulerName};
pub use track::{
    FileState, Track, TrackedFile, TrackedHook, TrackedPing, TrackedProcess, TrackedVirtualServices,
};
pub use virtual_service::{
    BackendCount, DirectorPairRef, Fallback, Quorum, UnhealthyBackend, VirtualService,
    VirtualServiceSpec, VirtualServiceStatus,
};
pub use vrrp::{
    AntiReplay, Authentication, AuthenticationMode, AuthenticationType, Checksum, GratuitousArp,
    Preemption, PreemptionMode, SecretReference, Transport, TransportMode, VirtualMac, Vrrp,
};
