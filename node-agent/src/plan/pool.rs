//! Real servers as the planner uses them: each pool once, whoever refers to it. Pure.

use std::net::IpAddr;

use lvs_crds::v1alpha1::{
    Drain, ForwardingMethod, MemberPlan, PoolPlan, TunnelChecksum, TunnelType,
};
use lvs_ipvs::{Forwarding, Tunnel, TunnelFlags, TunnelKind};

/// A pool whose members are understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Its members, in the order of the plan.
    pub members: Vec<Member>,
    /// Members that are left out because their values are not valid.
    pub invalid: Vec<String>,
    /// Whether any member leaves.
    pub drains: bool,
    /// Whether any member is reached by NAT although its service may not be.
    pub translates: bool,
}

/// A real server of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Address.
    pub address: IpAddr,
    /// Port; 0 stands for the port of the virtual service.
    pub port: u16,
    /// Weight before checks.
    pub weight: u32,
    /// Connections from which on it gets no new ones; 0 = no limit.
    pub upper_threshold: u32,
    /// Connections below which it gets some again.
    pub lower_threshold: u32,
    /// Forwarding, where it differs from the service's.
    pub forwarding: Option<Forwarding>,
    /// It leaves.
    pub drain: Option<Drain>,
    /// Whether it is checked.
    pub checked: bool,
}

impl Pool {
    /// Understands a pool. What is not valid is left out and named.
    #[must_use]
    pub fn parse(plan: &PoolPlan) -> Self {
        let mut pool = Self {
            members: Vec::with_capacity(plan.members.len()),
            ..Self::default()
        };
        for member in &plan.members {
            match Member::parse(member) {
                Some(member) => {
                    pool.drains |= member.drain.is_some();
                    pool.translates |= member.forwarding == Some(Forwarding::Nat);
                    pool.members.push(member);
                }
                None => pool
                    .invalid
                    .push(format!("{}:{}", member.address, member.port)),
            }
        }
        pool
    }

    /// Whether it has the same members, and none of them differs but in its weight.
    #[must_use]
    pub fn differs_in_weights_only(&self, other: &Self) -> bool {
        let is_same = |a: &Member, b: &Member| {
            let weight = b.weight;
            Member {
                weight,
                ..a.clone()
            } == *b
        };
        self.invalid == other.invalid
            && self.members.len() == other.members.len()
            && self
                .members
                .iter()
                .zip(&other.members)
                .all(|(a, b)| is_same(a, b))
    }
}

impl Member {
    fn parse(plan: &MemberPlan) -> Option<Self> {
        Some(Self {
            address: plan.address.parse().ok()?,
            port: plan.port.try_into().ok()?,
            weight: plan.weight.try_into().ok()?,
            upper_threshold: plan.connection_limits.upper.try_into().ok()?,
            lower_threshold: plan.connection_limits.lower.try_into().ok()?,
            forwarding: plan.forwarding.as_ref().map(forwarding),
            drain: plan.drain.clone(),
            checked: plan.checked,
        })
    }
}

/// The kernel's forwarding method of a plan's.
#[must_use]
pub fn forwarding(plan: &lvs_crds::v1alpha1::Forwarding) -> Forwarding {
    match plan.method {
        ForwardingMethod::DR => Forwarding::DirectRouting,
        ForwardingMethod::NAT => Forwarding::Nat,
        ForwardingMethod::Local => Forwarding::Local,
        ForwardingMethod::TUN => {
            Forwarding::Tunnel(plan.tunnel.as_ref().map_or(Tunnel::IPIP, tunnel))
        }
    }
}

fn tunnel(plan: &lvs_crds::v1alpha1::Tunnel) -> Tunnel {
    Tunnel {
        kind: match plan.type_ {
            TunnelType::IPIP => TunnelKind::IpIp,
            TunnelType::GUE => TunnelKind::Gue,
            TunnelType::GRE => TunnelKind::Gre,
        },
        port: plan
            .port
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default(),
        flags: match plan.checksum {
            TunnelChecksum::None => TunnelFlags::empty(),
            TunnelChecksum::Checksum => TunnelFlags::CHECKSUM,
            TunnelChecksum::RemoteChecksum => TunnelFlags::REMOTE_CHECKSUM,
        },
    }
}
