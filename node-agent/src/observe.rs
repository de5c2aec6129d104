//! What was found in the kernel, as values.

use std::collections::{BTreeMap, BTreeSet};

use lvs_ipvs::{SyncDaemon, Timeouts};

use crate::facts::NodeFacts;
use crate::kernel::fou::{FouKind, FouPort};
use crate::kernel::marks::ObservedMarks;
use crate::kernel::modules::Module;
use crate::kernel::sysctls::Sysctl;

/// The part of the kernel's state that a plan is compared with, IPVS services excepted: those are
/// read one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Interfaces and addresses.
    pub facts: NodeFacts,
    /// Whether IPVS was looked at.
    pub has_ipvs: bool,
    /// Synchronisation daemons.
    pub daemons: Vec<SyncDaemon>,
    /// Timeouts of connections, if they are planned or recorded.
    pub timeouts: Option<Timeouts>,
    /// Values of the sysctls that are planned or recorded. One that does not exist is missing.
    pub sysctls: BTreeMap<Sysctl, String>,
    /// UDP ports whose packets carry others; `None` while the kernel has no FOU, or nobody needs it.
    pub fou_ports: Option<BTreeMap<FouPort, FouKind>>,
    /// The table of firewall marks.
    pub marks: ObservedMarks,
    /// Modules that the kernel could not load when it was asked to last.
    pub missing_modules: BTreeSet<Module>,
}
