//! Packets that a director gives a firewall mark. Pure.

use std::net::IpAddr;

use lvs_ipvs::{Protocol, ServiceKey};

use super::services::{ResolvedService, Services, protocol};

/// Packets of one virtual service and their mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkRule {
    /// The mark.
    pub mark: u32,
    /// Where the packets go.
    pub addresses: Vec<IpAddr>,
    /// Protocol, first and last port; ports 0 to 0 stand for all.
    pub ports: Vec<(Protocol, u16, u16)>,
}

/// The rules for all services whose marks the director sets itself.
#[must_use]
pub fn plan(services: &Services) -> Vec<MarkRule> {
    services
        .resolved
        .values()
        .filter_map(|service| rule(service))
        .collect()
}

fn rule(service: &ResolvedService) -> Option<MarkRule> {
    let plan = service.plan.firewall_mark.as_ref()?;
    let Some(ServiceKey::Mark { mark, .. }) = service.keys().next() else {
        return None;
    };
    let ports = service.plan.ports.iter().filter_map(|port| {
        let (first, last) = port.range();
        Some((
            protocol(port),
            u16::try_from(first).ok()?,
            u16::try_from(last).ok()?,
        ))
    });
    plan.managed.then(|| MarkRule {
        mark: mark.get(),
        addresses: service.addresses.clone(),
        ports: ports.collect(),
    })
}
