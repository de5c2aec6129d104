//! The routes of a router. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use lvs_crds::v1alpha1::{InstancePlan, InstanceRoute};

use crate::vrrp::Family;
use crate::vrrp::routes::Route;

/// The routes of an instance in one family, whose VIPs are `vips`.
///
/// # Errors
/// What is wrong with one of them.
pub(super) fn plan(
    instance: &InstancePlan,
    family: Family,
    interface_index: u32,
    vips: &BTreeMap<IpAddr, u8>,
) -> Result<Vec<Route>, String> {
    let default_source = default_source(instance, vips);
    let mut routes = Vec::new();
    for route in &instance.routes {
        let destination = destination(route)?;
        if Family::of(destination.addr()) != family {
            continue;
        }
        let gateway = address(route, "gateway", route.gateway.as_deref(), family)?;
        let source = address(route, "source", route.source.as_deref(), family)?;
        routes.push(Route {
            destination,
            gateway,
            source: source.or(default_source),
            metric: Route::kernel_metric(destination, number(route, "metric", route.metric)?),
            table: number(route, "table", route.table)?,
            interface_index,
        });
    }
    Ok(routes)
}

/// What is wrong when an instance has routes of a family and no VIP.
pub(super) fn without_router(instance: &InstancePlan, family: Family) -> Option<String> {
    let destinations: Vec<&str> = instance
        .routes
        .iter()
        .filter(|route| {
            destination(route).is_ok_and(|network| Family::of(network.addr()) == family)
        })
        .map(|route| route.destination.as_str())
        .collect();
    (!destinations.is_empty()).then(|| {
        format!(
            "no {} VIP is served yet, and the routes to {} move with one",
            family.label(),
            destinations.join(", ")
        )
    })
}

/// An address that belongs to the instance alone, before one that real servers may have, too.
fn default_source(instance: &InstancePlan, vips: &BTreeMap<IpAddr, u8>) -> Option<IpAddr> {
    let mut own = instance
        .addresses
        .iter()
        .filter_map(|own| own.address.parse().ok());
    own.find(|address: &IpAddr| vips.contains_key(address))
        .or_else(|| vips.keys().next().copied())
}

fn destination(route: &InstanceRoute) -> Result<IpNet, String> {
    let text = &route.destination;
    let network: Option<IpNet> = text.parse().ok();
    network
        .filter(|network| network.trunc() == *network)
        .ok_or_else(|| format!("route to {text}: the destination is no network in CIDR notation"))
}

fn address(
    route: &InstanceRoute,
    field: &str,
    text: Option<&str>,
    family: Family,
) -> Result<Option<IpAddr>, String> {
    let Some(text) = text else {
        return Ok(None);
    };
    let address: Option<IpAddr> = text.parse().ok();
    address
        .filter(|address| Family::of(*address) == family)
        .map(Some)
        .ok_or_else(|| {
            let (destination, family) = (&route.destination, family.label());
            format!("route to {destination}: {field} {text} is no {family} address")
        })
}

fn number(route: &InstanceRoute, field: &str, value: i32) -> Result<u32, String> {
    u32::try_from(value).map_err(|_unspecific| {
        let destination = &route.destination;
        format!("route to {destination}: {field} {value} is negative")
    })
}
