//! What the caller wants: start, stop, drain, another configuration; and the interface.

use std::net::IpAddr;

use super::{Output, Role, RoleReason, Router, Run, State};
use crate::config::CheckedConfig;
use crate::group::GroupOrder;
use crate::packet::PRIORITY_OWNER;
use crate::time::Monotonic;

impl Router {
    pub(super) fn start(&mut self, active: bool, now: Monotonic, outputs: &mut Vec<Output>) {
        if self.run != Run::Stopped {
            return;
        }
        self.run = Run::Running;
        let is_able = self.interface_up && (active || !self.adjustment.is_fault);
        if !is_able {
            // Linux answers for the addresses of an interface that is down, too.
            outputs.push(Output::RemoveVips(self.config.virtual_addresses.clone()));
            return;
        }
        if active {
            self.become_active(RoleReason::Resumed, now, outputs);
        } else {
            self.enter(RoleReason::Started, now, outputs);
        }
    }

    /// From Initialize into the election (RFC 9568 section 6.4.1): the owner of the addresses is
    /// Active at once.
    pub(super) fn enter(&mut self, reason: RoleReason, now: Monotonic, outputs: &mut Vec<Output>) {
        self.preempt_from = now + self.config.preempt_delay;
        if self.priority() == PRIORITY_OWNER && self.is_independent() && !self.draining {
            self.become_active(RoleReason::Owner, now, outputs);
        } else {
            self.become_backup(reason, now, outputs);
        }
    }

    pub(super) fn stop(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        match self.run {
            Run::Stopped => {}
            Run::Running if self.role() == Role::Active => {
                self.run = Run::Stopping;
                self.offer(now, outputs);
            }
            Run::Running | Run::Stopping => self.finish_stop(RoleReason::Stopped, outputs),
        }
    }

    pub(super) fn finish_stop(&mut self, reason: RoleReason, outputs: &mut Vec<Output>) {
        self.become_initialize(reason, outputs);
        self.run = Run::Stopped;
        outputs.push(Output::Stopped);
    }

    pub(super) fn drain(&mut self, drain: bool, now: Monotonic, outputs: &mut Vec<Output>) {
        if drain == self.draining {
            return;
        }
        self.draining = drain;
        match self.state {
            // It offers already, and how that ends is not the drain's to say.
            State::Active { .. } if self.reason_to_let_go().is_some() => {}
            State::Active { .. } if drain => self.offer(now, outputs),
            State::Active { .. } => self.keep_role(now, outputs),
            State::Backup(_) if !drain => {
                self.preempt_from = now + self.config.preempt_delay;
                self.shorten_down_timer(now);
            }
            State::Backup(_) | State::Initialize => {}
        }
    }

    pub(super) fn group(&mut self, order: GroupOrder, now: Monotonic, outputs: &mut Vec<Output>) {
        let was_released = self.is_released();
        self.group_order = order;
        let ends_anyway = self.is_stopping() || self.adjustment.is_fault;
        if self.role() != Role::Active || ends_anyway || was_released == self.is_released() {
            return;
        }
        if self.is_released() {
            self.offer(now, outputs);
        } else if !self.draining {
            self.keep_role(now, outputs);
        }
    }

    pub(super) fn take_over(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        if let State::Backup(watch) = self.state {
            let reason = if watch.down_at <= now {
                watch.cause
            } else {
                RoleReason::GroupTookOver
            };
            self.become_active(reason, now, outputs);
        }
    }

    /// Ends an offer that nobody has taken.
    pub(super) fn keep_role(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        if let State::Active { offered_until, .. } = &mut self.state {
            *offered_until = None;
        }
        self.advertise(now, self.own_interval(), outputs);
    }

    pub(super) fn is_released(&self) -> bool {
        self.group_order == GroupOrder::Release
    }

    pub(super) fn interface_up(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        self.interface_up = true;
        let is_out = self.run == Run::Running && self.role() == Role::Initialize;
        if is_out && !self.adjustment.is_fault {
            self.enter(RoleReason::InterfaceUp, now, outputs);
        }
    }

    pub(super) fn interface_down(&mut self, outputs: &mut Vec<Output>) {
        self.interface_up = false;
        if self.is_stopping() {
            self.finish_stop(RoleReason::InterfaceDown, outputs);
        } else {
            self.become_initialize(RoleReason::InterfaceDown, outputs);
        }
    }

    pub(super) fn reconfigure(
        &mut self,
        new: CheckedConfig,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        if self.config == new {
            return;
        }
        let old = std::mem::replace(&mut self.config, new);
        self.told_differences = None;
        match self.state {
            State::Initialize => {}
            State::Backup(mut watch) if self.config.speaks_differently(&old) => {
                // Until both sides have the new configuration they may not understand each other.
                // A fresh timer leaves a down interval for that instead of a take-over.
                self.learned_interval = None;
                watch.restart(now, now + self.down_interval());
                self.state = State::Backup(watch);
            }
            State::Backup(_) => self.shorten_down_timer(now),
            State::Active { .. } => self.reconfigure_active(&old, now, outputs),
        }
    }

    fn reconfigure_active(
        &mut self,
        old: &CheckedConfig,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        let missing_in = |from: &CheckedConfig, to: &CheckedConfig| -> Vec<IpAddr> {
            let mut addresses = from.virtual_addresses.clone();
            addresses.retain(|address| !to.virtual_addresses.contains(address));
            addresses
        };
        let added = missing_in(&self.config, old);
        let removed = missing_in(old, &self.config);
        // The last advertisement of a stopping router is final: it must not claim its role again.
        if !self.is_stopping() {
            self.advertise(now, self.own_interval(), outputs);
        }
        self.announcer.forget(&removed);
        if self.config.gratuitous.refresh != old.gratuitous.refresh {
            self.announcer.reschedule(&self.config.gratuitous, now);
        }
        if !added.is_empty() {
            outputs.push(Output::AddVips(added.clone()));
            self.announcer.burst(&self.config.gratuitous, added, now);
            self.announce(now, outputs);
        }
        if !removed.is_empty() {
            outputs.push(Output::RemoveVips(removed));
        }
    }
}
