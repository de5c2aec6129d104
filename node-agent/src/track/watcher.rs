//! Looks at tracked things and hands the verdicts on. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lvs_health::probe::ping::Pinger;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Evaluator, HookLook, Subject, Verdict};
use crate::bundle::PlanBundle;
use crate::hook::{Call, Hooks};
use crate::kernel::network::{Network, Notices};
use crate::report::Report;

/// Time between two looks at the same thing; also the longest that a ping may take.
const PERIOD: Duration = Duration::from_secs(1);
/// Directory of tracked files within the agent's state directory.
const DIRECTORY: &str = "track";
/// Argument of a hook: what it is to do.
const ARGUMENT: &str = "track";
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
    hooks: Hooks,
    /// Hooks, when each is to be started next.
    due: BTreeMap<HookLook, Instant>,
    /// Those that run.
    running: JoinSet<Ended>,
    running_hooks: BTreeSet<HookLook>,
}

/// A hook that has ended.
struct Ended {
    hook: HookLook,
    started: Instant,
    result: Result<(), String>,
}

fn call(hook: &HookLook) -> Call {
    Call {
        name: hook.name.clone(),
        arguments: vec![ARGUMENT.into()],
        environment: Vec::new(),
        limit: hook.limit,
    }
}

/// Tracks what the plan says, and hands every change of a verdict to `tell`, until there are no more
/// plans. Must be called within a tokio runtime with time and I/O enabled.
pub async fn run(
    mut plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    reports: watch::Receiver<Report>,
    state_dir: PathBuf,
    hooks: Hooks,
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
        hooks,
        due: BTreeMap::new(),
        running: JoinSet::new(),
        running_hooks: BTreeSet::new(),
    };
    // The plan from disk is there already.
    plans.mark_changed();
    let mut told = BTreeMap::new();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let has_subjects = !watcher.evaluator.subjects().is_empty();
        let next_hook = watcher.due.values().min().copied();
        tokio::select! {
            changed = plans.changed() => {
                if changed.is_err() {
                    return;
                }
                let bundle = plans.borrow_and_update().clone();
                let director = bundle.as_ref().and_then(|bundle| bundle.plan.director.as_ref());
                watcher.evaluator.configure(director);
                watcher.follow_links();
                watcher.schedule_hooks();
            }
            () = sleep_until(next_hook.unwrap_or_else(Instant::now)), if next_hook.is_some() => {
                watcher.start_hooks(Instant::now());
            }
            Some(Ok(ended)) = watcher.running.join_next() => watcher.hook_ended(ended),
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
                Subject::Interface(_) | Subject::Hook(_) => continue,
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

    /// Starts what the plan has anew at once, and forgets what it has no more.
    fn schedule_hooks(&mut self) {
        let before = std::mem::take(&mut self.due);
        let running = &self.running_hooks;
        let subjects = self.evaluator.subjects();
        let hooks = subjects.into_iter().filter_map(|subject| match subject {
            Subject::Hook(hook) if !running.contains(hook) => Some(hook.clone()),
            _ => None,
        });
        let due = hooks.map(|hook| {
            let at = before.get(&hook).copied().unwrap_or_else(Instant::now);
            (hook, at)
        });
        self.due = due.collect();
    }

    /// Starts the hooks that are due. One is due again when it has ended and its interval is over.
    fn start_hooks(&mut self, now: Instant) {
        let due: Vec<HookLook> = self
            .due
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(hook, _)| hook.clone())
            .collect();
        for hook in due {
            self.due.remove(&hook);
            self.running_hooks.insert(hook.clone());
            let (hooks, call) = (self.hooks.clone(), call(&hook));
            self.running.spawn(async move {
                let result = hooks.run(&call).await;
                Ended {
                    hook,
                    started: now,
                    result: result.map_err(|error| error.to_string()),
                }
            });
        }
    }

    fn hook_ended(&mut self, ended: Ended) {
        let Ended {
            hook,
            started,
            result,
        } = ended;
        self.running_hooks.remove(&hook);
        if let Err(error) = &result {
            tracing::debug!(target: "track", error, "failed");
        }
        self.evaluator.hook_ended(&hook, result);
        let is_tracked = self
            .evaluator
            .subjects()
            .contains(&Subject::Hook(hook.clone()));
        if is_tracked {
            let next = started + hook.interval;
            self.due.insert(hook, next.max(Instant::now()));
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
        let hooks = Hooks::new(state.path().to_owned(), None);
        tokio::spawn(run(plans, reports, state.path().to_owned(), hooks, tell));
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

    #[tokio::test]
    async fn a_hook_that_fails_is_told_with_what_it_said_until_it_succeeds() {
        let directory = crate::hook::tests::directory();
        let well = directory.path().join("well");
        let script = format!(
            "[ \"$1\" = track ] && [ -e {} ] || {{ echo disk full >&2; exit 1; }}",
            well.display()
        );
        crate::hook::tests::install(directory.path(), "disk", &script);
        let tracks = json!([
            {"name": "disk", "hook": {"name": "disk", "intervalSeconds": 1}, "rise": 1, "fall": 2},
            {"name": "none", "hook": {"name": "absent", "intervalSeconds": 1}, "weight": -10,
             "rise": 1, "fall": 1},
        ]);
        let (plan, plans) = watch::channel(Some(bundle(tracks)));
        let (_report, reports) = watch::channel(Report::unobserved());
        let (sender, mut verdicts) = mpsc::unbounded_channel();
        let tell = move |verdicts: BTreeMap<String, Verdict>| {
            sender.send(verdicts).expect("the test waits");
        };
        let hooks = Hooks::new(directory.path().to_owned(), None);
        let state_dir = directory.path().to_owned();
        tokio::spawn(run(plans, reports, state_dir, hooks, tell));
        let mut until = async |is_fault: bool, failures: usize| {
            loop {
                let told = verdicts.recv().await.expect("the watcher runs");
                let verdict = &told["default"];
                if (verdict.adjustment.is_fault, verdict.failed.len()) == (is_fault, failures) {
                    return verdict.clone();
                }
            }
        };
        let verdict = until(true, 2).await;
        assert_eq!(
            verdict.failed[0],
            "disk (hook disk: exit status: 1: disk full)"
        );
        assert!(
            verdict.failed[1].starts_with("none (hook absent: "),
            "{:?}",
            verdict.failed
        );
        assert_eq!(verdict.adjustment.weight, -10);
        std::fs::write(&well, "").expect("written");
        assert_eq!(until(false, 1).await.adjustment.weight, -10);
        plan.send_replace(Some(bundle(json!([]))));
        assert_eq!(until(false, 0).await.adjustment.weight, 0);
    }
}
