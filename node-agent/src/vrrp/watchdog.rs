//! A watchdog device that the VRRP thread feeds while it is Active: a thread that hangs, or a node that
//! is frozen, is reset before it can wake up beside its successor.
//!
//! The device counts from its opening on, and resets the node when it is not written to in time
//! (Documentation/watchdog/watchdog-api.rst of the kernel). The letter `V` before its closing stops
//! it; a process that dies does not write that.

use std::time::Duration;

use lvs_vrrp::Monotonic;

use super::plan::WatchdogPlan;

mod device;
#[cfg(test)]
mod tests;

use device::Device;

/// Time until a device that could not be used is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How often it is fed within its time-out.
const MEALS: u32 = 3;

/// What to do with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// See whether it can be used, and stop it if an earlier run of the agent has left it running.
    Look,
    /// Open it, which starts it.
    Open,
    /// Write to it.
    Feed,
    /// Stop it.
    Close,
}

/// How far the device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is nothing to do until this director is Active.
    #[default]
    Idle,
    /// It has not been looked at.
    Unknown,
    /// It could not be used.
    Failed {
        /// When it is tried again.
        retry_at: Monotonic,
    },
    /// It runs.
    Running {
        /// Time between two writes.
        every: Duration,
        /// When the next one is due.
        feed_at: Monotonic,
    },
    /// It runs, but not as the plan has it.
    Outdated,
}

impl State {
    /// What to do at `now`; `is_wanted` while this director is Active. Pure.
    fn step(self, is_wanted: bool, now: Monotonic) -> Option<Step> {
        let start = if is_wanted { Step::Open } else { Step::Look };
        match self {
            Self::Idle => is_wanted.then_some(Step::Open),
            Self::Unknown => Some(start),
            Self::Failed { retry_at } => (retry_at <= now).then_some(start),
            Self::Running { feed_at, .. } if is_wanted => (feed_at <= now).then_some(Step::Feed),
            Self::Running { .. } | Self::Outdated => Some(Step::Close),
        }
    }

    /// The state after a step, which with `Open` answers with the device's time-out. Pure.
    fn after(self, step: Step, result: Option<Duration>, now: Monotonic) -> Self {
        match (step, result, self) {
            (Step::Open, Some(timeout), _) => {
                let every = timeout / MEALS;
                Self::Running {
                    every,
                    feed_at: now + every,
                }
            }
            // One that did not take it is tried again in time, too.
            (Step::Feed, _, Self::Running { every, .. }) => Self::Running {
                every,
                feed_at: now + every,
            },
            (Step::Close, _, Self::Outdated) => Self::Unknown,
            (Step::Close, _, _) | (Step::Look, Some(_), _) => Self::Idle,
            (Step::Open | Step::Look | Step::Feed, _, _) => Self::Failed {
                retry_at: now + RETRY,
            },
        }
    }

    fn next_deadline(self) -> Option<Monotonic> {
        match self {
            Self::Failed { retry_at: at } | Self::Running { feed_at: at, .. } => Some(at),
            Self::Idle | Self::Unknown | Self::Outdated => None,
        }
    }
}

/// The watchdog of the thread.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    plan: Option<WatchdogPlan>,
    state: State,
    device: Option<Device>,
    problem: Option<String>,
}

impl Watchdog {
    /// Does what is to be done at `now` for `plan`; `is_wanted` while this director is Active. Says
    /// whether the problem is another one than before.
    pub(super) fn serve(
        &mut self,
        plan: Option<&WatchdogPlan>,
        is_wanted: bool,
        now: Monotonic,
    ) -> bool {
        let before = self.problem.clone();
        if self.plan.as_ref() != plan {
            self.plan = plan.cloned();
            self.problem = None;
            self.state = match (&self.device, plan) {
                (Some(_), _) => State::Outdated,
                (None, Some(_)) => State::Unknown,
                (None, None) => State::Idle,
            };
        }
        let is_planned = self.plan.is_some();
        // What is closed may have to be looked at anew, which is the last of the steps of a turn.
        for _ in 0..2 {
            let Some(step) = self.state.step(is_wanted && is_planned, now) else {
                break;
            };
            let result = self.perform(step);
            self.problem = result.as_ref().err().cloned();
            self.state = self.state.after(step, result.ok(), now);
            if !is_planned {
                self.state = State::Idle;
            }
        }
        self.problem != before
    }

    fn perform(&mut self, step: Step) -> Result<Duration, String> {
        let text = |error: device::DeviceError| error.to_string();
        let done = |()| Duration::ZERO;
        match (step, &mut self.device, &self.plan) {
            (Step::Look, None, Some(plan)) => Device::look(plan).map(done).map_err(text),
            (Step::Open, None, Some(plan)) => {
                let (device, timeout) = Device::open(plan).map_err(text)?;
                self.device = Some(device);
                Ok(timeout)
            }
            (Step::Feed, Some(device), _) => device.feed().map(done).map_err(text),
            (Step::Close, Some(_), _) => {
                let device = self.device.take();
                device.map_or(Ok(()), Device::close).map(done).map_err(text)
            }
            // No state leads here.
            _ => Ok(Duration::ZERO),
        }
    }

    /// When to call [`Watchdog::serve`] at the latest.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.state.next_deadline()
    }

    /// Why the device is of no use.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.device.is_some()
    }
}
