//! Weights and faults of what is tracked, and the hold of preemption.

use super::*;

fn weight(weight: i32) -> Input {
    Input::Priority(Adjustment {
        weight,
        is_fault: false,
    })
}

const FAULT: Input = Input::Priority(Adjustment {
    weight: 0,
    is_fault: true,
});
const CLEARED: Input = Input::Priority(Adjustment {
    weight: 0,
    is_fault: false,
});
/// The role is offered for the slowest Backup's down interval and half an interval more.
const OFFER: Duration = Duration::from_nanos(3_996_093_750 + 500_000_000);

#[test]
fn weights_are_added_within_the_bounds_of_a_backup() {
    for (sum, expected) in [
        (0, 100),
        (-30, 70),
        (154, 254),
        (155, 254),
        (i32::MAX, 254),
        (-99, 1),
        (-100, 1),
        (i32::MIN, 1),
    ] {
        let mut bench = Bench::backup(config());
        bench.does(weight(sum));
        assert_eq!(bench.router.priority(), expected);
        assert_eq!(priorities_sent(&bench.until_deadline()), [expected]);
    }
    let owner = Config {
        priority: PRIORITY_OWNER,
        ..config()
    };
    let mut bench = Bench::new(owner);
    bench.does(weight(-100));
    assert_eq!(bench.router.priority(), PRIORITY_OWNER);
}

#[test]
fn an_active_router_advertises_another_priority_at_once() {
    let mut bench = Bench::active(config());
    bench.after(Duration::from_millis(400));
    let outputs = bench.does(weight(-10));
    assert_eq!(kinds(&outputs), ["send"]);
    assert_eq!(priorities_sent(&outputs), [90]);
    assert_eq!(bench.does(weight(-10)), []);
    assert_eq!(kinds(&bench.hears(LOWER, 95)), ["remove", "role"]);
}

#[test]
fn a_backup_waits_and_preempts_by_the_priority_in_force() {
    let preempting = Config {
        preemption: Preemption::Immediate,
        ..config()
    };
    let mut bench = Bench::backup(preempting);
    bench.does(weight(50));
    let down = active_down(150);
    assert_eq!(bench.deadline_in(), down);
    bench.after(Duration::from_secs(1));
    bench.hears(HIGHER, 120);
    assert_eq!(
        bench.deadline_in(),
        down.saturating_sub(Duration::from_secs(1)),
        "it preempts"
    );
    bench.does(weight(0));
    bench.hears(HIGHER, 120);
    assert_eq!(bench.deadline_in(), DOWN);
}

fn active_down(priority: u8) -> Duration {
    crate::interval::active_down_interval(Version::V3, priority, Centiseconds::new(100), 3)
}

#[test]
fn a_backup_with_a_fault_takes_no_part_until_it_is_over() {
    let mut bench = Bench::backup(config());
    let outputs = bench.does(FAULT);
    assert_eq!(kinds(&outputs), ["role"]);
    assert_eq!(reason(&outputs), Some(RoleReason::Faulted));
    assert_eq!(bench.router.role(), Role::Initialize);
    assert_eq!(bench.router.next_deadline(), None);
    assert_eq!(bench.does(Input::InterfaceUp), []);
    let outputs = bench.does(CLEARED);
    assert_eq!(reason(&outputs), Some(RoleReason::FaultCleared));
    assert_eq!(bench.deadline_in(), DOWN);
}

#[test]
fn an_active_router_with_a_fault_offers_its_role_first() {
    let mut bench = Bench::active(config());
    let outputs = bench.does(FAULT);
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
    assert!(bench.router.is_handing_over());
    bench.after(Duration::from_millis(200));
    let outputs = bench.hears(LOWER, 1);
    assert_eq!(kinds(&outputs), ["remove", "role"]);
    assert_eq!(bench.router.role(), Role::Initialize);
    assert_eq!(
        reason(&outputs),
        Some(RoleReason::HandedOver { successor: LOWER })
    );
}

#[test]
fn a_role_with_a_fault_that_nobody_takes_is_let_go() {
    for drained in [false, true] {
        let mut bench = Bench::active(config());
        bench.does(Input::Drain(drained));
        bench.does(FAULT);
        let log = bench.during(Duration::from_secs(60));
        let (at, last) = log.last().unwrap();
        assert_eq!(*at, OFFER);
        assert_eq!(
            reason(std::slice::from_ref(last)),
            Some(RoleReason::Faulted)
        );
        assert_eq!(bench.router.role(), Role::Initialize);
    }
}

#[test]
fn a_fault_that_passes_before_anybody_took_over_changes_nothing() {
    let mut bench = Bench::active(config());
    bench.does(FAULT);
    assert_eq!(priorities_sent(&bench.does(CLEARED)), [100]);
    let log = bench.during(Duration::from_secs(60));
    assert!(
        log.iter()
            .all(|(_, output)| priorities_sent(std::slice::from_ref(output)) == [100])
    );
}

#[test]
fn a_fault_before_the_start_keeps_a_router_out() {
    let mut bench = Bench::new(config());
    bench.does(FAULT);
    assert_eq!(kinds(&bench.does(Input::Start)), ["remove"]);
    assert_eq!(bench.router.role(), Role::Initialize);
    // One that was Active until a moment ago still has a successor to wait for.
    let mut bench = Bench::new(config());
    bench.does(FAULT);
    let outputs = bench.does(Input::StartActive);
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
    assert_eq!(kinds(&bench.hears(LOWER, 1)), ["remove", "role"]);
}

#[test]
fn without_its_interface_a_fault_is_no_reason_to_offer() {
    let mut bench = Bench::active(config());
    bench.does(FAULT);
    assert_eq!(kinds(&bench.does(Input::InterfaceDown)), ["remove", "role"]);
    assert_eq!(bench.does(CLEARED), []);
    assert_eq!(kinds(&bench.does(Input::InterfaceUp)), ["remove", "role"]);
}

#[test]
fn a_fault_and_what_its_group_wants_do_not_end_each_other() {
    let release = Input::Group(GroupOrder::Release);
    let together = Input::Group(GroupOrder::Together);
    let mut bench = Bench::active(config());
    bench.does(together.clone());
    bench.does(FAULT);
    assert_eq!(bench.does(release.clone()), []);
    assert_eq!(bench.does(together.clone()), []);
    assert!(bench.router.is_handing_over());
    bench.does(release);
    assert_eq!(bench.does(CLEARED), []);
    assert!(bench.router.is_handing_over());
    assert_eq!(priorities_sent(&bench.does(together)), [100]);
}

#[test]
fn a_group_takes_the_lowest_adjustment() {
    let one = |weight, is_fault| Adjustment { weight, is_fault };
    assert_eq!(
        Adjustment::lowest([one(5, false), one(-7, false), one(0, true)]),
        one(-7, true)
    );
    assert_eq!(Adjustment::lowest([one(5, false)]), one(5, false));
    assert_eq!(Adjustment::lowest([]), Adjustment::default());
}

fn preempting(delay: Duration) -> Bench {
    Bench::backup(Config {
        preemption: Preemption::Immediate,
        preempt_delay: delay,
        ..config()
    })
}

/// Whether an advertisement of lower priority is ignored.
fn preempts(bench: &mut Bench) -> bool {
    let before = bench.router.next_deadline();
    bench.now = bench.now + Duration::from_millis(1);
    bench.hears(LOWER, 99);
    bench.router.next_deadline() == before
}

#[test]
fn held_preemption_is_none_until_the_delay_after_its_release() {
    let mut bench = preempting(Duration::from_secs(10));
    bench.does(Input::HoldPreemption(true));
    bench.now = bench.now + Duration::from_secs(100);
    assert!(!preempts(&mut bench));
    bench.does(Input::HoldPreemption(false));
    bench.now = bench.now + Duration::from_millis(9_990);
    assert!(!preempts(&mut bench));
    bench.now = bench.now + Duration::from_millis(10);
    assert!(preempts(&mut bench));
}

#[test]
fn a_hold_that_was_none_puts_nothing_off() {
    let mut bench = preempting(Duration::from_secs(10));
    bench.now = bench.now + Duration::from_secs(10);
    bench.does(Input::HoldPreemption(false));
    assert!(preempts(&mut bench));
}

#[test]
fn a_dead_active_router_is_replaced_while_preemption_is_held() {
    let mut bench = preempting(Duration::ZERO);
    bench.does(Input::HoldPreemption(true));
    bench.hears(LOWER, 99);
    let outputs = bench.after(DOWN);
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveDown));
}
