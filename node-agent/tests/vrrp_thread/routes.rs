//! Routes that move with the VIPs.

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::routes::{Route, RouteChange};
use lvs_node_agent::vrrp::{VrrpEventKind, VrrpPlan};

use crate::hosts::{Host, PATIENCE, VIP, VIP6, config, plan, two_hosts, until};

/// The IPv4 and the IPv6 router with a route each.
fn routed(host: &Host, last: u8, priority: u8) -> VrrpPlan {
    let ipv4 = config([198, 51, 100, last].into(), VIP, priority);
    let ipv6 = config(host.link_local(), VIP6, priority);
    let mut plan = plan(host, vec![ipv4, ipv6]);
    let interface_index = host.link_index("eth0");
    plan.routers[0].routes = vec![Route {
        destination: "10.9.0.0/16".parse().expect("a network"),
        gateway: Some([198, 51, 100, 99].into()),
        source: Some(VIP.parse().expect("an address")),
        metric: 0,
        table: 254,
        interface_index,
    }];
    plan.routers[1].routes = vec![Route {
        destination: "2001:db8:9::/48".parse().expect("a network"),
        gateway: None,
        source: Some(VIP6.parse().expect("an address")),
        metric: 1024,
        table: 254,
        interface_index,
    }];
    plan
}

fn ipv4_route(host: &Host) -> String {
    host.ip("route show 10.9.0.0/16")
}

fn ipv6_route(host: &Host) -> String {
    host.ip("-6 route show 2001:db8:9::/48")
}

fn has_both(host: &Host) -> bool {
    ipv4_route(host).contains(&format!("via 198.51.100.99 dev eth0 proto 118 src {VIP}"))
        && ipv6_route(host).contains(&format!("dev eth0 proto 118 src {VIP6}"))
}

fn has_none(host: &Host) -> bool {
    ipv4_route(host).is_empty() && ipv6_route(host).is_empty()
}

#[test]
fn routes_move_with_the_vips_and_come_back_when_removed() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    one.ip("route add 10.8.0.0/16 via 198.51.100.99 dev eth0");
    let (mut first, second) = (one.start(), two.start());
    first.handle.configure(routed(&one, 1, 150));
    first.wait_state(&runtime, RouterState::Active);
    second.handle.configure(routed(&two, 2, 100));
    second.wait_state(&runtime, RouterState::Backup);
    assert!(has_both(&one), "{} {}", ipv4_route(&one), ipv6_route(&one));
    assert!(ipv6_route(&one).contains("expires"), "it would outlive us");
    assert!(has_none(&two));

    first.happened();
    one.ip("route del 10.9.0.0/16");
    one.ip("-6 route del 2001:db8:9::/48");
    until("the routes are restored", || has_both(&one));
    let told = async {
        while let Some(event) = first.told.events.recv().await {
            if matches!(event.kind, VrrpEventKind::RouteRestored(_)) {
                return;
            }
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, told).await })
        .expect("it is told");

    // A VIP that somebody removes takes its route along; both come back.
    one.ip(&format!("addr del {VIP}/32 dev eth0"));
    one.ip(&format!("addr del {VIP6}/128 dev eth0"));
    until("VIPs and routes are restored", || {
        one.has(VIP) && one.has(VIP6) && has_both(&one)
    });

    runtime.block_on(first.handle.stop()).expect("a clean end");
    second.wait_state(&runtime, RouterState::Active);
    until("the successor has the routes", || has_both(&two));
    assert!(has_none(&one));
    assert!(!one.ip("route show 10.8.0.0/16").is_empty());
}

#[test]
fn a_route_of_somebody_else_is_left_and_reported() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    one.ip("route add 10.9.0.0/16 via 198.51.100.98 dev eth0");
    let director = one.start();
    director.handle.configure(routed(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    let report = director.wait(&runtime, |report| {
        report
            .routers
            .iter()
            .any(|router| !router.refused_routes.is_empty())
    });
    let problem = report.instance_problem("default").expect("a problem");
    assert!(
        problem.starts_with("routes that are not in the kernel: 10.9.0.0/16 via 198.51.100.99"),
        "{problem}"
    );
    assert!(ipv4_route(&one).contains("via 198.51.100.98"));
    one.ip("route del 10.9.0.0/16");
    until("ours is added", || has_both(&one));
    director.wait(&runtime, |report| {
        report.instance_problem("default").is_none()
    });
}

#[test]
fn routes_that_an_earlier_run_left_are_removed_or_kept() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let planned = routed(&one, 1, 150);
    let left = planned.routers[0].routes[0];
    one.ip(&format!("addr add {VIP}/32 dev eth0"));
    let stale = Route {
        destination: "10.7.0.0/16".parse().expect("a network"),
        ..left
    };
    one.run(move || {
        let mut message = Vec::new();
        for route in [left, stale] {
            let lifetime_seconds = 60;
            RouteChange::Add {
                route,
                lifetime_seconds,
            }
            .encode(1, &mut message);
        }
        let socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE);
        let kernel = netlink_sys::SocketAddr::new(0, 0);
        socket
            .and_then(|socket| socket.send_to(&message, &kernel, 0))
            .expect("sent");
    });
    assert!(!one.ip("route show 10.7.0.0/16").is_empty());
    assert!(!ipv4_route(&one).is_empty());
    let mut director = one.start();
    director.handle.configure(planned);
    until("the one that nobody plans is removed", || {
        one.ip("route show 10.7.0.0/16").is_empty()
    });
    director.wait_state(&runtime, RouterState::Active);
    until("the other is there", || has_both(&one));
    let happened = director.happened();
    assert!(
        !happened
            .iter()
            .any(|kind| matches!(kind, VrrpEventKind::RouteRestored(_))),
        "{happened:?}"
    );
}
