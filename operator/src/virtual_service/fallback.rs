//! No client: what the server for the time without a quorum must satisfy.

use std::net::IpAddr;

use lvs_crds::v1alpha1::{Fallback, ForwardingMethod, condition::reason};

use super::validate::ValidatedService;
use crate::{real_server::validate::INVALID_ADDRESS, rejection::Rejection};

/// Reason: the fallback is a VIP or a member, so that it could not take over from the members.
pub const FALLBACK_CONFLICT: &str = "FallbackConflict";

/// Checks `spec.fallback`. While the service runs, a real server that comes to be selected is no
/// reason to stop taking changes.
///
/// # Errors
/// What is wrong with it.
pub fn check(service: &ValidatedService, is_running: bool) -> Result<(), Rejection> {
    let Some(fallback) = &service.object.spec.fallback else {
        return Ok(());
    };
    let Ok(address) = fallback.address.parse::<IpAddr>() else {
        return Err(Rejection::new(
            INVALID_ADDRESS,
            format!(
                "spec.fallback.address: {:?} is not an IPv4 or IPv6 address",
                fallback.address
            ),
        ));
    };
    if service.addresses.contains(&address) {
        return Err(Rejection::new(
            FALLBACK_CONFLICT,
            format!(
                "spec.fallback.address: {address} is a VIP of this service, which would send to \
                 itself; give the address of another host, or 127.0.0.1 with forwarding.method Local \
                 for the director itself"
            ),
        ));
    }
    if let Some(backend) = member(service, address, is_running) {
        return Err(Rejection::new(
            FALLBACK_CONFLICT,
            format!(
                "spec.fallback.address: {address} is a real server of spec.backends[{backend}], and \
                 nothing can be a member and stand in for the members; give another host, or take it \
                 out of the pool"
            ),
        ));
    }
    check_family(service, fallback, address)
}

/// The pool that has the address.
fn member(service: &ValidatedService, address: IpAddr, is_running: bool) -> Option<&str> {
    let found = service.pools.iter().find(|used| {
        used.pool.members.iter().any(|member| {
            member.address == address && (member.real_server.is_none() || !is_running)
        })
    });
    found.map(|used| used.backend.as_str())
}

fn check_family(
    service: &ValidatedService,
    fallback: &Fallback,
    address: IpAddr,
) -> Result<(), Rejection> {
    let crosses = fallback.forwarding.method == ForwardingMethod::TUN && !service.synchronised;
    if crosses || service.families.contain(&address) {
        return Ok(());
    }
    Err(Rejection::new(
        reason::MIXED_FAMILY,
        format!(
            "spec.fallback.address: {address} is of another address family than the VIPs; give one \
             of theirs"
        ),
    ))
}
