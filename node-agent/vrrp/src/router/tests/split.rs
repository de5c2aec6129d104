//! Two Active Routers at a time.

use super::*;

fn second() -> Duration {
    Duration::from_secs(1)
}

/// An Active Router that has advertised for an interval.
fn established() -> Bench {
    let mut bench = Bench::active(config());
    bench.after(second());
    bench
}

#[test]
fn another_active_router_is_told_of_once_and_again_when_it_is_silent() {
    let mut bench = established();
    let since = bench.now;
    let outputs = bench.hears(LOWER, 50);
    assert_eq!(kinds(&outputs), ["split", "send", "announce"]);
    let split = Output::SplitBrain {
        peer: LOWER,
        priority: 50,
        since,
    };
    assert_eq!(outputs[0], split);
    bench.after(second());
    assert_eq!(kinds(&bench.hears(LOWER, 50)), ["send", "announce"]);
    // Its down interval later, and announced again.
    let log = bench.during(Duration::from_secs(10));
    let told: Vec<_> = log
        .iter()
        .filter(|(_, output)| !matches!(output, Output::SendAdvertisement { .. }))
        .collect();
    let healed = Output::SplitHealed { peer: LOWER, since };
    let at = Duration::from_secs(3);
    assert_eq!(told[0], &(at, healed));
    assert_eq!(told[1], &(at, Output::Announce(vec![VIP])));
    assert_eq!(told.len(), 2);
}

#[test]
fn the_last_words_of_the_router_before_are_no_split() {
    let mut bench = Bench::active(config());
    bench.after(second().saturating_sub(NANOSECOND));
    assert_eq!(kinds(&bench.hears(LOWER, 50)), ["send"]);
    bench.after(NANOSECOND);
    assert_eq!(kinds(&bench.hears(LOWER, 50))[0], "split");
}

#[test]
fn a_third_is_told_of_when_the_second_is_gone() {
    let mut bench = established();
    let third = IpAddr::from([192, 0, 2, 9]);
    bench.hears(LOWER, 50);
    assert_eq!(kinds(&bench.hears(third, 50)), ["send"]);
    let outputs = bench.hears(LOWER, PRIORITY_RELEASE);
    assert_eq!(kinds(&outputs), ["healed", "announce", "send"]);
    assert_eq!(kinds(&bench.hears(third, 50))[0], "split");
}

#[test]
fn a_split_ends_with_the_role() {
    for losing in [Input::InterfaceDown, Input::Stop] {
        let mut bench = established();
        bench.hears(LOWER, 50);
        let mut outputs = bench.does(losing);
        outputs.extend(bench.hears(HIGHER, 200));
        let kinds = kinds(&outputs);
        let healed = kinds.iter().position(|kind| *kind == "healed");
        assert_eq!(kinds[healed.unwrap() + 1..][..2], ["remove", "role"]);
    }
    let mut bench = established();
    bench.hears(LOWER, 50);
    let outputs = bench.hears(HIGHER, 100);
    assert_eq!(kinds(&outputs), ["healed", "remove", "role"]);
}

#[test]
fn the_loser_of_a_split_tells_of_it_where_nobody_preempts() {
    let mut bench = established();
    let outputs = bench.hears(HIGHER, 200);
    assert_eq!(kinds(&outputs), ["split", "healed", "remove", "role"]);
    let preempting = Config {
        preemption: Preemption::Immediate,
        ..config()
    };
    let mut bench = Bench::active(preempting);
    bench.after(second());
    assert_eq!(kinds(&bench.hears(HIGHER, 200)), ["remove", "role"]);
    // Whoever takes an offered role is no split.
    let mut bench = established();
    bench.does(Input::Drain(true));
    assert_eq!(kinds(&bench.hears(HIGHER, 200)), ["remove", "role"]);
}
