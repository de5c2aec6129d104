//! No client: what a real server's host must have before a virtual service may send to it.

use std::net::IpAddr;

use lvs_crds::v1alpha1::{AddressFamily, Forwarding, ForwardingMethod, TunnelType};

use super::{pools::UsedPool, validate::ValidatedService};
use crate::node::readiness::TunnelKey;

/// What packets that keep the VIP as their destination need at a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// VIPs on its loopback.
    pub vips: Vec<IpAddr>,
    /// Tunnels that end there.
    pub tunnels: Vec<TunnelKey>,
}

/// What a member with this address needs for these VIPs of a virtual service.
#[must_use]
pub fn needs(
    service: &ValidatedService,
    used: &UsedPool,
    vips: &[IpAddr],
    member: &IpAddr,
) -> Needs {
    if !used.forwarding.method.keeps_destination() {
        return Needs::default();
    }
    let vips: Vec<IpAddr> = vips
        .iter()
        .copied()
        .filter(|vip| service.reaches(used, vip, member))
        .collect();
    let mut tunnels = Vec::new();
    if let Some((type_, port)) = tunnel(&used.forwarding) {
        let outer = family(member);
        // A mark that others set may come without VIPs.
        let of_mark = service.mark.iter().map(|mark| mark.family);
        for inner in vips.iter().map(family).chain(of_mark) {
            let key = (type_, port, inner, outer);
            if !tunnels.contains(&key) {
                tunnels.push(key);
            }
        }
    }
    Needs { vips, tunnels }
}

/// Whether a host that was ready for one way of forwarding is ready for another.
#[must_use]
pub fn covers(former: &Forwarding, new: &Forwarding) -> bool {
    former.method.keeps_destination() && tunnel(new).is_none_or(|key| tunnel(former) == Some(key))
}

/// Kind and UDP port of the tunnel that packets come through.
fn tunnel(forwarding: &Forwarding) -> Option<(TunnelType, i32)> {
    (forwarding.method == ForwardingMethod::TUN).then(|| {
        forwarding
            .tunnel
            .as_ref()
            .map_or((TunnelType::IPIP, 0), |tunnel| {
                (tunnel.type_, tunnel.port.unwrap_or(0))
            })
    })
}

const fn family(address: &IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::IPv4,
        IpAddr::V6(_) => AddressFamily::IPv6,
    }
}
