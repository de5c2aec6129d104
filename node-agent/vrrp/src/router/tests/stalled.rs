//! An Active Router that was itself stopped.

use super::*;

/// An equal has taken over, if there is one: the down interval is over, of which the router slept all but the
/// second until its next advertisement.
const SUCCEEDED: Duration = Duration::from_nanos(2_609_375_000);
/// It would have been heard twice.
const STALL: Duration = Duration::from_nanos(4_609_375_000);
/// An Active Router that lives is heard within so long.
const HEARD: Duration = Duration::from_secs(2);

/// An Active Router whose advertisement was due `late` ago.
fn late_by(late: Duration) -> Bench {
    let mut bench = Bench::active(config());
    bench.now = bench.router.next_deadline().unwrap() + late;
    bench
}

#[test]
fn it_goes_on_as_long_as_a_successor_may_not_have_been_heard() {
    let mut bench = late_by(STALL.saturating_sub(NANOSECOND));
    assert_eq!(priorities_sent(&bench.does(Input::Tick)), [100]);
    assert_eq!(bench.router.role(), Role::Active);
}

/// The rhythm is kept, but who listens counts from what was sent.
#[test]
fn an_advertisement_that_was_late_itself_counts_from_when_it_was_sent() {
    let mut bench = late_by(Duration::from_millis(900));
    assert_eq!(priorities_sent(&bench.does(Input::Tick)), [100]);
    assert_eq!(bench.deadline_in(), Duration::from_millis(100));
    let outputs = bench.after(Duration::from_millis(3_500));
    assert_eq!(priorities_sent(&outputs), [100]);
    let outputs = bench.after(DOWN + HEARD);
    assert_eq!(reason(&outputs), Some(RoleReason::Stalled));
}

#[test]
fn it_steps_back_before_it_speaks() {
    let mut bench = late_by(STALL);
    let outputs = bench.does(Input::Tick);
    assert_eq!(kinds(&outputs), ["remove", "role"]);
    assert_eq!(reason(&outputs), Some(RoleReason::Stalled));
    assert_eq!(bench.deadline_in(), HEARD);
    let outputs = bench.until_deadline();
    assert_eq!(priorities_sent(&outputs), [100], "nobody else was there");
    assert_eq!(bench.router.role(), Role::Active);
}

#[test]
fn a_successor_that_it_hears_then_stays() {
    let mut bench = late_by(STALL);
    bench.does(Input::Tick);
    bench.after(HEARD.saturating_sub(NANOSECOND));
    bench.hears(LOWER, 50);
    assert_eq!(bench.deadline_in(), DOWN);
}

/// It listens for less than a down interval, and who is not followed in that time has not fallen silent.
#[test]
fn one_that_it_preempts_then_is_not_lost() {
    let mut config = config();
    config.preemption = Preemption::Immediate;
    let mut bench = Bench::active(config);
    bench.after(DOWN + HEARD);
    assert_eq!(bench.router.role(), Role::Backup);
    bench.hears(LOWER, 50);
    let outputs = bench.until_deadline();
    assert_eq!(priorities_sent(&outputs), [100]);
    let is_lost = |output: &Output| matches!(output, Output::PeerLost { .. });
    assert!(!outputs.iter().any(is_lost), "{outputs:?}");
}

#[test]
fn what_it_hears_first_finds_it_a_backup() {
    let mut bench = late_by(SUCCEEDED);
    let outputs = bench.hears(LOWER, 50);
    assert_eq!(kinds(&outputs), ["remove", "role"], "it does not answer");
    assert_eq!(bench.router.role(), Role::Backup);
    let mut bench = late_by(SUCCEEDED.saturating_sub(NANOSECOND));
    assert_eq!(priorities_sent(&bench.hears(LOWER, 50)), [100]);
    let mut bench = late_by(STALL);
    let outputs = bench.reconfigures(|config| config.virtual_addresses.push(OTHER_VIP));
    assert_eq!(outputs[0], Output::RemoveVips(vec![VIP]));
    assert_eq!(kinds(&outputs), ["remove", "role"]);
}

#[test]
fn a_stop_is_over_then() {
    let mut bench = Bench::active(config());
    bench.does(Input::Stop);
    let outputs = bench.after(DOWN + HEARD);
    assert_eq!(kinds(&outputs), ["remove", "role", "stopped"]);
}

#[test]
fn a_backup_that_was_stopped_as_its_timer_ran_out_listens_again_but_only_once() {
    let late = DOWN + HEARD;
    let mut bench = Bench::backup(config());
    let outputs = bench.after(late.saturating_sub(NANOSECOND));
    assert_eq!(priorities_sent(&outputs), [100]);

    let mut bench = Bench::backup(config());
    assert_eq!(bench.after(late), []);
    assert_eq!(bench.deadline_in(), DOWN);
    assert_eq!(priorities_sent(&bench.after(late)), [100]);

    let mut bench = Bench::backup(config());
    bench.after(late);
    bench.hears(HIGHER, 100);
    assert_eq!(bench.after(late), [], "it has heard one since");
}

#[test]
fn a_backup_whose_active_router_left_does_not_wait_for_it() {
    let mut bench = Bench::backup(config());
    bench.hears(HIGHER, 100);
    bench.hears(HIGHER, 0);
    assert_eq!(priorities_sent(&bench.after(DOWN * 10)), [100]);
}

#[test]
fn a_backup_that_was_stopped_takes_nothing_amiss() {
    let mut bench = Bench::backup(config());
    bench.now = bench.now + DOWN * 10;
    bench.hears(HIGHER, 100);
    assert_eq!(bench.deadline_in(), DOWN);
}
