//! What many looks at tracked things mean for the priorities of instances. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lvs_crds::v1alpha1::{DirectorRole, FileState, Track, TrackedHook};
use lvs_vrrp::Adjustment;

use super::process::ProcessLook;

/// Something to look at. Equal ones of several instances are looked at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The interface of this name exists, is up and has a carrier.
    Interface(String),
    /// The address answers.
    Ping(IpAddr),
    /// The file of this name exists.
    File(String),
    /// Enough of these processes run.
    Process(ProcessLook),
    /// The hook succeeds.
    Hook(HookLook),
    /// So many of 100 virtual services of the instance are ready.
    ReadyServices {
        /// The instance.
        instance: String,
        /// How many of 100.
        minimum_percent: u32,
    },
}

/// A hook that looks at something, and how often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookLook {
    /// Its name.
    pub name: String,
    /// From one start to the next.
    pub interval: Duration,
    /// When it is killed.
    pub limit: Duration,
}

impl HookLook {
    fn of(hook: &TrackedHook) -> Self {
        let seconds = |value| Duration::from_secs(u64::try_from(value).unwrap_or(1));
        Self {
            name: hook.name.clone(),
            interval: seconds(hook.interval_seconds),
            limit: seconds(hook.timeout_seconds),
        }
    }
}

/// What the tracked things of an instance do to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What its routers are told.
    pub adjustment: Adjustment,
    /// Names of those that have failed, and why if that is known.
    pub failed: Vec<String>,
}

/// A tracked thing and what has been seen of it.
#[derive(Clone, Debug)]
struct Tracked {
    name: String,
    subject: Subject,
    /// How it looks when it is as it should be.
    expected: bool,
    weight: i32,
    rise: u32,
    fall: u32,
    is_well: bool,
    /// Looks in a row that contradict `is_well`.
    streak: u32,
    /// Why the look failed by which it is not well any more.
    problem: Option<String>,
}

impl Tracked {
    /// As the plan has it; well until looks say otherwise, so that a restart changes no role. `None`
    /// for an address that is none, which the API server refuses.
    fn new(instance: &str, track: &Track) -> Option<Self> {
        let (subject, expected) = if let Some(name) = &track.interface {
            (Subject::Interface(name.clone()), true)
        } else if let Some(ping) = &track.ping {
            (Subject::Ping(ping.address.parse().ok()?), true)
        } else if let Some(services) = &track.virtual_services {
            let minimum_percent = u32::try_from(services.minimum_ready_percent).unwrap_or(0);
            let subject = Subject::ReadyServices {
                instance: instance.to_owned(),
                minimum_percent,
            };
            (subject, true)
        } else if let Some(file) = &track.file {
            let subject = Subject::File(file.name.clone());
            (subject, file.expected == FileState::Present)
        } else if let Some(process) = &track.process {
            (Subject::Process(ProcessLook::of(process)), true)
        } else if let Some(hook) = &track.hook {
            (Subject::Hook(HookLook::of(hook)), true)
        } else {
            return None;
        };
        Some(Self {
            name: track.name.clone(),
            subject,
            expected,
            weight: track.weight,
            rise: u32::try_from(track.rise).unwrap_or(1),
            fall: u32::try_from(track.fall).unwrap_or(1),
            is_well: true,
            streak: 0,
            problem: None,
        })
    }

    fn look(&mut self, seen: bool, problem: Option<&str>) {
        if (seen == self.expected) == self.is_well {
            self.streak = 0;
            return;
        }
        self.streak = self.streak.saturating_add(1);
        let needed = if self.is_well { self.fall } else { self.rise };
        if self.streak >= needed {
            self.is_well = !self.is_well;
            self.streak = 0;
            self.problem = problem.filter(|_| !self.is_well).map(str::to_owned);
        }
    }

    /// What it adds to the priority.
    fn weight(&self) -> i32 {
        if (self.weight > 0) == self.is_well {
            self.weight
        } else {
            0
        }
    }
}

/// Judges the tracked things of all instances of a director.
#[derive(Clone, Debug, Default)]
pub struct Evaluator {
    instances: BTreeMap<String, Vec<Tracked>>,
}

impl Evaluator {
    /// Tracks what the plan says. What has been seen of a thing that stays is remembered.
    pub fn configure(&mut self, director: Option<&DirectorRole>) {
        let mut before = std::mem::take(&mut self.instances);
        for instance in director
            .into_iter()
            .flat_map(|director| &director.instances)
        {
            let mut known = before.remove(&instance.name).unwrap_or_default();
            let tracks = instance.track.iter();
            let tracked = tracks.filter_map(|track| {
                let mut tracked = Tracked::new(&instance.name, track)?;
                let same = known.iter().position(|known| {
                    (&known.name, &known.subject, known.expected)
                        == (&tracked.name, &tracked.subject, tracked.expected)
                });
                if let Some(place) = same {
                    let known = known.swap_remove(place);
                    (tracked.is_well, tracked.streak) = (known.is_well, known.streak);
                    tracked.problem = known.problem;
                }
                Some(tracked)
            });
            let tracked = tracked.collect();
            self.instances.insert(instance.name.clone(), tracked);
        }
    }

    /// What is to be looked at.
    #[must_use]
    pub fn subjects(&self) -> BTreeSet<&Subject> {
        let tracked = self.instances.values().flatten();
        tracked.map(|tracked| &tracked.subject).collect()
    }

    /// Takes in a look: whether the interface works, the address answered, the file exists, enough
    /// virtual services are ready.
    pub fn look(&mut self, subject: &Subject, seen: bool) {
        self.look_with(subject, seen, None);
    }

    /// Takes in a look that failed or succeeded, and why it failed: how a hook ended, whether
    /// processes could be read.
    pub fn tried(&mut self, subject: &Subject, result: &Result<(), String>) {
        let problem = result.as_ref().err().map(String::as_str);
        self.look_with(subject, result.is_ok(), problem);
    }

    fn look_with(&mut self, subject: &Subject, seen: bool, problem: Option<&str>) {
        for tracked in self.instances.values_mut().flatten() {
            if tracked.subject == *subject {
                tracked.look(seen, problem);
            }
        }
    }

    /// The verdict on each instance.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<String, Verdict> {
        let instances = self.instances.iter();
        instances
            .map(|(instance, tracked)| (instance.clone(), verdict(tracked)))
            .collect()
    }
}

fn verdict(tracked: &[Tracked]) -> Verdict {
    Verdict {
        adjustment: Adjustment {
            weight: tracked.iter().map(Tracked::weight).sum(),
            is_fault: tracked
                .iter()
                .any(|tracked| tracked.weight == 0 && !tracked.is_well),
        },
        failed: tracked
            .iter()
            .filter(|tracked| !tracked.is_well)
            .map(|tracked| match &tracked.problem {
                Some(problem) => format!("{} ({problem})", tracked.name),
                None => tracked.name.clone(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
