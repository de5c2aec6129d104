//! RFC 9568 sections 6.4.1 and 6.4.2: Initialize and Backup.

use super::*;

#[test]
fn starts_as_backup_and_removes_what_an_earlier_run_left() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.router.next_deadline(), None);
    let outputs = bench.does(Input::Start);
    let changed = Output::RoleChanged {
        from: Role::Initialize,
        to: Role::Backup,
        reason: RoleReason::Started,
    };
    assert_eq!(outputs, [Output::RemoveVips(vec![VIP]), changed]);
    assert_eq!(bench.deadline_in(), DOWN);
    assert_eq!(bench.does(Input::Start), [], "a second start is none");
}

#[test]
fn takes_over_when_the_down_interval_has_passed_and_not_before() {
    let mut bench = Bench::backup(config());
    assert_eq!(bench.after(DOWN.saturating_sub(NANOSECOND)), []);
    let outputs = bench.after(NANOSECOND);
    assert_eq!(kinds(&outputs), ["send", "add", "announce", "role"]);
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveDown));
    assert_eq!(sent(&outputs), [bench.advertisement(100)]);
    assert_eq!(bench.deadline_in(), Duration::from_secs(1));
}

#[test]
fn every_advertisement_restarts_the_down_timer() {
    let mut bench = Bench::backup(config());
    for priority in [101, 100, 99, 1, PRIORITY_OWNER] {
        bench.after(DOWN.saturating_sub(NANOSECOND));
        assert_eq!(bench.hears(HIGHER, priority), []);
        assert_eq!(bench.deadline_in(), DOWN, "priority {priority}");
    }
}

#[test]
fn preempts_a_lower_priority_but_not_an_equal_or_higher_one() {
    let preempting = Config {
        preemption: Preemption::Immediate,
        ..config()
    };
    let mut bench = Bench::backup(preempting);
    bench.after(Duration::from_secs(1));
    bench.hears(LOWER, 99);
    assert_eq!(
        bench.deadline_in(),
        DOWN.saturating_sub(Duration::from_secs(1))
    );
    bench.hears(LOWER, 100);
    assert_eq!(bench.deadline_in(), DOWN);
    bench.after(Duration::from_secs(1));
    bench.hears(LOWER, 101);
    assert_eq!(bench.deadline_in(), DOWN);
}

#[test]
fn leaves_a_lower_priority_alone_until_the_preempt_delay_has_passed() {
    let delay = Duration::from_secs(10);
    let delayed = Config {
        preemption: Preemption::Immediate,
        preempt_delay: delay,
        ..config()
    };
    let mut bench = Bench::backup(delayed);
    for _ in 0..9 {
        bench.after(Duration::from_secs(1));
        bench.hears(LOWER, 99);
        assert_eq!(bench.deadline_in(), DOWN);
    }
    bench.after(Duration::from_secs(1));
    bench.hears(LOWER, 99);
    assert_eq!(
        bench.deadline_in(),
        DOWN.saturating_sub(Duration::from_secs(1))
    );
}

#[test]
fn preempt_delay_does_not_hold_up_a_failover() {
    let delay = Duration::from_secs(1000);
    let delayed = Config {
        preemption: Preemption::Immediate,
        preempt_delay: delay,
        ..config()
    };
    let mut bench = Bench::backup(delayed);
    bench.hears(LOWER, 99);
    assert_eq!(
        kinds(&bench.after(DOWN)),
        ["send", "add", "announce", "role", "lost"]
    );
}

#[test]
fn a_released_role_is_taken_after_the_skew() {
    let mut bench = Bench::backup(config());
    bench.after(Duration::from_secs(1));
    assert_eq!(bench.hears(HIGHER, PRIORITY_RELEASE), []);
    assert_eq!(bench.deadline_in(), SKEW);
    assert_eq!(bench.after(SKEW.saturating_sub(NANOSECOND)), []);
    bench.hears(HIGHER, PRIORITY_RELEASE);
    assert_eq!(
        bench.deadline_in(),
        NANOSECOND,
        "a repeated offer does not put it off"
    );
    let outputs = bench.after(NANOSECOND);
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveReleased));
    assert_eq!(
        kinds(&outputs),
        ["add", "announce", "send", "role"],
        "the other answers until it hears the advertisement"
    );
}

#[test]
fn a_released_role_that_another_took_is_left_to_it() {
    let mut bench = Bench::backup(config());
    bench.hears(HIGHER, PRIORITY_RELEASE);
    bench.after(SKEW / 2);
    bench.hears(LOWER, 90);
    assert_eq!(bench.deadline_in(), DOWN);
}

#[test]
fn learns_the_active_routers_interval_and_returns_to_its_own() {
    let mut bench = Bench::backup(config());
    let fast = Advertisement {
        interval: Centiseconds::new(10),
        ..bench.advertisement(150)
    };
    bench.hears_this(HIGHER, fast);
    assert_eq!(
        bench.deadline_in(),
        DOWN / 10,
        "interval and skew are both scaled"
    );
    bench.hears(HIGHER, PRIORITY_RELEASE);
    assert_eq!(bench.deadline_in(), SKEW / 10);
    let outputs = bench.until_deadline();
    assert_eq!(sent(&outputs)[0].interval, Centiseconds::new(100));
    bench.hears(HIGHER, 150);
    assert_eq!(bench.deadline_in(), DOWN);
}

#[test]
fn a_router_that_was_late_itself_hears_before_it_judges() {
    let mut bench = Bench::backup(config());
    bench.now = bench.now + DOWN * 2;
    bench.hears(HIGHER, 150);
    assert_eq!(bench.does(Input::Tick), []);
    assert_eq!(bench.router.role(), Role::Backup);
}

#[test]
fn hears_nothing_before_its_start() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.hears(HIGHER, 150), []);
    assert_eq!(bench.router.next_deadline(), None);
}
