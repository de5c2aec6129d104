//! VIPs on the interface: added, refreshed, restored, removed, and those of others.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::addresses::{Change, Vip};
use lvs_node_agent::vrrp::{VrrpEventKind, VrrpPlan};
use lvs_vrrp::Centiseconds;

use crate::hosts::{VIP, config, ipv4, plan, two_hosts, until};

const OTHER: &str = "203.0.113.10";

#[test]
fn a_vip_deleted_by_hand_is_back_at_once_and_others_stay() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    one.ip("addr add 203.0.113.7/32 dev eth0");
    let mut director = one.start();
    director.handle.configure(ipv4(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    director.happened();
    let restored = director.handle.metrics();
    one.ip(&format!("addr del {VIP}/32 dev eth0"));
    until("the VIP is restored", || restored.vips_restored.get() == 1);
    assert!(one.has(VIP));
    let happened = director.happened();
    let vip: IpAddr = VIP.parse().expect("an address");
    assert!(
        happened.contains(&VrrpEventKind::VipRestored(vip, 32)),
        "{happened:?}"
    );

    // Without a plan our VIP goes, and nothing else.
    director.handle.configure(VrrpPlan::default());
    director.wait(&runtime, |report| report.routers.is_empty());
    assert!(!one.has(VIP));
    assert!(one.has("203.0.113.7") && one.has("198.51.100.1"));
    runtime
        .block_on(director.handle.stop())
        .expect("a clean end");
    assert_eq!(restored.vips_restored.get(), 1);
}

#[test]
fn who_keeps_deleting_a_vip_is_answered_with_pauses_and_reported() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let mut director = one.start();
    director.handle.configure(ipv4(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    let metrics = director.handle.metrics();
    for times in 1..=3 {
        one.ip(&format!("addr del {VIP}/32 dev eth0"));
        until("the VIP is restored", || {
            metrics.vips_restored.get() == times
        });
    }
    let report = director.wait(&runtime, |report| !report.routers[0].fought_vips.is_empty());
    let problem = report.instance_problem("default").expect("a problem");
    assert!(
        problem.starts_with(&format!("another program keeps removing {VIP}")),
        "{problem}"
    );

    let deleted_at = Instant::now();
    one.ip(&format!("addr del {VIP}/32 dev eth0"));
    director.wait(&runtime, |report| !report.routers[0].vips_present);
    assert!(!one.has(VIP), "a refresh added it meanwhile");
    until("the VIP is restored", || metrics.vips_restored.get() == 4);
    // Half a second after the third time, which was moments before.
    assert!(deleted_at.elapsed() > Duration::from_millis(300));
    assert!(one.has(VIP));
    let vip: IpAddr = VIP.parse().expect("an address");
    let told = director.happened();
    let fights = told
        .iter()
        .filter(|kind| **kind == VrrpEventKind::VipFoughtOver(vip));
    assert_eq!(fights.count(), 1, "{told:?}");
}

/// The kernel's time stamp of a VIP is that of the last advertisement: it says until when the peers
/// wait for an agent that was killed.
#[test]
fn vips_are_refreshed_by_advertisements_alone() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let director = one.start();
    let mut slow = config([198, 51, 100, 1].into(), VIP, 254);
    slow.advertisement_interval = Centiseconds::new(300);
    slow.down_advertisements = 2;
    // Becomes Active at once, and again and again changes what the thread reports.
    let mut fast = config([198, 51, 100, 1].into(), OTHER, 254);
    fast.virtual_router_id = 52;
    let plan = |vips: &[&str]| {
        let mut fast = fast.clone();
        fast.virtual_addresses = vips
            .iter()
            .map(|vip| vip.parse().expect("an address"))
            .collect();
        let mut both = plan(&one, vec![slow.clone(), fast]);
        both.routers[1].instance = "fast".into();
        both.routers[1].group = "fast".into();
        both
    };
    director.handle.configure(plan(&[OTHER]));
    director.wait(&runtime, |report| {
        report.instance_state("default") == Some(RouterState::Active)
    });
    let seconds_left = || {
        let text = one.ip(&format!("-o addr show dev eth0 to {VIP}"));
        let (_, rest) = text.split_once("valid_lft ").expect("a lifetime");
        let (seconds, _) = rest.split_once("sec").expect("seconds");
        seconds.parse::<u32>().expect("a number")
    };
    let lifetime = seconds_left();
    until("its lifetime goes down", || seconds_left() < lifetime);
    let before = seconds_left();
    director.handle.configure(plan(&[OTHER, "203.0.113.11"]));
    until("the other has one more", || one.has("203.0.113.11"));
    assert!(
        seconds_left() <= before,
        "refreshed without an advertisement"
    );
    until("the next advertisement refreshes it", || {
        seconds_left() >= lifetime
    });
}

#[test]
fn a_vip_of_somebody_else_is_used_and_left_alone() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    one.ip(&format!("addr add {VIP}/32 dev eth0"));
    let director = one.start();
    director.handle.configure(ipv4(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    let report = director.handle.report().borrow().clone();
    let vip: IpAddr = VIP.parse().expect("an address");
    assert_eq!(report.routers[0].foreign_vips, [vip]);
    assert!(report.routers[0].vips_present);
    runtime
        .block_on(director.handle.stop())
        .expect("a clean end");
    assert!(one.has(VIP));
    assert!(
        one.ip("-o addr show dev eth0")
            .contains(&format!("{VIP}/32 scope global eth0"))
    );
}

#[test]
fn vips_that_an_earlier_run_left_are_removed() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let index = one.link_index("eth0");
    one.run(move || {
        let mut message = Vec::new();
        let change = Change::Add {
            vip: Vip {
                interface_index: index,
                address: VIP.parse().expect("an address"),
                prefix_length: 32,
            },
            lifetime_seconds: 60,
        };
        change.encode(1, &mut message);
        let socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE);
        let kernel = netlink_sys::SocketAddr::new(0, 0);
        socket
            .and_then(|socket| socket.send_to(&message, &kernel, 0))
            .expect("sent");
    });
    assert!(one.has(VIP));
    one.ip("addr add 203.0.113.7/32 dev eth0 valid_lft 600 preferred_lft 600");
    let director = one.start();
    let mut other = config([198, 51, 100, 1].into(), "198.51.100.99", 150);
    other.advertisement_interval = Centiseconds::new(100);
    let mut plan = plan(&one, vec![other]);
    plan.routers[0].interface_index = index;
    director.handle.configure(plan);
    director.wait_state(&runtime, RouterState::Backup);
    assert!(!one.has(VIP), "a VIP that no router has was left");
    assert!(
        one.has("203.0.113.7"),
        "an address of somebody else was removed"
    );
}
