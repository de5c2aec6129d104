//! The kernel as the loop sees it: everything that can be observed, and one way to change it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io;
use std::path::Path;

use crate::facts::NodeFacts;
use crate::kernel::fou::{Fou, FouError};
use crate::kernel::ipvs::Ipvs;
use crate::kernel::lookout::{TableWatch, Way};
use crate::kernel::marks::Marks;
use crate::kernel::modules::Module;
use crate::kernel::network::{Network, NetworkError, Notices};
use crate::kernel::sysctls::{Sysctl, Sysctls};
use crate::observe::Observed;
use crate::ownership::Ownership;
use crate::plan::Plan;

/// The shells.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) ipvs: Ipvs,
    pub(super) sysctls: Sysctls,
    network: Option<Network>,
    fou: Option<Fou>,
    pub(super) marks: Marks,
    missing_modules: BTreeSet<Module>,
}

/// Something could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObserveError {
    /// Interfaces or addresses.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The IPVS table.
    #[error(transparent)]
    Ipvs(#[from] lvs_ipvs::Error),
    /// The table of firewall marks.
    #[error(transparent)]
    Marks(#[from] lvs_nftables::Error),
    /// UDP ports of GUE.
    #[error("UDP ports of GUE: {0}")]
    Fou(#[from] FouError),
    /// A sysctl.
    #[error("cannot read sysctl {0}: {1}")]
    Sysctl(Sysctl, #[source] io::Error),
}

impl Kernel {
    pub(super) fn new(proc_sys_net: &Path, table_watch: TableWatch) -> Self {
        Self {
            ipvs: Ipvs::new(table_watch),
            sysctls: Sysctls::new(proc_sys_net),
            network: None,
            fou: None,
            marks: Marks::default(),
            missing_modules: BTreeSet::new(),
        }
    }

    /// Reads interfaces and addresses; from now on, notices of that kind come.
    pub(super) async fn facts(&mut self, notices: Notices) -> Result<NodeFacts, NetworkError> {
        let network = match self.network.take() {
            Some(network) if network.notices() == notices => network,
            _ => Network::open(notices)?,
        };
        let facts = network.facts().await;
        if facts.is_ok() {
            self.network = Some(network);
        }
        facts
    }

    /// Reads what IPVS has beside its services, if anything of ours can be in it.
    pub(super) fn observe_ipvs(
        &mut self,
        needs_timeouts: bool,
        observed: &mut Observed,
    ) -> Result<(), lvs_ipvs::Error> {
        observed.daemons = self.ipvs.daemons()?;
        if needs_timeouts {
            observed.timeouts = Some(self.ipvs.timeouts()?);
        }
        observed.has_ipvs = true;
        Ok(())
    }

    /// Reads the sysctls that are planned or recorded.
    pub(super) fn observe_sysctls(
        &self,
        plan: &Plan,
        ownership: &Ownership,
    ) -> Result<BTreeMap<Sysctl, String>, ObserveError> {
        let recorded = ownership.sysctls().iter().map(|recorded| &recorded.sysctl);
        let mut values = BTreeMap::new();
        let planned = plan
            .sysctls()
            .into_keys()
            .chain(plan.checked_sysctls.keys());
        for sysctl in planned.chain(recorded) {
            match self.sysctls.read(sysctl) {
                Ok(value) => {
                    values.insert(sysctl.clone(), value);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ObserveError::Sysctl(sysctl.clone(), error)),
            }
        }
        Ok(values)
    }

    /// Reads what the ends of tunnels need, as far as any are planned or recorded.
    pub(super) fn observe_tunnels(
        &mut self,
        plan: &Plan,
        ownership: &Ownership,
        observed: &mut Observed,
    ) -> Result<(), FouError> {
        let tunnels = plan.real_server.as_ref().map(|plan| &plan.tunnels);
        let planned = tunnels.iter().flat_map(|tunnels| &tunnels.fou_ports);
        let ports: BTreeSet<_> = planned.copied().chain(ownership.fou_ports()).collect();
        if !ports.is_empty() {
            observed.fou_ports = match self.fou().and_then(|fou| fou.ports(ports)) {
                Ok(ports) => Some(ports),
                Err(FouError::NoFamily) => None,
                Err(error) => {
                    self.fou = None;
                    return Err(error);
                }
            };
        }
        observed.missing_modules.clone_from(&self.missing_modules);
        Ok(())
    }

    /// Reads the table of firewall marks, if anything of ours is planned or recorded.
    pub(super) fn observe_marks(
        &mut self,
        plan: &Plan,
        ownership: &Ownership,
        observed: &mut Observed,
    ) -> Result<(), lvs_nftables::Error> {
        if plan.marks.rules.is_empty() && !ownership.has_marks() {
            self.marks.close();
        } else {
            observed.marks = self.marks.observe()?;
        }
        Ok(())
    }

    /// The connection for changes of the UDP ports of GUE.
    pub(super) fn fou(&mut self) -> Result<&mut Fou, FouError> {
        let fou = match self.fou.take() {
            Some(fou) => fou,
            None => Fou::connect()?,
        };
        Ok(self.fou.insert(fou))
    }

    /// Has a module loaded, and remembers if that is not possible.
    pub(super) fn load(&mut self, module: Module) -> Result<(), nix::errno::Errno> {
        let loaded = module.load();
        if loaded.is_err() {
            self.missing_modules.insert(module);
        }
        loaded
    }

    /// The connection for changes of links and addresses.
    pub(super) fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Waits for a notice.
    pub(super) async fn changed(&mut self) {
        let Self { network, marks, .. } = self;
        let is_open = async {
            match network {
                Some(network) => network.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            is_open = is_open => if !is_open { self.network = None },
            () = marks.changed() => {}
        }
    }

    /// How others' changes of the IPVS table are found.
    pub(super) fn way(&self) -> Way {
        self.ipvs.way()
    }

    /// Asks anew in the next pass for what was not there.
    pub(super) fn expire(&mut self) {
        // The family gets another number when its module is loaded again.
        self.fou = None;
        self.missing_modules.clear();
        self.marks.forget();
    }
}
