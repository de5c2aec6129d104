//! Feeding the decision how long preemption waits for connections.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use lvs_crds::v1alpha1::{DirectorRole, PreemptionMode};
use lvs_ipvs::SyncRole;

use super::Agent;
use crate::bundle::PlanBundle;
use crate::kernel::sysctls::Sysctl;
use crate::kernel::{connections, proc_ip_vs};
use crate::observe::Observed;
use crate::plan::sync_hold::{Rule, SyncHold};

impl Agent {
    /// Brings the decision up to date, counting connections only while somebody waits for them.
    pub(super) fn look_at_connections(&mut self, bundle: &PlanBundle, observed: &Observed) {
        self.daemons.clone_from(&observed.daemons);
        let now = Instant::now();
        let director = bundle.plan.director.as_ref();
        let waits = |role: &&DirectorRole| role.vrrp.preemption.mode == PreemptionMode::AfterSync;
        let Some(director) = director.filter(waits) else {
            self.sync_hold = SyncHold::default();
            self.next_look_at_connections = None;
            return;
        };
        let rule = self.sync_rule(director);
        let hold = &mut self.sync_hold;
        let listens = |role| observed.daemons.iter().any(|daemon| daemon.role == role);
        hold.daemon(listens(SyncRole::Backup), now);
        let report = self.vrrp_report.borrow();
        let states: BTreeMap<_, _> = director
            .instances
            .iter()
            .filter_map(|instance| {
                let state = report.instance_state(&instance.name)?;
                Some((instance.name.as_str(), state))
            })
            .collect();
        hold.states(&states, now);
        if hold.is_look_due(rule, now) {
            match connections::count(Path::new(proc_ip_vs::PATH)) {
                Ok(connections) => hold.look(connections, now),
                // The timeout ends the wait.
                Err(error) => tracing::debug!(%error, "connections cannot be counted"),
            }
        }
        hold.settle(rule, now);
        let ends = [hold.next_look(rule), hold.next_timeout(rule)];
        self.next_look_at_connections = ends
            .into_iter()
            .flatten()
            .min()
            // What could not be counted is not tried again at once.
            .map(|at| at.max(now + Duration::from_secs(1)));
    }

    fn sync_rule(&self, director: &DirectorRole) -> Rule {
        let seconds = |value: i32| Duration::from_secs(u64::try_from(value).unwrap_or_default());
        // What the kernel has counts, whoever set it: the other directors have the same plan.
        let refresh = Sysctl::of_ipvs("sync_refresh_period");
        let refresh = self.kernel.sysctls.read(&refresh);
        let refresh = refresh.ok().and_then(|value| value.parse().ok());
        Rule {
            refresh_period: seconds(refresh.unwrap_or_default()),
            timeout: seconds(director.vrrp.preemption.sync_timeout_seconds),
        }
    }
}
