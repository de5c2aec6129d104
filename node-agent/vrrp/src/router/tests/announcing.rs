//! When virtual addresses are announced.

use super::*;

fn announcements(log: &[(Duration, Output)]) -> Vec<(u64, usize)> {
    let round = |(at, output): &(Duration, Output)| match output {
        Output::Announce(addresses) => {
            Some((u64::try_from(at.as_millis()).unwrap(), addresses.len()))
        }
        _ => None,
    };
    log.iter().filter_map(round).collect()
}

fn announcing(gratuitous: GratuitousAnnouncements) -> Bench {
    let two = vec![VIP, OTHER_VIP];
    Bench::backup(Config {
        gratuitous,
        virtual_addresses: two,
        ..config()
    })
}

#[test]
fn a_burst_is_repeated_once_and_then_refreshed() {
    let mut bench = announcing(GratuitousAnnouncements::default());
    let outputs = bench.until_deadline();
    assert_eq!(kinds(&outputs)[2..7], ["announce"; 5]);
    let log = bench.during(Duration::from_secs(150));
    let expected: Vec<_> = [5_000; 5].into_iter().chain([60_000, 120_000]).collect();
    assert_eq!(
        announcements(&log),
        expected.iter().map(|at| (*at, 2)).collect::<Vec<_>>()
    );
}

#[test]
fn rounds_are_spaced_by_the_interval() {
    let mut bench = announcing(GratuitousAnnouncements {
        count: 3,
        interval: Duration::from_millis(20),
        repeat_delay: Duration::from_secs(1),
        refresh: Duration::ZERO,
    });
    let outputs = bench.until_deadline();
    assert_eq!(kinds(&outputs), ["send", "add", "announce", "role"]);
    let log = bench.during(Duration::from_mins(10));
    assert_eq!(
        announcements(&log),
        [(20, 2), (40, 2), (1_040, 2), (1_060, 2), (1_080, 2)]
    );
}

#[test]
fn an_added_address_is_announced_alone_and_a_removed_one_no_more() {
    let mut bench = announcing(GratuitousAnnouncements {
        count: 1,
        interval: Duration::ZERO,
        repeat_delay: Duration::from_secs(5),
        refresh: Duration::from_secs(30),
    });
    bench.until_deadline();
    let third = IpAddr::from([192, 0, 2, 12]);
    let outputs = bench.reconfigures(|config| config.virtual_addresses = vec![OTHER_VIP, third]);
    assert!(outputs.contains(&Output::Announce(vec![third])));
    let log = bench.during(Duration::from_secs(30));
    let announced: Vec<_> = log
        .into_iter()
        .filter(|(_, output)| matches!(output, Output::Announce(_)))
        .collect();
    let at = Duration::from_secs;
    let expected = [
        (at(5), Output::Announce(vec![OTHER_VIP])),
        (at(5), Output::Announce(vec![third])),
        (at(30), Output::Announce(vec![OTHER_VIP, third])),
    ];
    assert_eq!(announced, expected);
}

#[test]
fn another_active_router_is_answered_by_a_burst_at_most_once_a_second() {
    let mut bench = Bench::active(config());
    let mut bursts = 0;
    for _ in 0..40 {
        bench.now = bench.now + Duration::from_millis(100);
        let outputs = bench.hears(LOWER, 50);
        bursts += kinds(&outputs)
            .iter()
            .filter(|kind| **kind == "announce")
            .count();
    }
    assert_eq!(bursts, 4);
}

#[test]
fn a_changed_refresh_counts_from_the_change() {
    let mut bench = Bench::active(config());
    bench.reconfigures(|config| config.gratuitous.refresh = Duration::from_secs(7));
    assert_eq!(
        announcements(&bench.during(Duration::from_secs(15))),
        [(7_000, 1), (14_000, 1)]
    );
}
