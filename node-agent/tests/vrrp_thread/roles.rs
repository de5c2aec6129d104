//! Who is Active: elections, groups, hand-overs, restarts.

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::{RouterPlan, VrrpEventKind, VrrpPlan, VrrpReport};
use lvs_vrrp::Centiseconds;
use tokio::runtime::{Builder, Runtime};

use crate::hosts::{
    Director, Host, VIP, VIP6, config, ipv4, plan, second_segment, two_hosts, until,
};

const INSIDE: &str = "203.0.113.10";

/// The outside on eth0 and the inside on eth1, in one group.
fn translating(host: &Host, last: u8, priority: u8) -> VrrpPlan {
    let mut plan = ipv4(host, last, priority);
    let inside = config([203, 0, 113, last].into(), INSIDE, priority);
    plan.routers.push(RouterPlan {
        instance: "inside".into(),
        interface_index: host.link_index("eth1"),
        interface_name: "eth1".into(),
        prefix_lengths: [(INSIDE.parse().expect("an address"), 24)].into(),
        config: inside.check().expect("a configuration"),
        ..plan.routers[0].clone()
    });
    plan
}

fn states(report: &VrrpReport) -> [Option<RouterState>; 2] {
    ["default", "inside"].map(|instance| report.instance_state(instance))
}

#[test]
fn a_group_moves_as_one_and_waits_until_all_of_it_can_run() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let bridge = second_segment(&one, &two);
    let has_inside = |host: &Host| {
        let text = host.ip("-o addr show dev eth1");
        text.contains(&format!(" {INSIDE}/"))
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(translating(&one, 1, 150));
    second.handle.configure(translating(&two, 2, 100));
    let all = |state| move |report: &VrrpReport| states(report) == [Some(state); 2];
    first.wait(&runtime, all(RouterState::Active));
    second.wait(&runtime, all(RouterState::Backup));
    assert!(one.has(VIP) && has_inside(&one) && !two.has(VIP) && !has_inside(&two));

    // The inside fails: the outside, whose link is whole, follows without a gap.
    bridge.ip("link set port1 down");
    until("the outside moves", || {
        let (here, there) = (one.has(VIP), two.has(VIP));
        assert!(here || there || two.has(VIP), "nobody has the outside");
        there && !here
    });
    second.wait(&runtime, all(RouterState::Active));
    first.wait(&runtime, |report| {
        states(report) == [Some(RouterState::Backup), Some(RouterState::Fault)]
    });
    assert!(has_inside(&two) && !has_inside(&one));

    // Nothing can take over that has no inside, even when nobody else is there.
    drop(runtime.block_on(second.handle.stop()));
    assert!(!one.has(VIP) && !two.has(VIP));
    bridge.ip("link set port1 up");
    first.wait(&runtime, all(RouterState::Active));
    assert!(one.has(VIP) && has_inside(&one));
}

/// Agents on both, of which the first is Active and the second Backup.
fn elected(one: &Host, two: &Host, runtime: &Runtime) -> (Director, Director) {
    let (first, second) = (one.start(), two.start());
    first.handle.configure(ipv4(one, 1, 150));
    second.handle.configure(ipv4(two, 2, 100));
    first.wait_state(runtime, RouterState::Active);
    second.wait_state(runtime, RouterState::Backup);
    (first, second)
}

#[test]
fn one_is_elected_and_hands_over_without_a_gap() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let (first, second) = elected(&one, &two, &runtime);
    assert!(one.has(VIP) && !two.has(VIP));
    let text = one.ip("-d -o addr show dev eth0");
    assert!(text.contains("dynamic noprefixroute"), "{text}");

    // Somebody has the VIP at every moment of a planned stop.
    let stopping = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(first.handle.stop()).expect("a clean end");
    });
    until("the VIP moves", || {
        let (here, there) = (one.has(VIP), two.has(VIP));
        assert!(here || there || two.has(VIP), "nobody has the VIP");
        there && !here
    });
    stopping.join().expect("no panic");
    second.wait_state(&runtime, RouterState::Active);
}

#[test]
fn both_families_run_side_by_side() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let dual = |host: &Host, last: u8, priority| {
        let ipv4 = config([198, 51, 100, last].into(), VIP, priority);
        let ipv6 = config(host.link_local(), VIP6, priority);
        plan(host, vec![ipv4, ipv6])
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(dual(&one, 1, 150));
    second.handle.configure(dual(&two, 2, 100));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    assert!(one.has(VIP) && one.has(VIP6) && !two.has(VIP) && !two.has(VIP6));
    assert!(second.handle.metrics().advertisements_received.get() > 0);

    // An interface that loses its link is a fault; the other side takes over.
    one.ip("link set eth0 down");
    first.wait_state(&runtime, RouterState::Fault);
    assert!(!one.has(VIP));
    two.ip("link set eth0 down");
    one.ip("link set eth0 up");
    two.ip("link set eth0 up");
    until("both have their link-local address again", || {
        [&one, &two].iter().all(|host| {
            let text = host.ip("-6 -o addr show dev eth0 scope link");
            text.contains("fe80") && !text.contains("tentative")
        })
    });
    let active =
        |report: &VrrpReport| report.instance_state("default") == Some(RouterState::Active);
    until("one of them is Active", || {
        active(&first.handle.report().borrow()) != active(&second.handle.report().borrow())
    });
}

#[test]
fn an_agent_that_is_back_soon_goes_on_as_active() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    // Long enough that a busy machine starts the next one within the time that the peer waits.
    let slow = |host: &Host, last: u8, priority: u8| {
        let mut slow = config([198, 51, 100, last].into(), VIP, priority);
        slow.advertisement_interval = Centiseconds::new(50);
        plan(host, vec![slow])
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(slow(&one, 1, 150));
    second.handle.configure(slow(&two, 2, 100));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    let changes = second.handle.metrics();
    let before = changes.role_changes.get();

    // A process that is killed leaves its VIPs in the kernel. So does this one, which for want of a
    // way to kill a thread goes on beside its successor.
    let mut successor = one.start();
    successor.handle.configure(slow(&one, 1, 150));
    successor.wait_state(&runtime, RouterState::Active);
    let happened = successor.happened();
    let resumed = happened.iter().any(|kind| {
        matches!(
            kind,
            VrrpEventKind::RoleChanged {
                reason: lvs_vrrp::RoleReason::Resumed,
                ..
            }
        )
    });
    assert!(resumed, "{happened:?}");
    assert_eq!(changes.role_changes.get(), before, "the peer noticed");
}

#[test]
fn who_is_held_leaves_the_active_router_alone_until_it_is_released() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let second = two.start();
    second.handle.configure(ipv4(&two, 2, 100));
    second.wait_state(&runtime, RouterState::Active);

    let first = one.start();
    let mut preempting = config([198, 51, 100, 1].into(), VIP, 150);
    preempting.preemption = lvs_vrrp::Preemption::Immediate;
    let mut held = plan(&one, vec![preempting]);
    let mut released = held.clone();
    held.routers[0].hold_preemption = true;
    released.routers[0].hold_preemption = false;
    first.handle.configure(held);
    let metrics = first.handle.metrics();
    // Thrice the time after which it would have taken over.
    until("ten were heard", || {
        metrics.advertisements_received.get() >= 10
    });
    first.wait_state(&runtime, RouterState::Backup);
    assert!(two.has(VIP) && !one.has(VIP));

    first.handle.configure(released);
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    assert!(one.has(VIP));
}

#[test]
fn how_late_each_advertisement_left_is_counted() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let director = one.start();
    director.handle.configure(ipv4(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    let metrics = director.handle.metrics();
    until("ten were sent", || metrics.advertisements_sent.get() >= 10);
    let counted = director.metric("lvs_agent_vrrp_advertisement_lateness_seconds_count");
    assert!(
        counted >= 9,
        "{counted}: each but at most the one under way"
    );
}
