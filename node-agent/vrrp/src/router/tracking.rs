//! What the things that are tracked do to a router.

use super::{Adjustment, Output, Role, RoleReason, Router, Run, State};
use crate::packet::PRIORITY_OWNER;
use crate::time::Monotonic;

/// Highest priority of a router that does not own the addresses.
const HIGHEST_PRIORITY: u8 = 254;

impl Router {
    /// The priority in force: the configured one with the weights of what is tracked.
    #[must_use]
    pub fn priority(&self) -> u8 {
        let base = self.config.priority;
        if base == PRIORITY_OWNER {
            return base;
        }
        let sum = i32::from(base).saturating_add(self.adjustment.weight);
        u8::try_from(sum.max(1)).map_or(HIGHEST_PRIORITY, |sum| sum.min(HIGHEST_PRIORITY))
    }

    pub(super) fn adjust(
        &mut self,
        adjustment: Adjustment,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        let advertised = self.advertised_priority();
        let old = std::mem::replace(&mut self.adjustment, adjustment);
        let is_new_fault = adjustment.is_fault && !old.is_fault;
        match self.state {
            State::Initialize => {
                let is_out = self.run == Run::Running && self.interface_up;
                if is_out && old.is_fault && !adjustment.is_fault {
                    self.enter(RoleReason::FaultCleared, now, outputs);
                }
            }
            State::Backup(_) if is_new_fault => {
                self.become_initialize(RoleReason::Faulted, outputs);
            }
            State::Backup(_) => self.shorten_down_timer(now),
            // How its offer ends is not the fault's to say.
            State::Active { .. } if self.is_stopping() || self.is_released() => {}
            State::Active { .. } if is_new_fault => self.offer(now, outputs),
            State::Active { .. } if advertised != self.advertised_priority() => {
                self.keep_role(now, outputs);
            }
            State::Active { .. } => {}
        }
    }

    pub(super) fn hold_preemption(&mut self, hold: bool, now: Monotonic) {
        if self.holds_preemption && !hold && self.role() != Role::Initialize {
            let released = now + self.config.preempt_delay;
            self.preempt_from = self.preempt_from.max(released);
        }
        self.holds_preemption = hold;
    }
}
