//! Packets that a director gives a firewall mark. Pure.

use lvs_crds::v1alpha1::{AddressFamily, Protocol as PlanProtocol};
use lvs_ipvs::ServiceKey;
use lvs_nftables::{MarkRules, Ports, Protocol};

use super::Problem;
use super::services::{ResolvedService, Services};

/// The marks that a director sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkPlan {
    /// Which packets get which mark.
    pub rules: MarkRules,
    /// Whether these are all: while a service waits for something, its rules are not known and none may
    /// be deleted.
    pub is_whole: bool,
}

/// The marks of all services that leave them to the director.
pub(super) fn plan(services: &Services, problems: &mut Vec<Problem>) -> MarkPlan {
    let mut rules = MarkRules::default();
    for service in services.resolved.values() {
        if let Err(conflict) = add(service, &mut rules) {
            // The operator lets one service have an address and port; the first by name keeps it.
            problems.push(Problem::invalid(format!(
                "virtual service {}: firewall mark: {conflict}",
                service.name
            )));
        }
    }
    MarkPlan {
        rules,
        is_whole: services.untouched.is_empty(),
    }
}

fn add(service: &ResolvedService, rules: &mut MarkRules) -> Result<(), lvs_nftables::Conflict> {
    let Some(plan) = service.plan.firewall_mark.as_ref().filter(|it| it.managed) else {
        return Ok(());
    };
    let Some(ServiceKey::Mark { mark, .. }) = service.keys().next() else {
        return Ok(());
    };
    let is_ipv4 = plan.family == AddressFamily::IPv4;
    for address in service
        .addresses
        .iter()
        .filter(|it| it.is_ipv4() == is_ipv4)
    {
        for port in &service.plan.ports {
            let protocol = match port.protocol {
                PlanProtocol::TCP => Protocol::Tcp,
                PlanProtocol::UDP => Protocol::Udp,
                PlanProtocol::SCTP => Protocol::Sctp,
            };
            let ports = match port.range() {
                (0, _) => Ports::Every(protocol),
                (first, last) => {
                    let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(last)) else {
                        continue;
                    };
                    Ports::Range {
                        protocol,
                        first,
                        last,
                    }
                }
            };
            rules.insert(*address, ports, mark)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
