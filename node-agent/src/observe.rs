//! What was found in the kernel, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lvs_ipvs::{SyncDaemon, Table};

use crate::facts::NodeFacts;
use crate::kernel::fou::{FouKind, FouPort};
use crate::kernel::modules::Module;
use crate::kernel::sysctls::Sysctl;

/// The part of the kernel's state that a plan is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Interfaces and addresses.
    pub facts: NodeFacts,
    /// The IPVS table; `None` when nothing of ours can be in it, so that it was not looked at.
    pub table: Option<Arc<Table>>,
    /// Synchronisation daemons.
    pub daemons: Vec<SyncDaemon>,
    /// Values of the sysctls that are planned or recorded. One that does not exist is missing.
    pub sysctls: BTreeMap<Sysctl, String>,
    /// UDP ports whose packets carry others; `None` while the kernel has no FOU, or nobody needs it.
    pub fou_ports: Option<BTreeMap<FouPort, FouKind>>,
    /// Modules that the kernel could not load when it was asked to last.
    pub missing_modules: BTreeSet<Module>,
}
