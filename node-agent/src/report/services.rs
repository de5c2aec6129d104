//! What there is to say about virtual services: refusals, lost quorums, members that leave. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lvs_crds::v1alpha1::{DrainingServer, KernelReport, ServiceProblem};
use lvs_ipvs::DestinationKey;

use super::ReadyServices;
use super::refusal::{NodeKernel, Refused};
use crate::plan::ipvs::fallback_destination;
use crate::plan::services::Services;
use crate::programming::Programming;

/// Modules that a report names.
const MAX_MODULES: usize = 32;

/// A member that leaves: virtual service, address and port.
pub type Leaving = (String, DestinationKey);

/// Members that leave and are still in the table, with their connections and persistence templates.
#[must_use]
pub fn leaving(services: &Services, programming: &Programming) -> BTreeMap<Leaving, u64> {
    let mut members = BTreeMap::new();
    for (key, leaving) in programming.leaving() {
        let Some(owner) = services.owners.get(key) else {
            continue;
        };
        let fallback = fallback_destination(owner, key).map(|fallback| fallback.key);
        for (destination, connections) in leaving {
            if Some(*destination) != fallback {
                *members
                    .entry((owner.name.to_string(), *destination))
                    .or_default() += connections;
            }
        }
    }
    members
}

/// A member that leaves, as the status names it.
#[must_use]
pub fn draining((virtual_service, destination): &Leaving) -> DrainingServer {
    DrainingServer {
        virtual_service: virtual_service.clone(),
        address: destination.address.to_string(),
        port: i32::from(destination.port),
    }
}

/// The virtual services that are below their quorum.
#[must_use]
pub fn without_quorum(services: &Services, programming: &Programming) -> BTreeSet<String> {
    programming
        .without_quorum()
        .iter()
        .filter_map(|key| services.owners.get(key))
        .map(|owner| owner.name.to_string())
        .collect()
}

/// How many virtual services of each of `instances` are ready.
#[must_use]
pub fn ready<'a>(
    instances: impl IntoIterator<Item = &'a str>,
    services: &Services,
    programming: &Programming,
) -> BTreeMap<String, ReadyServices> {
    let mut ready: BTreeMap<String, ReadyServices> = instances
        .into_iter()
        .map(|instance| (instance.to_owned(), ReadyServices::default()))
        .collect();
    if ready.is_empty() {
        return ready;
    }
    let refused: BTreeSet<_> = programming.refused().map(|(key, _)| key).collect();
    let unready: BTreeSet<_> = services
        .owners
        .iter()
        .filter(|(key, _)| {
            !programming.has(key)
                || refused.contains(key)
                || programming.without_quorum().contains(key)
        })
        .map(|(_, owner)| &owner.name)
        .collect();
    for service in services.resolved.values() {
        if let Some(count) = ready.get_mut(&service.plan.instance) {
            count.all += 1;
            count.ready += u64::from(!unready.contains(&service.name));
        }
    }
    ready
}

/// Why virtual services cannot be carried out as asked, one reason for each.
#[must_use]
pub fn problems(
    services: &Services,
    programming: &Programming,
    lacks_ipvs: Option<&Refused>,
    lacks_marks: Option<&Refused>,
) -> BTreeMap<String, ServiceProblem> {
    let all = lacks_ipvs.into_iter().flat_map(|refused| {
        let names = services.resolved.keys();
        names.map(move |name| (name, refused))
    });
    let marked = lacks_marks.into_iter().flat_map(|refused| {
        let services = services.resolved.values();
        let marked = services.filter(|service| {
            let mark = service.plan.firewall_mark.as_ref();
            mark.is_some_and(|mark| mark.managed)
        });
        marked.map(move |service| (&service.name, refused))
    });
    let some = programming.refused().filter_map(|(key, refused)| {
        let owner = services.owners.get(key)?;
        Some((&owner.name, refused))
    });
    let mut problems = BTreeMap::new();
    for (name, refused) in all.chain(marked).chain(some) {
        problems
            .entry(name.to_string())
            .or_insert_with(|| ServiceProblem {
                virtual_service: name.to_string(),
                reason: refused.reason.to_owned(),
                message: super::compose::shortened(refused.message.clone()),
            });
    }
    problems
}

/// What the kernel can do and lacks.
#[must_use]
pub fn kernel(
    kernel: &NodeKernel,
    ipvs_version: Option<&str>,
    programming: &Programming,
    lacks: [Option<&Refused>; 2],
    others: &BTreeSet<&'static str>,
) -> KernelReport {
    let refused = programming.refused().map(|(_, refused)| refused);
    let missing: BTreeSet<&str> = lacks
        .into_iter()
        .flatten()
        .chain(refused)
        .flat_map(|refused| refused.modules.iter().map(String::as_str))
        .chain(others.iter().copied())
        .collect();
    KernelReport {
        release: kernel.release.clone(),
        ipvs_version: ipvs_version.map(ToOwned::to_owned),
        missing_modules: missing
            .into_iter()
            .take(MAX_MODULES)
            .map(ToOwned::to_owned)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use lvs_ipvs::{Stats, TableEntry};
    use serde_json::json;

    use super::*;
    use crate::fixture;
    use crate::ownership::Ownership;
    use crate::plan::ipvs::{self, Conditions};

    #[test]
    fn a_virtual_service_is_ready_when_the_kernel_has_it_with_its_quorum() {
        let other = fixture::web(
            &json!({"name": "default/other", "addresses": ["192.168.1.223"], "healthCheck": {"onFailure": "Quiesce"}}),
        );
        let all = json!([fixture::web(&json!({})), other]);
        let bundle = fixture::director(&all, &fixture::pool());
        let services = Services::resolve(&bundle, &Services::default());
        let mut programming = Programming::default();
        let count = |programming: &Programming| {
            let ready = ready(["default"], &services, programming)["default"];
            (ready.ready, ready.all)
        };
        assert!(ready([], &services, &programming).is_empty());
        assert_eq!(count(&programming), (0, 2));

        let ownership = Ownership::default();
        for (is_up, expected) in [(true, (2, 2)), (false, (1, 2))] {
            for (key, owner) in &services.owners {
                let conditions = Conditions {
                    is_up: &|_| is_up || &*owner.name == "default/web",
                    drains: ownership.drains(),
                    was_without_quorum: false,
                    now_unix_seconds: 0,
                };
                let planned = ipvs::plan(owner, key, conditions).expect("a service");
                let entry = TableEntry {
                    service: planned.service,
                    stats: Stats::default(),
                    destinations: Vec::new(),
                };
                programming.compare(owner, key, Some(entry), conditions);
            }
            assert_eq!(count(&programming), expected);
        }
    }

    #[test]
    fn no_virtual_services_at_all_are_ready() {
        assert!(ReadyServices::default().is_at_least(100));
        let some = ReadyServices { ready: 2, all: 3 };
        assert!(some.is_at_least(66) && !some.is_at_least(67));
    }
}
