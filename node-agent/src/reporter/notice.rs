//! What becomes an Event, about which object, and how often. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lvs_crds::v1alpha1::RouterState;
use lvs_vrrp::Differences;

use crate::bundle::PlanBundle;
use crate::report::{Drift, Subject};
use crate::vrrp::{VrrpEvent, VrrpEventKind};

/// The same Event is not repeated within this time.
const REPEAT_AFTER: Duration = Duration::from_secs(5);
/// An Event that was not seen for this time is new.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// Most Events that may follow each other at once.
const BURST: u32 = 20;
/// Time after which one more is allowed.
const REFILL: Duration = Duration::from_secs(2);

/// Something that people should find beside the object that it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// The object.
    pub subject: Subject,
    /// Whether somebody should care.
    pub warning: bool,
    /// One word in `CamelCase`.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
}

impl Notice {
    /// Drift that the loop repaired.
    #[must_use]
    pub fn from_drift(drift: Drift) -> Self {
        Self {
            subject: drift.subject,
            warning: true,
            reason: drift.reason,
            message: drift.message,
        }
    }

    /// What of the VRRP thread's events concerns people. `bundle` tells whose VIP it is.
    #[must_use]
    pub fn from_vrrp(event: &VrrpEvent, bundle: Option<&PlanBundle>) -> Option<Self> {
        let (warning, reason, vip) = match &event.kind {
            VrrpEventKind::RoleChanged { to, .. } => match to {
                RouterState::Active => (false, "BecameActive", None),
                RouterState::Backup => (false, "BecameBackup", None),
                RouterState::Initialize => (false, "RouterStopped", None),
                RouterState::Fault => (true, "RouterFault", None),
            },
            VrrpEventKind::RouteRestored(_) | VrrpEventKind::DeviceRestored(_) => {
                (true, "DriftRepaired", None)
            }
            VrrpEventKind::VipRestored(address, _) => (true, "DriftRepaired", Some(*address)),
            VrrpEventKind::VipFoughtOver(address) => (true, "RemovedAgain", Some(*address)),
            VrrpEventKind::VipForeign(address) => (true, "ForeignAddress", Some(*address)),
            VrrpEventKind::ConflictFound(conflict) => {
                (true, "AddressConflict", Some(conflict.address))
            }
            VrrpEventKind::ConflictOver { conflict, .. } => {
                (false, "AddressConflictOver", Some(conflict.address))
            }
            VrrpEventKind::SplitBrain { .. } => (true, "SplitBrain", None),
            VrrpEventKind::SplitHealed { .. } => (false, "SplitHealed", None),
            VrrpEventKind::PeerDiffers { differences, .. }
                if *differences != Differences::default() =>
            {
                (true, "PeerDiffers", None)
            }
            VrrpEventKind::NoSuccessor => (true, "NoSuccessor", None),
            VrrpEventKind::Failed { .. } => (true, "VRRPError", None),
            VrrpEventKind::VipAdded(..)
            | VrrpEventKind::VipRemoved(..)
            | VrrpEventKind::RouteAdded(_)
            | VrrpEventKind::DeviceAdded(_)
            | VrrpEventKind::DeviceRemoved(_)
            | VrrpEventKind::RouteRemoved(_)
            | VrrpEventKind::PeerDiffers { .. } => return None,
        };
        let subject = vip
            .zip(bundle)
            .and_then(|(vip, bundle)| owner(bundle, &event.instance, vip))
            .unwrap_or(Subject::Node);
        let message = format!(
            "instance {} ({}) on {}: {}",
            event.instance,
            event.family.label(),
            event.interface,
            event.kind
        );
        Some(Self {
            subject,
            warning,
            reason,
            message,
        })
    }
}

/// The virtual service that a VIP belongs to.
fn owner(bundle: &PlanBundle, instance: &str, vip: IpAddr) -> Option<Subject> {
    let service = bundle
        .slices
        .values()
        .flat_map(|slice| &slice.services)
        .filter(|service| service.instance == instance)
        .find(|service| {
            service
                .addresses
                .iter()
                .any(|address| address.parse() == Ok(vip))
        })?;
    let (namespace, name) = service.name.split_once('/')?;
    Some(Subject::VirtualService {
        namespace: namespace.into(),
        name: name.into(),
        uid: service.uid.clone(),
    })
}

/// Keeps Events from flooding the API server.
#[derive(Debug)]
pub struct Limiter {
    sent: BTreeMap<Notice, Instant>,
    tokens: u32,
    refilled: Instant,
}

impl Limiter {
    /// A full allowance.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            sent: BTreeMap::new(),
            tokens: BURST,
            refilled: now,
        }
    }

    /// Whether `notice` is to be sent now.
    pub fn allows(&mut self, notice: &Notice, now: Instant) -> bool {
        self.sent
            .retain(|_, sent| now.saturating_duration_since(*sent) < FORGET_AFTER);
        while self.tokens < BURST && now.saturating_duration_since(self.refilled) >= REFILL {
            self.tokens += 1;
            self.refilled += REFILL;
        }
        if self.tokens == BURST {
            self.refilled = now;
        }
        let repeated = self
            .sent
            .get(notice)
            .is_some_and(|sent| now.saturating_duration_since(*sent) < REPEAT_AFTER);
        if repeated || self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        self.sent.insert(notice.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use lvs_vrrp::RoleReason;
    use serde_json::json;

    use super::*;
    use crate::vrrp::Family;

    fn event(kind: VrrpEventKind) -> VrrpEvent {
        VrrpEvent {
            instance: "default".into(),
            family: Family::Ipv4,
            interface: "eth0".into(),
            kind,
        }
    }

    fn notice(message: &str) -> Notice {
        Notice {
            subject: Subject::Node,
            warning: true,
            reason: "DriftRepaired",
            message: message.into(),
        }
    }

    fn bundle() -> PlanBundle {
        serde_json::from_value(json!({
            "name": "lb-1", "generation": 1,
            "plan": {"formatVersion": 1, "revision": "r"},
            "slices": {"edge-0": {"digest": "d", "services": [{
                "name": "shop/web", "uid": "u-1", "instance": "default",
                "addresses": ["192.0.2.10"], "ports": [], "forwarding": {"method": "DR"},
                "scheduler": {"name": "wlc"}, "pools": [],
            }]}},
        }))
        .expect("a bundle")
    }

    #[test]
    fn a_deleted_vip_is_told_beside_its_virtual_service() {
        let vip = IpAddr::from([192, 0, 2, 10]);
        let told = event(VrrpEventKind::VipRestored(vip, 32));
        let notice = Notice::from_vrrp(&told, Some(&bundle())).expect("a notice");
        let Subject::VirtualService {
            namespace,
            name,
            uid,
        } = &notice.subject
        else {
            panic!("{notice:?}");
        };
        assert_eq!(
            (namespace.as_str(), name.as_str(), uid.as_str()),
            ("shop", "web", "u-1")
        );
        assert!(
            notice.message.contains("192.0.2.10/32"),
            "{}",
            notice.message
        );
        let other = event(VrrpEventKind::VipRestored([192, 0, 2, 11].into(), 32));
        let notice = Notice::from_vrrp(&other, Some(&bundle())).expect("a notice");
        assert_eq!(notice.subject, Subject::Node);
    }

    #[test]
    fn role_changes_are_told_and_the_ordinary_work_is_not() {
        let active = event(VrrpEventKind::RoleChanged {
            from: RouterState::Backup,
            to: RouterState::Active,
            reason: RoleReason::ActiveDown,
        });
        let notice = Notice::from_vrrp(&active, None).expect("a notice");
        assert_eq!((notice.reason, notice.warning), ("BecameActive", false));
        let added = event(VrrpEventKind::VipAdded([192, 0, 2, 10].into(), 32));
        assert_eq!(Notice::from_vrrp(&added, None), None);
    }

    #[test]
    fn the_same_again_waits_five_seconds() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(limiter.allows(&notice("a"), after(0)));
        assert!(!limiter.allows(&notice("a"), after(4999)));
        assert!(limiter.allows(&notice("b"), after(4999)));
        assert!(limiter.allows(&notice("a"), after(5000)));
    }

    #[test]
    fn a_flood_is_cut_to_the_allowance() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let allowed = |limiter: &mut Limiter, from: u32, now| {
            (from..from + 100)
                .filter(|number| limiter.allows(&notice(&number.to_string()), now))
                .count()
        };
        assert_eq!(allowed(&mut limiter, 0, start), 20);
        assert_eq!(
            allowed(&mut limiter, 100, start + Duration::from_secs(7)),
            3
        );
        assert_eq!(
            allowed(&mut limiter, 200, start + Duration::from_secs(1000)),
            20
        );
    }
}
