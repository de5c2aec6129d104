//! Unicast and HMAC on real sockets, and two that are Active at a time.

use std::net::IpAddr;

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::{VrrpEventKind, VrrpPlan};
use lvs_vrrp::hmac::{AntiReplay, HmacKey, HmacKeys, HmacMode};
use lvs_vrrp::{Authentication, HmacConfig, Transport};

use crate::hosts::{Director, Host, VIP, VIP6, config, plan, two_hosts, until};

fn own(last: u8) -> IpAddr {
    [198, 51, 100, last].into()
}

fn unicast(host: &Host, last: u8, priority: u8, peers: Vec<IpAddr>) -> VrrpPlan {
    let mut config = config(own(last), VIP, priority);
    config.transport = Transport::Unicast {
        peers,
        minimum_ttl: 255,
    };
    plan(host, vec![config])
}

fn hmac(key: u8) -> Authentication {
    let key = HmacKey::new(1, &[key; 32]).expect("a key");
    Authentication::Hmac(HmacConfig {
        keys: HmacKeys::new(vec![key], 1).expect("keys"),
        anti_replay: AntiReplay::Monotonic,
        mode: HmacMode::Enforce,
    })
}

fn rejected(director: &Director, reason: &str) -> u64 {
    director.metric(&format!(
        "lvs_agent_vrrp_packets_rejected_total{{reason=\"{reason}\"}}"
    ))
}

#[test]
fn unicast_peers_elect_and_hear_nobody_else() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(unicast(&one, 1, 150, vec![own(2)]));
    second.handle.configure(unicast(&two, 2, 100, vec![own(1)]));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    let heard = second.handle.metrics();
    let before = heard.advertisements_received.get();
    until("the peer is heard", || {
        heard.advertisements_received.get() > before + 2
    });
    assert!(one.has(VIP) && !two.has(VIP));

    // Who expects another peer rejects this one, by name, and both are Active.
    second.handle.configure(unicast(&two, 2, 100, vec![own(9)]));
    second.wait_state(&runtime, RouterState::Active);
    assert!(rejected(&second, "peer") > 0);
    second.handle.configure(unicast(&two, 2, 100, vec![own(1)]));
    second.wait_state(&runtime, RouterState::Backup);
}

#[test]
fn unicast_works_between_ipv6_addresses_that_are_not_link_local() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let address = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    for (host, last) in [(&one, 1), (&two, 2)] {
        host.ip(&format!("addr add {}/64 dev eth0 nodad", address(last)));
    }
    let plan = |host: &Host, last, priority, peer| {
        let mut config = config(address(last), VIP6, priority);
        config.transport = Transport::Unicast {
            peers: vec![address(peer)],
            minimum_ttl: 255,
        };
        plan(host, vec![config])
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(plan(&one, 1, 150, 2));
    second.handle.configure(plan(&two, 2, 100, 1));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    let heard = second.handle.metrics();
    until("the peer is heard", || {
        heard.advertisements_received.get() > 3
    });
    assert!(one.has(VIP6) && !two.has(VIP6));
}

/// Each hears multicast and unicast, so that it does not matter which director is told first.
#[test]
fn a_change_to_unicast_and_back_moves_nothing_in_any_order() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let plan = |host: &Host, peer: &Host, last: u8, priority, is_unicast: bool| {
        let ipv4 = (own(last), own(3 - last), VIP);
        let ipv6 = (host.link_local(), peer.link_local(), VIP6);
        let configs = [ipv4, ipv6].map(|(address, peer, vip)| {
            let mut config = config(address, vip, priority);
            if is_unicast {
                config.transport = Transport::Unicast {
                    peers: vec![peer],
                    minimum_ttl: 255,
                };
            }
            config
        });
        plan(host, configs.to_vec())
    };
    let (mut first, mut second) = (one.start(), two.start());
    let configure = |first: &Director, second: &Director, is_unicast: [bool; 2]| {
        let plan_of_first = plan(&one, &two, 1, 150, is_unicast[0]);
        first.handle.configure(plan_of_first);
        let plan_of_second = plan(&two, &one, 2, 100, is_unicast[1]);
        second.handle.configure(plan_of_second);
    };
    configure(&first, &second, [false, false]);
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    first.happened();
    second.happened();

    let heard = second.handle.metrics();
    for is_unicast in [
        [true, false],
        [true, true],
        [false, true],
        [false, false],
        [false, true],
        [true, true],
        [true, false],
        [false, false],
    ] {
        configure(&first, &second, is_unicast);
        let before = heard.advertisements_received.get();
        // Of both families, for more than two down intervals.
        until("the peer is heard", || {
            heard.advertisements_received.get() > before + 16
        });
    }
    for director in [&mut first, &mut second] {
        let mut happened = director.happened().into_iter();
        let changed = happened.find(|kind| matches!(kind, VrrpEventKind::RoleChanged { .. }));
        assert_eq!(changed, None);
    }
}

/// Who has another key is not believed: two are Active, and who hears the other says so.
#[test]
fn another_key_splits_and_the_same_key_heals() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let keyed = |host: &Host, last, priority, key| {
        let mut config = config(own(last), VIP, priority);
        config.authentication = Some(hmac(key));
        plan(host, vec![config])
    };
    let (mut first, second) = (one.start(), two.start());
    first.handle.configure(keyed(&one, 1, 150, 1));
    second.handle.configure(keyed(&two, 2, 100, 2));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Active);
    until("each refuses the other", || {
        rejected(&first, "hmac_digest") > 0 && rejected(&second, "hmac_digest") > 0
    });

    // The first believes everybody now, but the second still does not believe the first.
    first
        .handle
        .configure(plan(&one, vec![config(own(1), VIP, 150)]));
    let report = first.wait(&runtime, |report| report.routers[0].split_brain.is_some());
    let split = report.routers[0].split_brain.expect("a split");
    assert_eq!(split.peer, own(2));
    until("it is counted", || {
        first.handle.metrics().split_brain.get() == 1
    });

    second
        .handle
        .configure(plan(&two, vec![config(own(2), VIP, 100)]));
    second.wait_state(&runtime, RouterState::Backup);
    first.wait(&runtime, |report| report.routers[0].split_brain.is_none());
    first.wait_state(&runtime, RouterState::Active);
    let happened = first.happened();
    let is_split = |kind: &VrrpEventKind| matches!(kind, VrrpEventKind::SplitBrain { peer, priority: 100 } if *peer == own(2));
    let is_healed = |kind: &VrrpEventKind| matches!(kind, VrrpEventKind::SplitHealed { peer, .. } if *peer == own(2));
    assert!(happened.iter().any(is_split), "{happened:?}");
    assert!(happened.iter().any(is_healed), "{happened:?}");
    assert_eq!(first.handle.metrics().split_brain.get(), 0);
}

/// The kernel lets through what is for the virtual router that a socket is for now.
#[test]
fn routers_that_get_another_id_go_on_hearing_each_other() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let plan = |host: &Host, last: u8, priority, id| {
        let mut configs = vec![
            config(own(last), VIP, priority),
            config(host.link_local(), VIP6, priority),
        ];
        for config in &mut configs {
            config.virtual_router_id = id;
        }
        plan(host, configs)
    };
    let (first, second) = (one.start(), two.start());
    for id in [51, 52] {
        first.handle.configure(plan(&one, 1, 150, id));
        second.handle.configure(plan(&two, 2, 100, id));
        first.wait_state(&runtime, RouterState::Active);
        second.wait_state(&runtime, RouterState::Backup);
        let heard = second.handle.metrics();
        let before = heard.advertisements_received.get();
        until("the peer is heard", || {
            heard.advertisements_received.get() > before + 10
        });
        assert!(one.has(VIP) && one.has(VIP6) && !two.has(VIP) && !two.has(VIP6));
    }
}
