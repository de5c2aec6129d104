//! Carries ops out, in their order.

use lvs_ipvs::Command;

use super::Agent;
use crate::metrics::KindLabel;
use crate::op::Op;

impl Agent {
    /// Carries ops out and returns the failures, each with the op that failed. A failure does not
    /// keep the ops after it from being tried, except that a VIP is not added to a real server
    /// whose ARP may not be suppressed.
    pub(super) async fn apply(&mut self, ops: &[Op]) -> Vec<String> {
        let mut failures = Vec::new();
        let mut is_safe_to_add = true;
        let mut rest = ops;
        while let Some((op, after)) = rest.split_first() {
            let result = match op {
                Op::Ipvs(_) => {
                    let count = rest
                        .iter()
                        .take_while(|op| matches!(op, Op::Ipvs(_)))
                        .count();
                    let (batch, after) = rest.split_at(count);
                    rest = after;
                    failures.extend(self.apply_ipvs(batch));
                    continue;
                }
                Op::SetSysctl { sysctl, value } => {
                    let written = self.kernel.sysctls.write(sysctl, value);
                    is_safe_to_add &= written.is_ok();
                    written.map_err(|error| error.to_string())
                }
                Op::LoadModule(module) => {
                    self.kernel.load(*module).map_err(|errno| errno.to_string())
                }
                Op::SetLink(link) => match self.kernel.network() {
                    Some(network) => network
                        .set_link(link)
                        .await
                        .map_err(|error| error.to_string()),
                    None => Err("no rtnetlink socket".to_owned()),
                },
                Op::AddFouPort(port) => {
                    let fou = self.kernel.fou();
                    fou.and_then(|fou| fou.add(*port))
                        .map_err(|error| error.to_string())
                }
                Op::DeleteFouPort(port) => {
                    let fou = self.kernel.fou();
                    fou.and_then(|fou| fou.delete(*port))
                        .map_err(|error| error.to_string())
                }
                Op::AddAddress(_) if !is_safe_to_add => {
                    Err("not tried: a sysctl before it could not be set".to_owned())
                }
                Op::AddAddress(vip) => match self.kernel.network() {
                    Some(network) => network.add(vip).await.map_err(|error| error.to_string()),
                    None => Err("no rtnetlink socket".to_owned()),
                },
                Op::DeleteAddress(vip) => match self.kernel.network() {
                    Some(network) => network.delete(vip).await.map_err(|error| error.to_string()),
                    None => Err("no rtnetlink socket".to_owned()),
                },
            };
            let failure = self.record(op, result);
            // The next round finds that the module is missing, and says what that means.
            if !matches!(op, Op::LoadModule(_)) {
                failures.extend(failure);
            }
            rest = after;
        }
        failures
    }

    fn apply_ipvs(&mut self, ops: &[Op]) -> Vec<String> {
        let commands: Vec<Command> = ops
            .iter()
            .filter_map(|op| match op {
                Op::Ipvs(command) => Some(command.clone()),
                _ => None,
            })
            .collect();
        match self.kernel.ipvs.apply(&commands) {
            Ok(results) => ops
                .iter()
                .zip(results)
                .filter_map(|(op, result)| {
                    // The error names the command itself.
                    self.record_as(op, result.map_err(|error| error.to_string()))
                })
                .collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    fn record(&self, op: &Op, result: Result<(), String>) -> Option<String> {
        self.record_as(op, result)
            .map(|error| format!("{op}: {error}"))
    }

    fn record_as(&self, op: &Op, result: Result<(), String>) -> Option<String> {
        let label = KindLabel { kind: op.kind() };
        let metrics = &self.outputs.metrics;
        let counter = if result.is_ok() {
            &metrics.ops
        } else {
            &metrics.failed_ops
        };
        counter.get_or_create(&label).inc();
        let error = result.err();
        self.outputs
            .ops
            .record(op.kind(), op.to_string(), error.clone());
        error
    }
}
