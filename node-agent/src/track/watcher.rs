//! Looks at tracked things and hands the verdicts on. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lvs_health::probe::ping::Pinger;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Evaluator, HookLook, ProcessLook, Processes, Subject, Verdict};
use crate::bundle::PlanBundle;
use crate::hook::{Call, Hooks};
use crate::kernel::network::{Network, Notices};
use crate::report::Report;

/// Time between two looks at the same thing; also the longest that a ping may take.
const PERIOD: Duration = Duration::from_secs(1);
/// Time between two looks at whether a process has ended: there is no event for one of another PID
/// namespace.
const GLANCE: Duration = Duration::from_millis(100);
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
    processes: Processes,
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
    processes: Processes,
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
        processes,
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
    let mut glance = interval(GLANCE);
    glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
            _ = glance.tick(), if watcher.processes.has_found() => {
                if watcher.processes.has_lost() {
                    watcher.look_at_processes().await;
                }
            }
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
        self.look_at_processes().await;
        let subjects: Vec<Subject> = self.evaluator.subjects().into_iter().cloned().collect();
        for subject in subjects {
            let seen = match &subject {
                Subject::Interface(_) | Subject::Process(_) | Subject::Hook(_) => continue,
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
        let subject = Subject::Hook(hook.clone());
        self.evaluator.tried(&subject, &result);
        if self.evaluator.subjects().contains(&subject) {
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

    /// Looks for processes.
    async fn look_at_processes(&mut self) {
        let subjects = self.evaluator.subjects().into_iter();
        let looks = subjects.filter_map(|subject| match subject {
            Subject::Process(look) => Some(look.clone()),
            _ => None,
        });
        let looks: BTreeSet<ProcessLook> = looks.collect();
        if looks.is_empty() && !self.processes.has_found() {
            return;
        }
        let mut processes = self.processes.clone();
        let looked = spawn_blocking(move || {
            let outcome = processes.look(&looks);
            (processes, looks, outcome)
        });
        let Ok((processes, looks, looked)) = looked.await else {
            return;
        };
        self.processes = processes;
        for look in looks {
            let outcome = match &looked {
                Ok(()) => look.judge(self.processes.running(&look)),
                Err(error) => Err(error.to_string()),
            };
            self.evaluator.tried(&Subject::Process(look), &outcome);
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
mod tests;
