//! Hosts that are no routers and have a VIP all the same.

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::{Family, VrrpEventKind, VrrpPlan};

use crate::hosts::{VIP, VIP6, config, plan, two_hosts};

#[test]
fn a_stranger_that_has_a_vip_of_ipv4_is_found() {
    is_found(Family::Ipv4);
}

#[test]
fn a_stranger_that_has_a_vip_of_ipv6_is_found() {
    is_found(Family::Ipv6);
}

/// The Active Router asks: the stranger says nothing of itself.
fn is_found(family: Family) {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let (own, vip, length, flags) = match family {
        Family::Ipv4 => ([198, 51, 100, 1].into(), VIP, 32, ""),
        Family::Ipv6 => (one.link_local(), VIP6, 128, " nodad"),
    };
    two.ip(&format!("addr add {vip}/{length} dev eth0{flags}"));
    let hardware = two.ip("-o link show dev eth0");
    let (_, hardware) = hardware.split_once("link/ether ").expect("Ethernet");
    let (hardware, _) = hardware.split_once(' ').expect("an address");

    let mut director = one.start();
    director
        .handle
        .configure(plan(&one, vec![config(own, vip, 150)]));
    director.wait_state(&runtime, RouterState::Active);
    let report = director.wait(&runtime, |report| !report.routers[0].conflicts.is_empty());
    let problem = report.instance_problem("default").expect("a problem");
    assert!(
        problem.contains(vip) && problem.contains(hardware),
        "{problem}"
    );
    assert_eq!(director.metric("lvs_agent_vrrp_address_conflicts"), 1);

    two.ip(&format!("addr del {vip}/{length} dev eth0"));
    director.handle.configure(VrrpPlan::default());
    director.wait(&runtime, |report| report.routers.is_empty());
    let told = director.happened();
    let found = |kind: &VrrpEventKind| matches!(kind, VrrpEventKind::ConflictFound(_));
    let over = |kind: &VrrpEventKind| matches!(kind, VrrpEventKind::ConflictOver { .. });
    assert_eq!(
        told.iter().filter(|kind| found(kind)).count(),
        1,
        "{told:?}"
    );
    assert_eq!(told.iter().filter(|kind| over(kind)).count(), 1, "{told:?}");
}
