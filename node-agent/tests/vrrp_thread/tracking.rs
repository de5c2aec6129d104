//! What tracked things do to routers on real sockets.

use std::collections::BTreeMap;

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::track::Verdict;
use lvs_node_agent::vrrp::VrrpEventKind;
use lvs_vrrp::{Adjustment, Preemption};

use crate::hosts::{Host, VIP, config, ipv4, plan, two_hosts, until};

fn verdict(weight: i32, is_fault: bool) -> BTreeMap<String, Verdict> {
    let verdict = Verdict {
        adjustment: Adjustment { weight, is_fault },
        failed: vec!["gateway".into()],
    };
    [("default".into(), verdict)].into()
}

#[test]
fn a_tracked_failure_moves_the_vip_without_a_gap_and_says_so() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let preempting = |host: &Host, last, priority| {
        let mut config = config([198, 51, 100, last].into(), VIP, priority);
        config.preemption = Preemption::Immediate;
        plan(host, vec![config])
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(preempting(&one, 1, 150));
    second.handle.configure(preempting(&two, 2, 100));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);

    // A lower priority: the other preempts.
    first.handle.control().track(verdict(-60, false));
    second.wait_state(&runtime, RouterState::Active);
    let report = first.wait(&runtime, |report| {
        report.instance_state("default") == Some(RouterState::Backup)
    });
    assert_eq!(
        report.instance_problem("default").as_deref(),
        Some("tracked and failed: gateway")
    );
    first.handle.control().track(BTreeMap::new());
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);

    // A fault: the role is offered, and somebody has the VIP at every moment.
    first.handle.control().track(verdict(0, true));
    until("the VIP moves", || {
        let (here, there) = (one.has(VIP), two.has(VIP));
        assert!(here || there || two.has(VIP), "nobody has the VIP");
        there && !here
    });
    first.wait_state(&runtime, RouterState::Fault);
    second.wait_state(&runtime, RouterState::Active);

    // A plan that changes leaves the fault as it is, and so does a router that starts.
    first.handle.configure(preempting(&one, 1, 200));
    let third = two.start();
    third.handle.control().track(verdict(0, true));
    third.handle.configure(preempting(&two, 3, 120));
    third.wait_state(&runtime, RouterState::Fault);
    first.wait_state(&runtime, RouterState::Fault);
    first.handle.control().track(BTreeMap::new());
    first.wait_state(&runtime, RouterState::Active);
}

#[test]
fn preemption_that_is_held_begins_with_the_release() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let mut held = {
        let mut config = config([198, 51, 100, 1].into(), VIP, 150);
        config.preemption = Preemption::Immediate;
        plan(&one, vec![config])
    };
    held.routers[0].hold_preemption = true;
    let (mut first, second) = (one.start(), two.start());
    second.handle.configure(ipv4(&two, 2, 100));
    second.wait_state(&runtime, RouterState::Active);
    first.handle.configure(held.clone());
    first.wait_state(&runtime, RouterState::Backup);
    // Three would do without the hold.
    let heard = first.handle.metrics();
    let before = heard.advertisements_received.get();
    until("ten advertisements are heard", || {
        heard.advertisements_received.get() > before + 10
    });
    let became_active = |kind: &VrrpEventKind| {
        let to = RouterState::Active;
        matches!(kind, VrrpEventKind::RoleChanged { to: found, .. } if *found == to)
    };
    let happened = first.happened();
    assert!(!happened.iter().any(became_active), "{happened:?}");
    assert!(two.has(VIP) && !one.has(VIP));

    held.routers[0].hold_preemption = false;
    first.handle.configure(held);
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
}
