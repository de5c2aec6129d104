//! Looks at tracked things and hands the verdicts on. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lvs_health::probe::ping::Pinger;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::{Evaluator, Subject, Verdict};
use crate::bundle::PlanBundle;
use crate::kernel::network::{Network, Notices};
use crate::report::Report;

/// Time between two looks at the same thing; also the longest that a ping may take.
const PERIOD: Duration = Duration::from_secs(1);
/// Directory of tracked files within the agent's state directory.
const DIRECTORY: &str = "track";
/// Results of pings that may wait.
const RESULTS: usize = 64;

/// What the watcher looks at things with.
struct Watcher {
    evaluator: Evaluator,
    reports: watch::Receiver<Report>,
    directory: PathBuf,
    network: Option<Network>,
    pinger: Arc<Pinger>,
    /// Addresses that are being pinged.
    pinged: BTreeSet<IpAddr>,
    replies: mpsc::Sender<(IpAddr, bool)>,
}

/// Tracks what the plan says, and hands every change of a verdict to `tell`, until there are no more
/// plans. Must be called within a tokio runtime with time and I/O enabled.
pub async fn run(
    mut plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    reports: watch::Receiver<Report>,
    state_dir: PathBuf,
    tell: impl Fn(BTreeMap<String, Verdict>),
) {
    let (replies, mut answers) = mpsc::channel(RESULTS);
    let mut watcher = Watcher {
        evaluator: Evaluator::default(),
        reports,
        directory: state_dir.join(DIRECTORY),
        network: None,
        pinger: Arc::default(),
        pinged: BTreeSet::new(),
        replies,
    };
    // The plan from disk is there already.
    plans.mark_changed();
    let mut told = BTreeMap::new();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let has_subjects = !watcher.evaluator.subjects().is_empty();
        tokio::select! {
            changed = plans.changed() => {
                if changed.is_err() {
                    return;
                }
                let bundle = plans.borrow_and_update().clone();
                let director = bundle.as_ref().and_then(|bundle| bundle.plan.director.as_ref());
                watcher.evaluator.configure(director);
                watcher.follow_links();
            }
            _ = period.tick(), if has_subjects => watcher.look().await,
            () = link_changed(&mut watcher.network) => watcher.look_at_links().await,
            Some((address, answered)) = answers.recv() => {
                watcher.pinged.remove(&address);
                watcher.evaluator.look(&Subject::Ping(address), answered);
            }
        }
        let verdicts = watcher.evaluator.verdicts();
        if verdicts != told {
            tell(verdicts.clone());
            told = verdicts;
        }
    }
}

/// Waits for the notice that an interface has changed.
async fn link_changed(network: &mut Option<Network>) {
    match network {
        Some(open) => {
            if !open.changed().await {
                *network = None;
            }
        }
        None => std::future::pending().await,
    }
}

impl Watcher {
    /// Opens or closes what tells of interfaces.
    fn follow_links(&mut self) {
        let subjects = self.evaluator.subjects();
        let is_needed = subjects
            .iter()
            .any(|subject| matches!(subject, Subject::Interface(_)));
        if !is_needed {
            self.network = None;
        } else if self.network.is_none() {
            match Network::open(Notices::Links) {
                Ok(network) => self.network = Some(network),
                Err(error) => {
                    tracing::warn!(target: "track", %error, "tracked interfaces are not watched");
                }
            }
        }
    }

    /// Looks at everything once.
    async fn look(&mut self) {
        self.follow_links();
        self.look_at_links().await;
        let subjects: Vec<Subject> = self.evaluator.subjects().into_iter().cloned().collect();
        for subject in subjects {
            let seen = match &subject {
                Subject::Interface(_) => continue,
                Subject::Ping(address) => {
                    self.ping(*address);
                    continue;
                }
                Subject::File(name) => {
                    match tokio::fs::try_exists(self.directory.join(name)).await {
                        Ok(exists) => exists,
                        Err(error) => {
                            tracing::warn!(target: "track", name, %error, "tracked file not readable");
                            continue;
                        }
                    }
                }
                Subject::ReadyServices {
                    instance,
                    minimum_percent,
                } => match self.reports.borrow().ready_services.get(instance) {
                    Some(ready) => ready.is_at_least(*minimum_percent),
                    None => continue,
                },
            };
            self.evaluator.look(&subject, seen);
        }
    }

    /// Looks at interfaces. When the kernel does not answer, nothing has been seen.
    async fn look_at_links(&mut self) {
        let Some(network) = &self.network else {
            return;
        };
        let running = match network.running_interfaces().await {
            Ok(running) => running,
            Err(error) => {
                tracing::warn!(target: "track", %error, "interfaces could not be read");
                return;
            }
        };
        let subjects: Vec<Subject> = self.evaluator.subjects().into_iter().cloned().collect();
        for subject in subjects {
            if let Subject::Interface(name) = &subject {
                self.evaluator.look(&subject, running.contains(name));
            }
        }
    }

    /// Sends one ping; its answer comes by the channel.
    fn ping(&mut self, address: IpAddr) {
        // One that was late is not overtaken by the next.
        if !self.pinged.insert(address) {
            return;
        }
        let (pinger, replies) = (Arc::clone(&self.pinger), self.replies.clone());
        tokio::spawn(async move {
            let answered = pinger.run(address, PERIOD).await;
            if let Err(error) = &answered {
                tracing::debug!(target: "track", %address, %error, "no answer");
            }
            // The watcher may have ended.
            let _ = replies.send((address, answered.is_ok())).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;
    use crate::report::ReadyServices;

    fn bundle(tracks: serde_json::Value) -> Arc<PlanBundle> {
        let mut bundle = fixture::director(&json!([]), &json!([]));
        let director = bundle.plan.director.as_mut().expect("a director");
        director.instances[0].track = serde_json::from_value(tracks).expect("things to track");
        Arc::new(bundle)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_reaches_the_verdict_and_a_plan_without_it_clears_that() {
        let state = tempfile::tempdir().expect("a directory");
        let tracks = json!([
            {"name": "maintenance", "file": {"name": "down"}, "rise": 1, "fall": 2},
            {"name": "inside", "interface": "no-such-0", "weight": -10, "rise": 1, "fall": 1},
            {"name": "served", "virtualServices": {"minimumReadyPercent": 60}, "weight": 7,
             "rise": 1, "fall": 1},
        ]);
        let (plan, plans) = watch::channel(Some(bundle(tracks)));
        let (report, reports) = watch::channel(Report::unobserved());
        let (sender, mut verdicts) = mpsc::unbounded_channel();
        let tell = move |verdicts: BTreeMap<String, Verdict>| {
            sender.send(verdicts).expect("the test waits");
        };
        tokio::spawn(run(plans, reports, state.path().to_owned(), tell));
        let mut until = async |weight: i32, is_fault: bool| {
            loop {
                let told = verdicts.recv().await.expect("the watcher runs");
                let adjustment = told["default"].adjustment;
                if (adjustment.weight, adjustment.is_fault) == (weight, is_fault) {
                    return told["default"].failed.clone();
                }
            }
        };
        assert_eq!(until(-3, false).await, ["inside"]);
        let directory = state.path().join(DIRECTORY);
        std::fs::create_dir(&directory).expect("made");
        std::fs::write(directory.join("down"), "").expect("made");
        assert_eq!(until(-3, true).await, ["maintenance", "inside"]);
        let ready = ReadyServices { ready: 1, all: 2 };
        report.send_modify(|report| {
            report.ready_services.insert("default".into(), ready);
        });
        until(-10, true).await;
        std::fs::remove_file(directory.join("down")).expect("removed");
        assert_eq!(until(-10, false).await, ["inside", "served"]);
        plan.send_replace(Some(bundle(json!([]))));
        assert!(until(0, false).await.is_empty());
    }
}
