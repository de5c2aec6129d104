//! The routes that a router carries while it holds VIPs, and making the kernel agree with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use nix::libc;

use super::netlink::Netlink;
use super::report::VrrpEventKind;
use super::routes::{Route, RouteChange};

/// The routes that are to be in the kernel, given the VIPs that the router plans and those that its
/// interface has: none without a VIP, and a route whose source is a VIP with that one alone. Pure.
pub(super) fn wanted(
    planned: &[Route],
    is_vip: impl Fn(IpAddr) -> bool,
    present: &BTreeSet<IpAddr>,
) -> BTreeSet<Route> {
    let is_carried = |route: &&Route| match route.source {
        Some(source) if is_vip(source) => present.contains(&source),
        _ => !present.is_empty(),
    };
    planned.iter().filter(is_carried).copied().collect()
}

/// The routes of one router.
#[derive(Debug, Default)]
pub(super) struct CarriedRoutes {
    /// Present and ours.
    held: BTreeSet<Route>,
    /// Wanted, but the kernel did not take them, and why: tried again with each refresh.
    refused: BTreeMap<Route, String>,
}

impl CarriedRoutes {
    /// Whether `route` is held.
    pub(super) fn holds(&self, route: &Route) -> bool {
        self.held.contains(route)
    }

    /// Whether there are none, neither held nor refused.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.refused.is_empty()
    }

    /// What is wanted and not in the kernel, and why, for people.
    pub(super) fn refused(&self) -> Vec<String> {
        self.refused
            .iter()
            .map(|(route, error)| format!("{route}: {error}"))
            .collect()
    }

    /// Sees that the kernel has `wanted` and nothing else of this router's. Returns whether anything
    /// changed.
    pub(super) fn settle(
        &mut self,
        wanted: &BTreeSet<Route>,
        lifetime_seconds: u32,
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) -> bool {
        let known = self.refused.len();
        self.refused.retain(|route, _| wanted.contains(route));
        let leaving: Vec<Route> = self.held.difference(wanted).copied().collect();
        let coming: Vec<Route> = wanted
            .difference(&self.held)
            .filter(|route| !self.refused.contains_key(route))
            .copied()
            .collect();
        self.remove(&leaving, netlink, told);
        self.add(&coming, lifetime_seconds, netlink, told);
        known != self.refused.len() || !leaving.is_empty() || !coming.is_empty()
    }

    /// Renews the routes, adds again what is gone, and tries again what was refused. Returns those that
    /// had been removed by another program.
    pub(super) fn refresh(
        &mut self,
        lifetime_seconds: u32,
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) -> Vec<Route> {
        let refresh = |route: &Route| RouteChange::Refresh {
            route: *route,
            lifetime_seconds,
        };
        let add = |route: &Route| RouteChange::Add {
            route: *route,
            lifetime_seconds,
        };
        let changes: Vec<RouteChange> = self
            .held
            .iter()
            .map(refresh)
            .chain(self.refused.keys().map(add))
            .collect();
        // The next one makes it good.
        let Ok(failed) = netlink.apply(&changes) else {
            return Vec::new();
        };
        let mut failed: BTreeMap<usize, io::Error> = failed.into_iter().collect();
        let mut restored = Vec::new();
        for (position, change) in changes.iter().enumerate() {
            let route = change.route();
            match (change, failed.remove(&position)) {
                (RouteChange::Refresh { .. }, None) => restored.push(route),
                (RouteChange::Refresh { .. }, Some(error)) if !exists(&error) => {
                    self.held.remove(&route);
                    self.refuse(route, &error, told);
                }
                (RouteChange::Add { .. }, None) => {
                    self.refused.remove(&route);
                    self.held.insert(route);
                    told.push(VrrpEventKind::RouteAdded(route));
                }
                _ => {}
            }
        }
        restored
    }

    fn remove(&mut self, routes: &[Route], netlink: &mut Netlink, told: &mut Vec<VrrpEventKind>) {
        let changes: Vec<RouteChange> = routes
            .iter()
            .map(|route| RouteChange::Delete { route: *route })
            .collect();
        match netlink.apply(&changes) {
            // Gone already: with its source, with its interface or by somebody's hand.
            Ok(failed) => told.extend(
                failed
                    .iter()
                    .filter(|(_, error)| !is_gone(error))
                    .map(|(_, error)| cannot("remove a route", error)),
            ),
            Err(error) => {
                told.push(cannot("remove routes", &error));
                return;
            }
        }
        for route in routes {
            self.held.remove(route);
            told.push(VrrpEventKind::RouteRemoved(*route));
        }
    }

    fn add(
        &mut self,
        routes: &[Route],
        lifetime_seconds: u32,
        netlink: &mut Netlink,
        told: &mut Vec<VrrpEventKind>,
    ) {
        let changes: Vec<RouteChange> = routes
            .iter()
            .map(|route| RouteChange::Add {
                route: *route,
                lifetime_seconds,
            })
            .collect();
        let failed = match netlink.apply(&changes) {
            Ok(failed) => failed,
            Err(error) => {
                for route in routes {
                    self.refuse(*route, &error, told);
                }
                return;
            }
        };
        let mut failed: BTreeMap<usize, io::Error> = failed.into_iter().collect();
        let mut present = None;
        for (position, route) in routes.iter().enumerate() {
            match failed.remove(&position) {
                None => {
                    self.held.insert(*route);
                    told.push(VrrpEventKind::RouteAdded(*route));
                }
                Some(error) if exists(&error) => {
                    let present =
                        present.get_or_insert_with(|| netlink.routes().unwrap_or_default());
                    // An earlier run of the agent left it.
                    if present.contains(route) {
                        self.held.insert(*route);
                    } else {
                        self.refuse(*route, &error, told);
                    }
                }
                Some(error) => self.refuse(*route, &error, told),
            }
        }
    }

    fn refuse(&mut self, route: Route, error: &io::Error, told: &mut Vec<VrrpEventKind>) {
        let why = if exists(error) {
            "there is another one with that destination and metric in that table, which is left as it is"
                .to_owned()
        } else {
            error.to_string()
        };
        let error = format!("{route}: {why}");
        if self.refused.insert(route, why).is_none() {
            let action = "add a route";
            told.push(VrrpEventKind::Failed { action, error });
        }
    }
}

fn exists(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EEXIST)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENODEV))
}

fn cannot(action: &'static str, error: &io::Error) -> VrrpEventKind {
    VrrpEventKind::Failed {
        action,
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(destination: &str, source: &str) -> Route {
        Route {
            destination: destination.parse().expect("a network"),
            gateway: None,
            source: Some(source.parse().expect("an address")),
            metric: 0,
            table: 254,
            interface_index: 2,
        }
    }

    #[test]
    fn routes_are_there_while_their_vip_is() {
        let of_vip = route("10.1.0.0/16", "192.0.2.10");
        let of_other_vip = route("10.2.0.0/16", "192.0.2.11");
        let of_node = route("10.3.0.0/16", "192.0.2.1");
        let planned = [of_vip, of_other_vip, of_node];
        let vips: [IpAddr; 2] = [[192, 0, 2, 10].into(), [192, 0, 2, 11].into()];
        let given = |present: &[IpAddr]| {
            let present = present.iter().copied().collect();
            wanted(&planned, |address| vips.contains(&address), &present)
        };
        assert_eq!(given(&[]), [].into());
        assert_eq!(given(&vips), planned.into());
        assert_eq!(given(&vips[..1]), [of_vip, of_node].into());
    }
}
