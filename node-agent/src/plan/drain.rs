//! Members that leave, and since when. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lvs_crds::v1alpha1::{Drain, DrainTimeoutAction};
use serde::{Deserialize, Serialize};

use super::pool::Member;
use super::services::{ResolvedService, Services};

/// A member of a virtual service, as its plan names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeavingMember {
    /// Virtual service, as `namespace/name`.
    pub virtual_service: Arc<str>,
    /// Address.
    pub address: IpAddr,
    /// Port as in the plan.
    pub port: u16,
}

/// Since when members leave, in Unix seconds. It is kept on disk, so that a restart does not begin
/// their time anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drains(BTreeMap<LeavingMember, i64>);

/// How far a member has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It stays while it has connections.
    WhileConnected,
    /// Its time is over: it goes, with its connections.
    Now,
}

impl Drains {
    /// What the disk has kept.
    #[must_use]
    pub fn new(since: impl IntoIterator<Item = (LeavingMember, i64)>) -> Self {
        Self(since.into_iter().collect())
    }

    /// All members that leave, and since when.
    pub fn iter(&self) -> impl Iterator<Item = (&LeavingMember, i64)> {
        self.0.iter().map(|(member, since)| (member, *since))
    }

    /// Notes who leaves by this plan: those that are new begin now, those that do not leave any more
    /// are forgotten, unless something of the plan has not arrived yet.
    pub fn follow(&mut self, services: &Services, now_unix_seconds: i64) {
        let mut leaving = BTreeSet::new();
        for service in services.resolved.values() {
            let all = service.plan.drain.is_some();
            let pools = service.pools.iter().filter(|pool| all || pool.drains);
            leaving.extend(
                pools
                    .flat_map(|pool| &pool.members)
                    .filter(|member| drain_of(service, member).is_some())
                    .map(|member| key_of(service, member)),
            );
        }
        if services.untouched.is_empty() {
            self.0.retain(|member, _| leaving.contains(member));
        }
        for member in leaving {
            self.0.entry(member).or_insert(now_unix_seconds);
        }
    }

    /// How far a member has left; `None` for one that stays.
    #[must_use]
    pub fn departure(
        &self,
        service: &ResolvedService,
        member: &Member,
        now_unix_seconds: i64,
    ) -> Option<Departure> {
        let drain = drain_of(service, member)?;
        let since = self.0.get(&key_of(service, member));
        let spent = now_unix_seconds.saturating_sub(*since.unwrap_or(&now_unix_seconds));
        let is_over = spent >= i64::from(drain.timeout_seconds);
        Some(match drain.on_timeout {
            DrainTimeoutAction::Remove if is_over => Departure::Now,
            DrainTimeoutAction::Remove | DrainTimeoutAction::Keep => Departure::WhileConnected,
        })
    }
}

/// The member's own way of leaving comes before that of the whole service.
fn drain_of<'a>(service: &'a ResolvedService, member: &'a Member) -> Option<&'a Drain> {
    member.drain.as_ref().or(service.plan.drain.as_ref())
}

fn key_of(service: &ResolvedService, member: &Member) -> LeavingMember {
    LeavingMember {
        virtual_service: Arc::clone(&service.name),
        address: member.address,
        port: member.port,
    }
}

#[cfg(test)]
mod tests;
