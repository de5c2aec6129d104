//! The routes that a router carries.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use lvs_vrrp::Monotonic;

use super::super::carried::wanted;
use super::super::report::VrrpEventKind;
use super::super::routes::Route;
use super::super::shell::Shell;
use super::Member;

/// That a route was added again is told once in this time, however often another program removes it.
const TELL_AGAIN: Duration = Duration::from_secs(8);

impl Member {
    /// Whether `route` is held by this router.
    pub(in super::super) fn carries(&self, route: &Route) -> bool {
        self.routes.holds(route)
    }

    /// Adds and removes routes as the VIPs have it, of which `leaving` are about to go.
    pub(super) fn settle_routes(&mut self, leaving: &[IpAddr], shell: &mut Shell<'_>) {
        if self.plan.routes.is_empty() && self.routes.is_empty() {
            return;
        }
        let present: BTreeSet<IpAddr> = self
            .vips
            .present()
            .filter(|address| !leaving.contains(address))
            .collect();
        let vips = &self.plan.prefix_lengths;
        let is_vip = |address| vips.contains_key(&address) || leaving.contains(&address);
        let wanted = wanted(&self.plan.routes, is_vip, &present);
        let lifetime = self.lifetime_seconds();
        let mut told = Vec::new();
        self.changed |= self
            .routes
            .settle(&wanted, lifetime, shell.netlink, &mut told);
        for kind in told {
            self.tell(kind, shell);
        }
    }

    /// A VIP was gone and is back: the kernel has taken routes from it along, or their source from
    /// them.
    pub(super) fn settle_routes_anew(&mut self, address: IpAddr, shell: &mut Shell<'_>) {
        self.settle_routes(&[address], shell);
        self.settle_routes(&[], shell);
    }

    /// Renews the routes, with an advertisement, and adds those again that somebody removed.
    pub(in super::super) fn refresh_routes(&mut self, now: Monotonic, shell: &mut Shell<'_>) {
        self.settle_routes(&[], shell);
        if self.routes.is_empty() {
            return;
        }
        let refused = self.routes.refused();
        let lifetime = self.lifetime_seconds();
        let mut told = Vec::new();
        let restored = self.routes.refresh(lifetime, shell.netlink, &mut told);
        self.changed |= refused != self.routes.refused();
        let is_news = self
            .route_restored_at
            .is_none_or(|at| now.saturating_since(at) >= TELL_AGAIN);
        if !restored.is_empty() && is_news {
            self.route_restored_at = Some(now);
            told.extend(restored.into_iter().map(VrrpEventKind::RouteRestored));
        }
        for kind in told {
            self.tell(kind, shell);
        }
    }
}
