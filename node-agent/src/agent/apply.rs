//! Carries ops out, in their order.

use std::time::SystemTime;

use lvs_ipvs::Error;

use super::Agent;
use super::pass::Findings;
use crate::metrics::KindLabel;
use crate::op::Op;
use crate::op_log::Change;
use crate::plan::Problem;
use crate::report::refusal::Verdict;

impl Agent {
    /// Carries out the ops that are not of IPVS services. A failure does not keep the ops after it
    /// from being tried, except that a VIP is not added to a real server whose ARP may not be
    /// suppressed. What the kernel will refuse again is a problem, what may pass an error.
    pub(super) async fn apply(&mut self, ops: &[Op], findings: &mut Findings) {
        let mut is_safe_to_add = true;
        for op in ops {
            let result = match op {
                Op::Ipvs(command) => {
                    self.apply_ipvs(op, command, findings);
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
                Op::SetMarks(changes) => self
                    .kernel
                    .marks
                    .commit(changes)
                    .map_err(|error| error.to_string()),
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
            let error = self.record(self.counted(op, result));
            // The next round finds what the kernel lacks, and says what that means.
            let is_lacking = match op {
                Op::LoadModule(_) => true,
                Op::SetMarks(_) => self.kernel.marks.unsupported().is_some(),
                _ => false,
            };
            if !is_lacking {
                findings
                    .errors
                    .extend(error.map(|error| format!("{op}: {error}")));
            }
        }
    }

    /// Carries out a command on the daemons or the timeouts.
    fn apply_ipvs(&mut self, op: &Op, command: &lvs_ipvs::Command, findings: &mut Findings) {
        let result = match self.kernel.ipvs.apply(std::slice::from_ref(command)) {
            Ok(results) => results.into_iter().next().unwrap_or(Ok(())),
            Err(error) => Err(error),
        };
        let text = self.record_ipvs(op, &result);
        let Err(error) = result else { return };
        match self.kernel_name.verdict(&error) {
            Verdict::Refused(refused) => {
                self.refused_ops
                    .push((op.clone(), Problem::of_node(refused.message)));
            }
            Verdict::Stale | Verdict::Failed => findings.errors.extend(text),
        }
    }

    /// Counts a command and writes down what became of it. The error names the command itself.
    pub(super) fn record_ipvs(&self, op: &Op, result: &Result<(), Error>) -> Option<String> {
        self.record(self.counted_ipvs(op, result))
    }

    fn record(&self, change: Change) -> Option<String> {
        let error = change.error.clone();
        self.outputs.ops.record(SystemTime::now(), vec![change]);
        error
    }

    /// Counts a command, and says what became of it for the log. The error names the command itself.
    pub(super) fn counted_ipvs(&self, op: &Op, result: &Result<(), Error>) -> Change {
        let result = result.as_ref().map_err(ToString::to_string).copied();
        self.counted(op, result)
    }

    fn counted(&self, op: &Op, result: Result<(), String>) -> Change {
        let label = KindLabel { kind: op.kind() };
        let metrics = &self.outputs.metrics;
        let counter = if result.is_ok() {
            &metrics.ops
        } else {
            &metrics.failed_ops
        };
        counter.get_or_create(&label).inc();
        Change {
            kind: op.kind(),
            command: op.to_string(),
            error: result.err(),
        }
    }
}
