//! The owner of the addresses: priority 255.

use super::*;

fn owner() -> Config {
    Config {
        priority: PRIORITY_OWNER,
        ..config()
    }
}

#[test]
fn it_is_active_from_its_start_on() {
    let mut bench = Bench::new(owner());
    let outputs = bench.does(Input::Start);
    assert_eq!(kinds(&outputs), ["send", "add", "announce", "role"]);
    assert_eq!(priorities_sent(&outputs), [PRIORITY_OWNER]);
    assert_eq!(reason(&outputs), Some(RoleReason::Owner));
    assert_eq!(bench.deadline_in(), Duration::from_secs(1));
    bench.does(Input::InterfaceDown);
    let outputs = bench.does(Input::InterfaceUp);
    assert_eq!(reason(&outputs), Some(RoleReason::Owner));
}

#[test]
fn it_preempts_whatever_the_mode() {
    let mut bench = Bench::new(owner());
    bench.does(Input::Drain(true));
    bench.does(Input::HoldPreemption(true));
    bench.does(Input::Start);
    assert_eq!(bench.router.role(), Role::Backup);
    bench.does(Input::Drain(false));
    let before = bench.router.next_deadline();
    bench.after(Duration::from_secs(1));
    bench.hears(HIGHER, 254);
    assert_eq!(bench.router.next_deadline(), before, "it is not followed");
}

#[test]
fn of_two_owners_the_higher_address_stays() {
    let mut bench = Bench::new(owner());
    bench.does(Input::Start);
    bench.after(Duration::from_secs(1));
    assert_eq!(kinds(&bench.hears(LOWER, PRIORITY_OWNER))[0], "split");
    let outputs = bench.hears(HIGHER, PRIORITY_OWNER);
    assert_eq!(kinds(&outputs), ["healed", "remove", "role"]);
}

#[test]
fn in_version_2_it_listens_to_nobody() {
    let version_2 = Config {
        version: Version::V2,
        ..owner()
    };
    let mut bench = Bench::new(version_2);
    bench.does(Input::Start);
    let outputs = bench.hears(HIGHER, PRIORITY_OWNER);
    assert_eq!(outputs, [Output::Rejected(RejectReason::Owner)]);
    assert_eq!(bench.router.role(), Role::Active);
}
