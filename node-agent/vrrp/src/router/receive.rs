//! What an advertisement does to a router.

use std::collections::HashSet;
use std::net::IpAddr;

use super::watch::{Heard, Watch};
use super::{Differences, Output, Role, RoleReason, Router, State};
use crate::authentication::Authentication;
use crate::config::{LowerPriorityAdvertisement, Preemption, Transport};
use crate::packet::{Addresses, Advertisement, PRIORITY_OWNER, PRIORITY_RELEASE, Version};
use crate::reject::RejectReason;
use crate::time::Monotonic;

impl Router {
    pub(super) fn received(
        &mut self,
        source: IpAddr,
        advertisement: &Advertisement,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        if self.role() == Role::Initialize {
            return;
        }
        if let Err(reason) = self.accept(source, advertisement) {
            self.note_alive(source, now);
            outputs.push(Output::Rejected(reason));
            return;
        }
        self.tell_differences(source, advertisement, outputs);
        match self.state {
            State::Initialize => {}
            State::Backup(watch) => self.received_as_backup(source, advertisement, watch, now),
            State::Active { .. } => self.received_as_active(source, advertisement, now, outputs),
        }
    }

    /// The checks of RFC 9568 section 7.1 and RFC 3768 section 7.1 that depend on the configuration.
    fn accept(&self, source: IpAddr, advertisement: &Advertisement) -> Result<(), RejectReason> {
        let config = &self.config;
        if advertisement.version != config.version {
            return Err(RejectReason::Version);
        }
        if advertisement.virtual_router_id != config.virtual_router_id
            || source.is_ipv6() != config.own_address.is_ipv6()
        {
            return Err(RejectReason::VirtualRouterId);
        }
        if source == config.own_address {
            return Err(RejectReason::OwnSource);
        }
        if config.transport == Transport::Multicast
            && matches!(source, IpAddr::V6(address) if !address.is_unicast_link_local())
        {
            return Err(RejectReason::Source);
        }
        if config.version == Version::V3 {
            return Ok(());
        }
        if self.priority() == PRIORITY_OWNER {
            return Err(RejectReason::Owner);
        }
        let password = match config.authentication {
            Some(Authentication::Simple(password)) => Some(password),
            Some(Authentication::Hmac(_)) | None => None,
        };
        match (password, advertisement.authentication) {
            (None, None) => {}
            (Some(own), Some(received)) if own == received => {}
            (Some(_), Some(_)) => return Err(RejectReason::AuthenticationData),
            _ => return Err(RejectReason::AuthenticationType),
        }
        if advertisement.interval != config.advertisement_interval {
            return Err(RejectReason::Interval);
        }
        Ok(())
    }

    /// What does not count is a sign of life all the same.
    fn note_alive(&mut self, source: IpAddr, now: Monotonic) {
        if let State::Backup(watch) = &mut self.state
            && let Some(heard) = &mut watch.heard
            && heard.source == source
        {
            heard.at = now;
        }
    }

    fn received_as_backup(
        &mut self,
        source: IpAddr,
        advertisement: &Advertisement,
        mut watch: Watch,
        now: Monotonic,
    ) {
        let released = advertisement.priority == PRIORITY_RELEASE;
        watch.heard = (!released).then_some(Heard { source, at: now });
        if released && !self.draining {
            watch.release(now + self.skew_time());
            self.state = State::Backup(watch);
            return;
        }
        // A drained router follows whoever is there, even one that offers its role: two drained
        // routers would pass it to each other for ever.
        if self.preempts(now) && advertisement.priority < self.priority() {
            self.state = State::Backup(watch);
            return;
        }
        if advertisement.version == Version::V3 {
            self.learned_interval = Some(advertisement.interval);
        }
        watch.follow(now, now + self.down_interval());
        self.state = State::Backup(watch);
    }

    fn received_as_active(
        &mut self,
        source: IpAddr,
        advertisement: &Advertisement,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        let priority = advertisement.priority;
        let own = self.advertised_priority();
        if priority == PRIORITY_RELEASE && (self.is_stopping() || own != PRIORITY_RELEASE) {
            // The other leaves. RFC 9568 section 6.4.3: advertise, so that nobody else takes over;
            // a stopping router does not want to prevent that.
            self.heal_with(source, now, outputs);
            if !self.is_stopping() {
                self.advertise(now, self.own_interval(), outputs);
            }
            return;
        }
        if priority > own || (priority == own && source > self.config.own_address) {
            self.yield_to(source, advertisement, now, outputs);
            return;
        }
        self.note_split(source, advertisement, now, outputs);
        if self.config.lower_priority_advertisement == LowerPriorityAdvertisement::Send {
            self.advertise(now, self.own_interval(), outputs);
        }
        // Hosts may have learned the other's hardware address.
        if self.announcer.may_repeat(now) {
            self.announce_all_anew(now, outputs);
        }
    }

    fn yield_to(
        &mut self,
        source: IpAddr,
        advertisement: &Advertisement,
        now: Monotonic,
        outputs: &mut Vec<Output>,
    ) {
        let reason = if self.offers() {
            RoleReason::HandedOver { successor: source }
        } else {
            // Where nobody preempts, a winner was Active beside this router and not heard.
            if self.config.preemption == Preemption::Never {
                self.note_split(source, advertisement, now, outputs);
            }
            RoleReason::Outranked {
                source,
                priority: advertisement.priority,
            }
        };
        if advertisement.version == Version::V3 {
            self.learned_interval = Some(advertisement.interval);
        }
        self.step_back(reason, now, outputs);
    }

    fn tell_differences(
        &mut self,
        source: IpAddr,
        advertisement: &Advertisement,
        outputs: &mut Vec<Output>,
    ) {
        let config = &self.config;
        let ipv4_v3 = config.version == Version::V3 && source.is_ipv4();
        let differences = Differences {
            interval: Some(advertisement.interval)
                .filter(|interval| *interval != config.advertisement_interval),
            addresses: !same_addresses(&advertisement.addresses, &config.advertised()),
            checksum: ipv4_v3 && advertisement.checksum != config.checksum,
        };
        let before = self
            .told_differences
            .filter(|(told_source, _)| *told_source == source)
            .map(|(_, told)| told)
            .unwrap_or_default();
        if differences != before {
            outputs.push(Output::PeerDiffers {
                source,
                differences,
            });
        }
        self.told_differences = Some((source, differences));
    }
}

fn same_addresses(one: &Addresses, other: &Addresses) -> bool {
    match (one, other) {
        (Addresses::V4(one), Addresses::V4(other)) => {
            one == other || one.iter().collect::<HashSet<_>>() == other.iter().collect()
        }
        (Addresses::V6(one), Addresses::V6(other)) => {
            one == other || one.iter().collect::<HashSet<_>>() == other.iter().collect()
        }
        _ => false,
    }
}
