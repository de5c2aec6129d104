//! No client: which Events tell people about a change of status. Only transitions are told.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use lvs_crds::v1alpha1::{
    DirectorPairStatus, RealServerStatus, VirtualServiceStatus,
    condition::{self, reason},
};

use crate::conditions::status_of;

/// An Event to publish about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whether somebody should have a look.
    pub warning: bool,
    /// One word in `CamelCase`.
    pub reason: String,
    /// What happened.
    pub message: String,
}

impl Announcement {
    fn normal(reason: &str, message: impl Into<String>) -> Self {
        Self {
            warning: false,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    fn warning(reason: &str, message: impl Into<String>) -> Self {
        Self {
            warning: true,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// A status whose changes are told.
pub trait Announce {
    /// Its conditions.
    fn conditions(&self) -> &[Condition];

    /// What to tell about the change from `old`, beside the conditions that every kind has.
    fn details(&self, old: &Self) -> Vec<Announcement>;
}

/// What to tell about a change of status.
#[must_use]
pub fn announcements<S: Announce>(old: Option<&S>, new: &S) -> Vec<Announcement> {
    let before = old.map(Announce::conditions).unwrap_or_default();
    let mut told = transitions(before, new.conditions());
    if let Some(old) = old {
        told.extend(new.details(old));
    }
    told
}

/// `Accepted`, `Ready` and what is wrong with a pair. An object that has just been made is not told to be not ready yet.
fn transitions(old: &[Condition], new: &[Condition]) -> Vec<Announcement> {
    let mut told = Vec::new();
    for condition in new {
        let before = status_of(old, &condition.type_);
        if before == Some(condition.status.as_str()) {
            continue;
        }
        match (condition.type_.as_str(), condition.status.as_str(), before) {
            (condition::ACCEPTED, "True", _) => {
                told.push(Announcement::normal("Accepted", &condition.message));
            }
            (condition::ACCEPTED | condition::FENCING_HEALTHY, "False", _) => {
                told.push(Announcement::warning(&condition.reason, &condition.message));
            }
            (condition::READY, "True", _) => {
                told.push(Announcement::normal("Ready", &condition.message));
            }
            (condition::READY, "False", Some("True")) => {
                told.push(Announcement::warning("NotReady", &condition.message));
            }
            (condition::SPLIT_BRAIN, "True", _) => {
                told.push(Announcement::warning("SplitBrain", &condition.message));
            }
            _ => {}
        }
    }
    told
}

impl Announce for DirectorPairStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn details(&self, old: &Self) -> Vec<Announcement> {
        let active = |status: &Self, name: &str| {
            status
                .instances
                .iter()
                .find(|instance| instance.name == name)
                .and_then(|instance| instance.active.clone())
        };
        let fenced = |status: &Self| {
            let mut conditions = status.conditions.iter();
            conditions
                .find(|condition| {
                    condition.type_ == condition::FENCING_HEALTHY
                        && condition.reason == reason::PEER_FENCED
                })
                .map(|condition| condition.message.clone())
        };
        let fencing = fenced(self)
            .filter(|message| fenced(old).as_ref() != Some(message))
            .map(|message| Announcement::warning(reason::PEER_FENCED, message));
        self.instances
            .iter()
            .filter_map(|instance| {
                let before = active(old, &instance.name);
                let now = instance.active.clone();
                if before == now {
                    return None;
                }
                let name = &instance.name;
                Some(match (before, now) {
                    (_, None) => Announcement::warning(
                        "NoActiveRouter",
                        format!("instance {name}: no director is Active"),
                    ),
                    (None, Some(now)) => Announcement::normal(
                        "ActiveChanged",
                        format!("instance {name}: {now} is Active"),
                    ),
                    (Some(before), Some(now)) => Announcement::normal(
                        "ActiveChanged",
                        format!("instance {name}: {now} is Active, it was {before}"),
                    ),
                })
            })
            .chain(fencing)
            .collect()
    }
}

impl Announce for VirtualServiceStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn details(&self, old: &Self) -> Vec<Announcement> {
        let fails = |status: &Self, address: &str, port: i32| {
            status
                .unhealthy
                .iter()
                .any(|backend| backend.address == address && backend.port == port)
        };
        let down = self
            .unhealthy
            .iter()
            .filter(|backend| !fails(old, &backend.address, backend.port))
            .map(|backend| {
                let message = format!(
                    "{} port {}: {}",
                    backend.address, backend.port, backend.reason
                );
                Announcement::warning("BackendDown", message)
            });
        let up = old
            .unhealthy
            .iter()
            .filter(|backend| !fails(self, &backend.address, backend.port))
            // Without an Active Router nobody knows, so nothing has come up.
            .filter(|_| self.active.is_some())
            .map(|backend| {
                let message = format!("{} port {}: up again", backend.address, backend.port);
                Announcement::normal("BackendUp", message)
            });
        down.chain(up).collect()
    }
}

impl Announce for RealServerStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn details(&self, _old: &Self) -> Vec<Announcement> {
        Vec::new()
    }
}
