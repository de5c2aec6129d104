//! The state machine of one virtual router (RFC 9568 section 6.4, RFC 3768 section 6.4).

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::authentication::Authentication;
use crate::config::{CheckedConfig, Preemption};
use crate::group::GroupOrder;
use crate::interval::{Centiseconds, skew_time};
use crate::packet::{Advertisement, PRIORITY_OWNER, PRIORITY_RELEASE};
use crate::time::Monotonic;

mod announcer;
mod control;
mod event;
mod receive;
mod split;
#[cfg(test)]
mod tests;
mod timers;
mod tracking;
mod watch;

use announcer::Announcer;
pub use event::{Adjustment, Differences, Input, Output, Role, RoleReason};
use split::Split;
use watch::Watch;

/// Priority by which a drained router waits: the lowest that a Backup can have.
const DRAINED_PRIORITY: u8 = 1;

/// One virtual router: takes what happened and when, and says what to do.
///
/// `now` never goes back from call to call. Between calls nothing happens; [`Router::next_deadline`]
/// says when to call with [`Input::Tick`] at the latest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Router {
    config: CheckedConfig,
    state: State,
    run: Run,
    interface_up: bool,
    draining: bool,
    /// What is tracked.
    adjustment: Adjustment,
    holds_preemption: bool,
    /// What the routers that move with this one let it do.
    group_order: GroupOrder,
    /// The Active Router's interval, as a version 3 Backup learned it.
    learned_interval: Option<Centiseconds>,
    /// From when on preemption is allowed, if it is configured.
    preempt_from: Monotonic,
    announcer: Announcer,
    /// What was last told of the peer's configuration.
    told_differences: Option<(IpAddr, Differences)>,
    /// Another that is Active, too.
    split: Option<Split>,
}

/// What the caller wants of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Run {
    Stopped,
    Running,
    /// It hands over and stops then.
    Stopping,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum State {
    Initialize,
    Backup(Watch),
    Active {
        /// Since when it is Active.
        since: Monotonic,
        /// When the next advertisement is due; none if the last one was sent.
        advertise_at: Option<Monotonic>,
        /// When the last one was sent.
        #[serde(default)]
        advertised_at: Option<Monotonic>,
        /// While it offers its role: when every Backup would have taken it.
        offered_until: Option<Monotonic>,
    },
}

impl State {
    const fn role(&self) -> Role {
        match self {
            Self::Initialize => Role::Initialize,
            Self::Backup(_) => Role::Backup,
            Self::Active { .. } => Role::Active,
        }
    }
}

impl Router {
    /// A router that waits for [`Input::Start`] or [`Input::StartActive`].
    #[must_use]
    pub fn new(config: CheckedConfig) -> Self {
        Self {
            config,
            state: State::Initialize,
            run: Run::Stopped,
            interface_up: true,
            draining: false,
            adjustment: Adjustment::default(),
            holds_preemption: false,
            group_order: GroupOrder::Independent,
            learned_interval: None,
            preempt_from: Monotonic::ZERO,
            announcer: Announcer::default(),
            told_differences: None,
            split: None,
        }
    }

    /// The present role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.state.role()
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &CheckedConfig {
        &self.config
    }

    /// Whether it is Active and offers its role to whoever takes it.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        matches!(self.state, State::Active { .. }) && self.offers()
    }

    /// When to call with [`Input::Tick`] at the latest; `None` if time changes nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        match self.state {
            State::Initialize => None,
            State::Backup(watch) => self.is_independent().then_some(watch.down_at),
            State::Active {
                advertise_at,
                offered_until,
                ..
            } => {
                let healed_at = self.split.map(|split| split.healed_at);
                let announce_at = self.announcer.deadline();
                [advertise_at, offered_until, announce_at, healed_at]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    /// When its next advertisement is due: the regular one of an Active Router, or the first of a
    /// Backup that goes on hearing nothing. Those that answer an input are due at once.
    #[must_use]
    pub fn advertisement_due(&self) -> Option<Monotonic> {
        match self.state {
            State::Initialize => None,
            State::Backup(_) => self.next_deadline(),
            State::Active { advertise_at, .. } => advertise_at,
        }
    }

    /// Takes in what happened at `now` and answers with what to do, in order.
    pub fn handle(&mut self, input: Input, now: Monotonic) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.step_back_if_stalled(&input, now, &mut outputs);
        match input {
            Input::Start => self.start(false, now, &mut outputs),
            Input::StartActive => self.start(true, now, &mut outputs),
            Input::Stop => self.stop(now, &mut outputs),
            Input::Drain(drain) => self.drain(drain, now, &mut outputs),
            Input::Group(order) => self.group(order, now, &mut outputs),
            Input::TakeOver => self.take_over(now, &mut outputs),
            Input::Priority(adjustment) => self.adjust(adjustment, now, &mut outputs),
            Input::HoldPreemption(hold) => self.hold_preemption(hold, now),
            Input::InterfaceUp => self.interface_up(now, &mut outputs),
            Input::InterfaceDown => self.interface_down(&mut outputs),
            Input::Received {
                source,
                advertisement,
            } => {
                self.received(source, &advertisement, now, &mut outputs);
            }
            Input::Reconfigure(config) => self.reconfigure(*config, now, &mut outputs),
            Input::Tick => self.tick(now, &mut outputs),
        }
        outputs
    }

    /// Ends the role of Active, in the state that what is wanted leaves.
    fn step_back(&mut self, reason: RoleReason, now: Monotonic, outputs: &mut Vec<Output>) {
        if self.is_stopping() {
            self.finish_stop(reason, outputs);
        } else if self.adjustment.is_fault {
            self.become_initialize(reason, outputs);
        } else {
            self.become_backup(reason, now, outputs);
        }
    }

    /// Sends an advertisement now and the next one after `then`.
    fn advertise(&mut self, now: Monotonic, then: Duration, outputs: &mut Vec<Output>) {
        let advertisement = Advertisement {
            version: self.config.version,
            virtual_router_id: self.config.virtual_router_id,
            priority: self.advertised_priority(),
            interval: self.config.advertisement_interval,
            addresses: self.config.advertised(),
            authentication: match &self.config.authentication {
                Some(Authentication::Simple(password)) => Some(*password),
                Some(Authentication::Hmac(_)) | None => None,
            },
            checksum: self.config.checksum,
        };
        let destinations = self.config.destinations().into_iter();
        outputs.extend(destinations.map(|destination| Output::SendAdvertisement {
            destination,
            advertisement: advertisement.clone(),
        }));
        if let State::Active {
            advertise_at,
            advertised_at,
            ..
        } = &mut self.state
        {
            *advertise_at = Some(now + then);
            *advertised_at = Some(now);
        }
    }

    /// Offers the role: priority 0 now, and again soon in case the first is lost. A stopping router
    /// is silent after that, so that those wait no longer for it that missed both.
    fn offer(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        let interval = self.own_interval();
        // The slowest Backup takes over at most this long after the second offer, whether it heard
        // one or not; its own first advertisement has the rest of an interval to arrive.
        let longest_wait = self
            .config
            .down_interval(DRAINED_PRIORITY, self.config.advertisement_interval);
        if let State::Active { offered_until, .. } = &mut self.state {
            *offered_until = Some(now + longest_wait + interval / 2);
        }
        self.advertise(now, interval / 4, outputs);
    }

    fn announce(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        let all = &self.config.virtual_addresses;
        let rounds = self.announcer.due(&self.config.gratuitous, all, now);
        outputs.extend(rounds.into_iter().map(Output::Announce));
    }

    fn announce_all_anew(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        let all = self.config.virtual_addresses.clone();
        self.announcer.burst(&self.config.gratuitous, all, now);
        self.announce(now, outputs);
    }

    /// Advertisement first, because a peer that hears it stops competing; the addresses before
    /// their announcement, because announcing draws traffic. Where the Active Router has released its
    /// role the advertisement is last: that router may answer until it hears it, and by then everybody
    /// should know where the addresses are now.
    fn become_active(&mut self, reason: RoleReason, now: Monotonic, outputs: &mut Vec<Output>) {
        let from = self.role();
        let watch = match self.state {
            State::Backup(watch) => Some(watch),
            _ => None,
        };
        let lost = watch
            .filter(|watch| watch.cause == reason)
            .and_then(|watch| watch.lost());
        let is_released = watch.is_some_and(|watch| watch.cause == RoleReason::ActiveReleased);
        self.learned_interval = None;
        self.told_differences = None;
        self.state = State::Active {
            since: now,
            advertise_at: None,
            advertised_at: None,
            offered_until: None,
        };
        let mut advertisement = Vec::new();
        if self.offers() && from == Role::Initialize {
            self.offer(now, &mut advertisement);
        } else {
            self.advertise(now, self.own_interval(), &mut advertisement);
        }
        let mut addresses = vec![Output::AddVips(self.config.virtual_addresses.clone())];
        self.announcer = Announcer::default();
        self.announce_all_anew(now, &mut addresses);
        let parts = if is_released {
            [addresses, advertisement]
        } else {
            [advertisement, addresses]
        };
        outputs.extend(parts.into_iter().flatten());
        outputs.push(Output::RoleChanged {
            from,
            to: Role::Active,
            reason,
        });
        outputs.extend(lost.map(|lost| Output::PeerLost {
            peer: lost.source,
            heard_at: lost.at,
        }));
    }

    fn become_backup(&mut self, reason: RoleReason, now: Monotonic, outputs: &mut Vec<Output>) {
        let from = self.role();
        self.heal(outputs);
        let down_at = now + self.down_interval();
        self.state = State::Backup(Watch::begin(reason, now, down_at));
        outputs.push(Output::RemoveVips(self.config.virtual_addresses.clone()));
        outputs.push(Output::RoleChanged {
            from,
            to: Role::Backup,
            reason,
        });
    }

    fn become_initialize(&mut self, reason: RoleReason, outputs: &mut Vec<Output>) {
        let from = self.role();
        if from == Role::Initialize {
            return;
        }
        self.heal(outputs);
        self.state = State::Initialize;
        self.learned_interval = None;
        self.told_differences = None;
        if from == Role::Active {
            outputs.push(Output::RemoveVips(self.config.virtual_addresses.clone()));
        }
        outputs.push(Output::RoleChanged {
            from,
            to: Role::Initialize,
            reason,
        });
    }

    fn shorten_down_timer(&mut self, now: Monotonic) {
        let latest = now + self.down_interval();
        if let State::Backup(watch) = &mut self.state {
            watch.down_at = latest.min(watch.down_at);
        }
    }

    /// Whether this router, if Active, wants to be relieved.
    fn offers(&self) -> bool {
        self.draining || self.is_stopping() || self.is_released() || self.adjustment.is_fault
    }

    fn is_independent(&self) -> bool {
        self.group_order == GroupOrder::Independent
    }

    fn is_stopping(&self) -> bool {
        self.run == Run::Stopping
    }

    fn advertised_priority(&self) -> u8 {
        if self.offers() {
            PRIORITY_RELEASE
        } else {
            self.priority()
        }
    }

    fn waiting_priority(&self) -> u8 {
        if self.draining {
            DRAINED_PRIORITY
        } else {
            self.priority()
        }
    }

    fn preempts(&self, now: Monotonic) -> bool {
        if self.draining {
            return false;
        }
        // RFC 9568 section 6.1: Preempt_Mode has no effect on the owner of the addresses.
        self.priority() == PRIORITY_OWNER
            || (self.config.preemption == Preemption::Immediate
                && !self.holds_preemption
                && now >= self.preempt_from)
    }

    fn own_interval(&self) -> Duration {
        self.config.advertisement_interval.duration()
    }

    fn active_interval(&self) -> Centiseconds {
        self.learned_interval
            .unwrap_or(self.config.advertisement_interval)
    }

    fn down_interval(&self) -> Duration {
        self.config
            .down_interval(self.waiting_priority(), self.active_interval())
    }

    fn skew_time(&self) -> Duration {
        skew_time(
            self.config.version,
            self.waiting_priority(),
            self.active_interval(),
        )
    }
}
