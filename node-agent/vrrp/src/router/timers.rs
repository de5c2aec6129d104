//! What time does to a router.

use super::{Input, Output, RoleReason, Router, State, Watch};
use crate::interval::heard_within;
use crate::time::Monotonic;

impl Router {
    pub(super) fn tick(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        match self.state {
            State::Backup(watch) if self.is_independent() && watch.down_at <= now => {
                self.time_out(watch, now, outputs);
            }
            State::Initialize | State::Backup(_) => {}
            State::Active { .. } => self.tick_as_active(now, outputs),
        }
    }

    /// The Active Router was not heard. If this router was itself stopped meanwhile, that may be the
    /// reason, and it listens again; but only once, for one that is late whenever it looks would
    /// never take over.
    fn time_out(&mut self, mut watch: Watch, now: Monotonic, outputs: &mut Vec<Output>) {
        let was_stopped = watch.down_at + heard_within(self.active_interval()) <= now;
        if was_stopped && watch.cause == RoleReason::ActiveDown && !watch.is_second {
            watch.listen_again(now + self.down_interval());
            self.state = State::Backup(watch);
        } else {
            self.become_active(watch.cause, now, outputs);
        }
    }

    fn tick_as_active(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        if let State::Active { offered_until, .. } = &mut self.state
            && offered_until.take_if(|at| *at <= now).is_some()
        {
            if let Some(reason) = self.reason_to_let_go() {
                self.step_back(reason, now, outputs);
                return;
            }
            outputs.push(Output::NoSuccessor);
        }
        if let State::Active {
            advertise_at: Some(at),
            ..
        } = self.state
            && at <= now
        {
            self.advertise_again(at, now, outputs);
        }
        self.heal_if_silent(now, outputs);
        self.announce(now, outputs);
    }

    /// Why a role that nobody has taken is given up all the same.
    pub(super) fn reason_to_let_go(&self) -> Option<RoleReason> {
        if self.is_stopping() {
            Some(RoleReason::Stopped)
        } else if self.adjustment.is_fault {
            Some(RoleReason::Faulted)
        } else if self.is_released() {
            Some(RoleReason::GroupReleased)
        } else {
            None
        }
    }

    /// An Active Router whose last advertisement is so old that a Backup has taken over is none any
    /// more: sooner if another is heard.
    pub(super) fn step_back_if_stalled(
        &mut self,
        input: &Input,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        let State::Active {
            advertise_at: Some(_),
            advertised_at: Some(at),
            ..
        } = self.state
        else {
            return;
        };
        let is_heard = matches!(input, Input::Received { .. });
        let patience = if is_heard {
            self.config.succeeded_after()
        } else {
            self.config.stalled_after()
        };
        if now < at + patience {
            return;
        }
        self.step_back(RoleReason::Stalled, now, outputs);
        if !is_heard && let State::Backup(watch) = &mut self.state {
            // If there is no successor the addresses are nowhere, so a down interval would be long.
            watch.down_at = now + heard_within(self.config.advertisement_interval);
        }
    }

    /// The advertisement that was due `at`. The rhythm is kept unless this router is late by a
    /// whole interval.
    fn advertise_again(&mut self, at: Monotonic, now: Monotonic, outputs: &mut Vec<Output>) {
        let interval = self.own_interval();
        let next_at = at + interval;
        let last = self.is_stopping();
        self.advertise(now, interval, outputs);
        if let State::Active { advertise_at, .. } = &mut self.state {
            if last {
                *advertise_at = None;
            } else if next_at > now {
                *advertise_at = Some(next_at);
            }
        }
    }
}
