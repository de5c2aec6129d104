//! What was found in the kernel, as values.

use std::collections::BTreeMap;
use std::sync::Arc;

use lvs_ipvs::{SyncDaemon, Table};

use crate::facts::NodeFacts;
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
}
