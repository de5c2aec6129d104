//! A router that is Active together with others or not at all.

use super::*;

fn order(order: GroupOrder) -> Input {
    Input::Group(order)
}

fn grouped_backup() -> Bench {
    let mut bench = Bench::backup(config());
    assert_eq!(bench.does(order(GroupOrder::Together)), []);
    bench
}

fn grouped_active() -> Bench {
    let mut bench = grouped_backup();
    bench.does(Input::TakeOver);
    assert_eq!(bench.router.role(), Role::Active);
    bench
}

#[test]
fn its_own_timer_does_not_make_it_active() {
    let mut bench = grouped_backup();
    assert_eq!(bench.router.next_deadline(), None);
    assert_eq!(bench.after(Duration::from_mins(1)), []);
    let outputs = bench.does(Input::TakeOver);
    assert_eq!(kinds(&outputs), ["send", "add", "announce", "role"]);
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveDown));
    assert_eq!(bench.does(Input::TakeOver), [], "it is Active");
}

#[test]
fn it_takes_over_with_the_others_before_its_timer_runs_out() {
    let mut bench = grouped_backup();
    let outputs = bench.does(Input::TakeOver);
    assert_eq!(reason(&outputs), Some(RoleReason::GroupTookOver));
    bench.does(Input::InterfaceDown);
    assert_eq!(bench.does(Input::TakeOver), [], "it cannot");
}

#[test]
fn outside_a_group_it_decides_for_itself_again() {
    let mut bench = grouped_backup();
    bench.after(DOWN);
    assert_eq!(bench.does(order(GroupOrder::Independent)), []);
    assert_eq!(kinds(&bench.until_deadline())[3], "role");
}

#[test]
fn it_offers_the_role_that_it_gives_up_until_somebody_takes_it() {
    let mut bench = grouped_active();
    let outputs = bench.does(order(GroupOrder::Release));
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
    assert!(bench.router.is_handing_over());
    assert_eq!(bench.does(order(GroupOrder::Release)), []);
    let outputs = bench.hears(LOWER, 1);
    assert_eq!(kinds(&outputs), ["remove", "role"]);
    assert_eq!(
        reason(&outputs),
        Some(RoleReason::HandedOver { successor: LOWER })
    );
}

#[test]
fn it_lets_go_of_the_role_that_nobody_takes() {
    let mut bench = grouped_active();
    bench.does(order(GroupOrder::Release));
    let log = bench.during(Duration::from_secs(60));
    let (at, last) = log.last().unwrap();
    assert_eq!(
        reason(std::slice::from_ref(last)),
        Some(RoleReason::GroupReleased)
    );
    // The slowest Backup's down interval and half an interval.
    assert_eq!(*at, Duration::from_nanos(4_496_093_750));
    assert_eq!(bench.router.role(), Role::Backup);
}

#[test]
fn it_keeps_the_role_when_its_group_recovers() {
    let mut bench = grouped_active();
    bench.does(order(GroupOrder::Release));
    let outputs = bench.does(order(GroupOrder::Together));
    assert_eq!(priorities_sent(&outputs), [100]);
    let log = bench.during(Duration::from_secs(60));
    assert!(
        log.iter()
            .all(|(_, output)| priorities_sent(std::slice::from_ref(output)) == [100])
    );
}

#[test]
fn the_end_of_a_drain_does_not_end_what_its_group_wants() {
    for drain_comes_first in [true, false] {
        let mut bench = grouped_active();
        if drain_comes_first {
            bench.does(Input::Drain(true));
            bench.does(order(GroupOrder::Release));
        } else {
            bench.does(order(GroupOrder::Release));
            assert_eq!(bench.does(Input::Drain(true)), []);
        }
        assert_eq!(bench.does(Input::Drain(false)), []);
        let log = bench.during(Duration::from_secs(60));
        let (_, last) = log.last().unwrap();
        assert_eq!(
            reason(std::slice::from_ref(last)),
            Some(RoleReason::GroupReleased)
        );
    }
}

#[test]
fn a_drain_goes_on_when_its_group_recovers() {
    let mut bench = grouped_active();
    bench.does(Input::Drain(true));
    bench.does(order(GroupOrder::Release));
    assert_eq!(bench.does(order(GroupOrder::Together)), []);
    let log = bench.during(Duration::from_secs(60));
    assert!(log.iter().any(|(_, output)| *output == Output::NoSuccessor));
    assert_eq!(bench.router.role(), Role::Active);
}

#[test]
fn it_stops_as_it_would_alone() {
    let mut bench = grouped_active();
    bench.does(Input::Stop);
    assert_eq!(bench.does(order(GroupOrder::Release)), []);
    assert_eq!(kinds(&bench.hears(LOWER, 1)), ["remove", "role", "stopped"]);
}
