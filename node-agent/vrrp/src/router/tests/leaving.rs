//! Stop, drain, restart, and the loss of the interface.

use super::*;

/// The role is offered for the slowest Backup's down interval and half an interval more.
const OFFER: Duration = Duration::from_nanos(3_996_093_750 + 500_000_000);

#[test]
fn a_stopping_router_holds_the_addresses_until_it_hears_its_successor() {
    let mut bench = Bench::active(config());
    let outputs = bench.does(Input::Stop);
    assert_eq!(kinds(&outputs), ["send"]);
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
    assert!(bench.router.is_handing_over());
    bench.after(Duration::from_millis(200));
    let outputs = bench.hears(LOWER, 1);
    assert_eq!(kinds(&outputs), ["remove", "role", "stopped"]);
    assert_eq!(
        reason(&outputs),
        Some(RoleReason::HandedOver { successor: LOWER })
    );
    assert_eq!(bench.router.role(), Role::Initialize);
    assert_eq!(bench.router.next_deadline(), None);
}

#[test]
fn a_stopping_router_repeats_its_offer_once_and_ends_without_successor() {
    let mut bench = Bench::active(config());
    bench.does(Input::Stop);
    let log = bench.during(Duration::from_secs(60));
    let at = |index: usize| (log[index].0, kinds(&[log[index].1.clone()])[0]);
    assert_eq!(at(0), (Duration::from_millis(250), "send"));
    assert_eq!(at(1), (OFFER, "remove"));
    assert_eq!(at(2), (OFFER, "role"));
    assert_eq!(at(3), (OFFER, "stopped"));
    assert_eq!(log.len(), 4);
}

#[test]
fn a_second_stop_ends_at_once() {
    let mut bench = Bench::active(config());
    bench.does(Input::Stop);
    assert_eq!(
        kinds(&bench.does(Input::Stop)),
        ["remove", "role", "stopped"]
    );
    assert_eq!(bench.does(Input::Stop), []);
}

#[test]
fn a_backup_stops_at_once() {
    let mut bench = Bench::backup(config());
    assert_eq!(kinds(&bench.does(Input::Stop)), ["role", "stopped"]);
}

#[test]
fn a_stopped_router_can_be_started_again() {
    let mut bench = Bench::backup(config());
    bench.does(Input::Stop);
    assert_eq!(kinds(&bench.does(Input::Start)), ["remove", "role"]);
}

#[test]
fn a_stopping_router_lets_another_that_leaves_be() {
    let mut bench = Bench::active(config());
    bench.does(Input::Stop);
    assert_eq!(bench.hears(HIGHER, PRIORITY_RELEASE), []);
}

#[test]
fn a_drained_router_offers_until_somebody_takes() {
    let mut bench = Bench::active(config());
    let mut outputs = bench.does(Input::Drain(true));
    let log = bench.during(Duration::from_secs(3));
    assert!(
        log.iter()
            .all(|(_, output)| matches!(output, Output::SendAdvertisement { .. }))
    );
    outputs.extend(log.into_iter().map(|(_, output)| output));
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE; 4]);
    let outputs = bench.hears(LOWER, 1);
    assert_eq!(kinds(&outputs), ["remove", "role"]);
    assert_eq!(
        reason(&outputs),
        Some(RoleReason::HandedOver { successor: LOWER })
    );
    assert_eq!(bench.router.role(), Role::Backup);
    assert!(!bench.router.is_handing_over());
}

#[test]
fn a_drained_router_without_successor_says_so_once_and_goes_on() {
    let mut bench = Bench::active(config());
    bench.does(Input::Drain(true));
    let log = bench.during(Duration::from_secs(60));
    let others: Vec<_> = log
        .iter()
        .filter(|(_, output)| !matches!(output, Output::SendAdvertisement { .. }))
        .collect();
    assert_eq!(others, [&(OFFER, Output::NoSuccessor)]);
    assert_eq!(
        log.len() - others.len(),
        60,
        "one each second and one more in the first"
    );
    assert_eq!(bench.router.role(), Role::Active);
}

#[test]
fn a_router_that_is_no_longer_drained_keeps_its_role() {
    let mut bench = Bench::active(config());
    bench.does(Input::Drain(true));
    let outputs = bench.does(Input::Drain(false));
    assert_eq!(priorities_sent(&outputs), [100]);
    assert_eq!(bench.router.role(), Role::Active);
    let log = bench.during(Duration::from_secs(60));
    assert!(
        log.iter()
            .all(|(_, output)| priorities_sent(std::slice::from_ref(output)) == [100])
    );
}

#[test]
fn a_drained_backup_neither_preempts_nor_accepts_an_offer() {
    let preempting = Config {
        preemption: Preemption::Immediate,
        ..config()
    };
    let mut bench = Bench::backup(preempting);
    bench.does(Input::Drain(true));
    let longest = Duration::from_nanos(3_996_093_750);
    for priority in [1, PRIORITY_RELEASE] {
        bench.hears(LOWER, priority);
        assert_eq!(bench.deadline_in(), longest);
    }
    let outputs = bench.after(longest);
    assert_eq!(
        kinds(&outputs),
        ["send", "add", "announce", "role"],
        "it is the last choice"
    );
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
}

#[test]
fn of_two_drained_holders_the_higher_address_stays() {
    let mut bench = Bench::active(config());
    bench.does(Input::Drain(true));
    let outputs = bench.hears(LOWER, PRIORITY_RELEASE);
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
    assert_eq!(
        kinds(&bench.hears(HIGHER, PRIORITY_RELEASE)),
        ["remove", "role"]
    );
}

#[test]
fn the_end_of_a_drain_makes_a_backup_an_ordinary_one() {
    let preempting = Config {
        preemption: Preemption::Immediate,
        ..config()
    };
    let mut bench = Bench::backup(preempting);
    bench.does(Input::Drain(true));
    bench.hears(LOWER, 50);
    bench.does(Input::Drain(false));
    assert_eq!(bench.deadline_in(), DOWN);
    bench.after(Duration::from_secs(1));
    bench.hears(LOWER, 50);
    assert_eq!(
        bench.deadline_in(),
        DOWN.saturating_sub(Duration::from_secs(1)),
        "it preempts"
    );
}

#[test]
fn a_restarted_active_router_goes_on_without_taking_addresses_down() {
    let mut bench = Bench::new(config());
    let outputs = bench.does(Input::StartActive);
    assert_eq!(kinds(&outputs), ["send", "add", "announce", "role"]);
    assert_eq!(reason(&outputs), Some(RoleReason::Resumed));
    assert_eq!(
        bench.router.config().resume_within(),
        Duration::from_secs(3)
    );
}

#[test]
fn a_router_drained_during_its_restart_hands_over() {
    let mut bench = Bench::new(config());
    bench.does(Input::Drain(true));
    let outputs = bench.does(Input::StartActive);
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
    assert_eq!(
        bench.deadline_in(),
        Duration::from_millis(250),
        "the offer is repeated"
    );
    assert_eq!(kinds(&bench.hears(LOWER, 1)), ["remove", "role"]);
}

#[test]
fn without_its_interface_it_takes_no_part() {
    let mut bench = Bench::active(config());
    let outputs = bench.does(Input::InterfaceDown);
    assert_eq!(kinds(&outputs), ["remove", "role"]);
    assert_eq!(bench.router.role(), Role::Initialize);
    assert_eq!(bench.router.next_deadline(), None);
    assert_eq!(bench.hears(HIGHER, 1), []);
    assert_eq!(kinds(&bench.does(Input::InterfaceUp)), ["remove", "role"]);
    assert_eq!(bench.router.role(), Role::Backup);
    assert_eq!(bench.deadline_in(), DOWN);
}

#[test]
fn started_without_interface_it_waits_for_it() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.does(Input::InterfaceDown), []);
    assert_eq!(
        bench.does(Input::StartActive),
        [Output::RemoveVips(vec![VIP])]
    );
    bench.does(Input::InterfaceUp);
    assert_eq!(bench.router.role(), Role::Backup);
}

#[test]
fn losing_the_interface_ends_a_stop() {
    let mut bench = Bench::active(config());
    bench.does(Input::Stop);
    assert_eq!(
        kinds(&bench.does(Input::InterfaceDown)),
        ["remove", "role", "stopped"]
    );
}
