//! A changed configuration changes no role.

use super::*;

#[test]
fn the_same_configuration_does_nothing() {
    let mut bench = Bench::active(config());
    assert_eq!(bench.reconfigures(|_| {}), []);
}

#[test]
fn addresses_are_added_before_others_are_removed() {
    let mut bench = Bench::active(config());
    let outputs = bench.reconfigures(|config| config.virtual_addresses = vec![OTHER_VIP]);
    assert_eq!(kinds(&outputs), ["send", "add", "announce", "remove"]);
    assert_eq!(outputs[1], Output::AddVips(vec![OTHER_VIP]));
    assert_eq!(outputs[3], Output::RemoveVips(vec![VIP]));
    assert_eq!(
        sent(&outputs)[0].addresses,
        Addresses::V4(vec![[192, 0, 2, 11].into()])
    );
}

#[test]
fn an_active_router_advertises_a_change_at_once() {
    let mut bench = Bench::active(config());
    bench.after(Duration::from_millis(400));
    let outputs = bench.reconfigures(|config| {
        config.priority = 90;
        config.advertisement_interval = Centiseconds::new(20);
    });
    assert_eq!(kinds(&outputs), ["send"]);
    let advertisement = &sent(&outputs)[0];
    assert_eq!(
        (advertisement.priority, advertisement.interval),
        (90, Centiseconds::new(20))
    );
    assert_eq!(bench.deadline_in(), Duration::from_millis(200));
    assert_eq!(bench.router.role(), Role::Active);
}

#[test]
fn a_backup_gives_the_other_time_to_change_too() {
    let mut bench = Bench::backup(config());
    bench.after(Duration::from_secs(3));
    let outputs =
        bench.reconfigures(|config| config.advertisement_interval = Centiseconds::new(200));
    assert_eq!(outputs, []);
    assert_eq!(bench.deadline_in(), DOWN * 2);
}

#[test]
fn a_change_that_the_other_need_not_follow_does_not_put_a_take_over_off() {
    let mut bench = Bench::backup(config());
    bench.after(Duration::from_secs(3));
    bench.reconfigures(|config| config.virtual_addresses.push(OTHER_VIP));
    assert_eq!(
        bench.deadline_in(),
        DOWN.saturating_sub(Duration::from_secs(3))
    );
    bench.reconfigures(|config| config.priority = 1);
    assert_eq!(
        bench.deadline_in(),
        DOWN.saturating_sub(Duration::from_secs(3))
    );
}

#[test]
fn a_stopping_router_does_not_claim_its_role_again() {
    let mut bench = Bench::active(config());
    bench.does(Input::Stop);
    let outputs = bench.reconfigures(|config| config.virtual_addresses.push(OTHER_VIP));
    assert_eq!(kinds(&outputs), ["add", "announce"]);
}

#[test]
fn a_drained_router_offers_with_its_new_configuration() {
    let mut bench = Bench::active(config());
    bench.does(Input::Drain(true));
    let outputs = bench.reconfigures(|config| config.virtual_addresses.push(OTHER_VIP));
    assert_eq!(priorities_sent(&outputs), [PRIORITY_RELEASE]);
    assert_eq!(sent(&outputs)[0].addresses.len(), 2);
}

#[test]
fn a_router_that_is_not_active_touches_no_address() {
    for mut bench in [Bench::new(config()), Bench::backup(config())] {
        let outputs = bench.reconfigures(|config| config.virtual_addresses = vec![OTHER_VIP]);
        assert_eq!(outputs, []);
    }
}

#[test]
fn a_learned_interval_does_not_outlive_the_configuration_it_belongs_to() {
    let mut bench = Bench::backup(config());
    let fast = Advertisement {
        interval: Centiseconds::new(10),
        ..bench.advertisement(150)
    };
    bench.hears_this(HIGHER, fast.clone());
    bench.reconfigures(|config| config.down_advertisements = 2);
    assert_eq!(
        bench.deadline_in(),
        DOWN.saturating_sub(Duration::from_secs(1))
    );

    let mut bench = Bench::backup(config());
    bench.hears_this(HIGHER, fast);
    bench.until_deadline();
    bench.reconfigures(|config| config.version = Version::V2);
    bench.hears(HIGHER, 150);
    assert_eq!(bench.router.role(), Role::Backup);
    assert_eq!(bench.deadline_in(), DOWN);
}
