//! Whom to fence, and when. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lvs_crds::v1alpha1::{DirectorRole, FencingHook};
use lvs_vrrp::Monotonic;

use crate::vrrp::VrrpReport;

/// A hook to run against a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The pair.
    pub pair: String,
    /// The instance that was taken over.
    pub instance: String,
    /// Whom it concerns.
    pub peer: Peer,
    /// Where that was last heard from.
    pub address: IpAddr,
    /// Names of all other directors.
    pub directors: Vec<String>,
    /// The hook.
    pub hook: FencingHook,
}

/// A director that fell silent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The director on this node.
    Node(String),
    /// One of which the address is known alone.
    Address(IpAddr),
}

impl Peer {
    /// Name of its node, if that is known.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Node(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(name) => formatter.write_str(name),
            Self::Address(address) => address.fmt(formatter),
        }
    }
}

/// A time without a peer.
#[derive(Clone, Debug)]
struct Outage {
    /// When it was first taken for lost: who last heard it before then speaks of the same outage.
    lost_at: Monotonic,
    is_running: bool,
    /// Lost again while the hook runs.
    next: Option<Run>,
}

/// Decides about hooks: one at a time against a peer, and another one only after that was heard again.
#[derive(Clone, Debug, Default)]
pub struct Fencer {
    role: Option<DirectorRole>,
    outages: BTreeMap<Peer, Outage>,
}

impl Fencer {
    /// Fences as the plan says from now on. Whether that is another way than before.
    pub fn configure(&mut self, role: Option<&DirectorRole>) -> bool {
        let fencing = |role: Option<&DirectorRole>| role.and_then(|role| role.fencing.clone());
        let is_new = fencing(self.role.as_ref()) != fencing(role);
        self.role = role.cloned();
        is_new
    }

    /// Name of the hook that is to be run, if there is fencing.
    #[must_use]
    pub fn hook(&self) -> Option<&str> {
        let fencing = self.role.as_ref()?.fencing.as_ref()?;
        fencing.hook.as_ref().map(|hook| hook.name.as_str())
    }

    /// The hooks to start now, given what the routers report. A peer that was lost while there was no
    /// fencing is not fenced later.
    pub fn look(&mut self, report: &VrrpReport) -> Vec<Run> {
        let mut runs = Vec::new();
        let Some(role) = &self.role else {
            return runs;
        };
        for router in &report.routers {
            let Some(lost) = router.lost_peer else {
                continue;
            };
            let Some(peer) = identify(role, lost.address) else {
                continue;
            };
            let outage = self.outages.get_mut(&peer);
            if outage
                .as_ref()
                .is_some_and(|outage| lost.heard_at <= outage.lost_at)
            {
                continue;
            }
            let others = role.other_directors.iter();
            let hook = role
                .fencing
                .as_ref()
                .and_then(|fencing| fencing.hook.clone());
            let run = hook.map(|hook| Run {
                pair: role.pair.clone(),
                instance: router.instance.clone(),
                peer: peer.clone(),
                address: lost.address,
                directors: others.map(|other| other.node_name.clone()).collect(),
                hook,
            });
            match outage {
                Some(outage) if outage.is_running => {
                    outage.lost_at = lost.lost_at;
                    outage.next = run;
                }
                _ => {
                    let outage = Outage {
                        lost_at: lost.lost_at,
                        is_running: run.is_some(),
                        next: None,
                    };
                    self.outages.insert(peer, outage);
                    runs.extend(run);
                }
            }
        }
        runs
    }

    /// The hook against a peer has ended. Another that waited for that is to be started.
    pub fn has_ended(&mut self, peer: &Peer) -> Option<Run> {
        let outage = self.outages.get_mut(peer)?;
        let next = outage.next.take();
        outage.is_running = next.is_some();
        next
    }
}

/// Which director sends from `address`. `None`: it is known where all directors send from, and this is
/// none of them.
fn identify(role: &DirectorRole, address: IpAddr) -> Option<Peer> {
    let others = &role.other_directors;
    let sends_from = |own: &String| own.parse() == Ok(address);
    if let Some(known) = others
        .iter()
        .find(|other| other.addresses.iter().any(sends_from))
    {
        return Some(Peer::Node(known.node_name.clone()));
    }
    let mut unknown = others.iter().filter(|other| other.addresses.is_empty());
    match (unknown.next(), unknown.next()) {
        (Some(only), None) => Some(Peer::Node(only.node_name.clone())),
        (None, _) if !others.is_empty() => None,
        _ => Some(Peer::Address(address)),
    }
}

#[cfg(test)]
mod tests;
