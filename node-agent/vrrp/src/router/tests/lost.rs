//! Whose silence made a router Active: what fencing goes by.

use super::*;

fn lost(outputs: &[Output]) -> Option<(IpAddr, Monotonic)> {
    outputs.iter().find_map(|output| match output {
        Output::PeerLost { peer, heard_at } => Some((*peer, *heard_at)),
        _ => None,
    })
}

fn preempting() -> Config {
    Config {
        preemption: Preemption::Immediate,
        ..config()
    }
}

#[test]
fn who_falls_silent_is_named_with_its_last_word() {
    let mut bench = Bench::backup(config());
    bench.hears(HIGHER, 150);
    bench.after(Duration::from_secs(1));
    bench.hears(HIGHER, 150);
    let last = bench.now;
    let outputs = bench.until_deadline();
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveDown));
    assert_eq!(lost(&outputs), Some((HIGHER, last)));
}

#[test]
fn where_nobody_was_heard_nobody_is_lost() {
    let mut bench = Bench::backup(config());
    let outputs = bench.until_deadline();
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveDown));
    assert_eq!(lost(&outputs), None);
    // An interface that was down starts from nothing: the cable may have been this router's own.
    let mut bench = Bench::backup(config());
    bench.hears(HIGHER, 150);
    bench.does(Input::InterfaceDown);
    bench.does(Input::InterfaceUp);
    assert_eq!(lost(&bench.until_deadline()), None);
}

#[test]
fn who_left_or_handed_over_is_not_lost() {
    let mut bench = Bench::backup(config());
    bench.hears(HIGHER, 150);
    bench.hears(HIGHER, PRIORITY_RELEASE);
    let outputs = bench.until_deadline();
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveReleased));
    assert_eq!(lost(&outputs), None);
    // A drained router follows one that leaves until it has been silent for long.
    let mut bench = Bench::backup(config());
    bench.does(Input::Drain(true));
    bench.hears(HIGHER, 150);
    bench.hears(HIGHER, PRIORITY_RELEASE);
    let outputs = bench.until_deadline();
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveDown));
    assert_eq!(lost(&outputs), None);
}

#[test]
fn who_is_preempted_is_not_lost() {
    let mut bench = Bench::backup(preempting());
    bench.hears(LOWER, 90);
    bench.after(Duration::from_secs(1));
    bench.hears(LOWER, 90);
    let outputs = bench.until_deadline();
    assert_eq!(bench.router.role(), Role::Active);
    assert_eq!(lost(&outputs), None);
}

#[test]
fn who_won_and_then_fell_silent_is_lost() {
    let mut bench = Bench::active(config());
    bench.hears(HIGHER, 150);
    assert_eq!(bench.router.role(), Role::Backup);
    let heard_at = bench.now;
    assert_eq!(lost(&bench.until_deadline()), Some((HIGHER, heard_at)));
}

#[test]
fn who_is_not_understood_any_more_is_alive() {
    let mut bench = Bench::backup(config());
    bench.hears(HIGHER, 150);
    bench.after(Duration::from_secs(1));
    let unusable = Advertisement {
        version: Version::V2,
        ..bench.advertisement(150)
    };
    let outputs = bench.hears_this(HIGHER, unusable);
    assert_eq!(outputs, [Output::Rejected(RejectReason::Version)]);
    let outputs = bench.until_deadline();
    assert_eq!(reason(&outputs), Some(RoleReason::ActiveDown));
    assert_eq!(lost(&outputs), None);
}

#[test]
fn a_new_configuration_forgets_nobody() {
    let mut bench = Bench::backup(config());
    bench.hears(HIGHER, 150);
    let heard_at = bench.now;
    bench.after(Duration::from_secs(1));
    bench.reconfigures(|config| config.advertisement_interval = Centiseconds::new(50));
    assert_eq!(lost(&bench.until_deadline()), Some((HIGHER, heard_at)));
}

#[test]
fn a_group_names_the_one_whose_timer_ran_out() {
    let mut bench = Bench::backup(config());
    bench.does(Input::Group(GroupOrder::Together));
    bench.hears(HIGHER, 150);
    let heard_at = bench.now;
    bench.after(DOWN);
    assert_eq!(lost(&bench.does(Input::TakeOver)), Some((HIGHER, heard_at)));
    let mut bench = Bench::backup(config());
    bench.does(Input::Group(GroupOrder::Together));
    bench.hears(HIGHER, 150);
    let outputs = bench.does(Input::TakeOver);
    assert_eq!(reason(&outputs), Some(RoleReason::GroupTookOver));
    assert_eq!(lost(&outputs), None);
}
