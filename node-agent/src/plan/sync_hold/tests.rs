use super::*;

const RULE: Rule = Rule {
    refresh_period: Duration::from_secs(5),
    timeout: Duration::from_secs(120),
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn states(instance: &str, state: RouterState) -> BTreeMap<&str, RouterState> {
    [(instance, state)].into()
}

/// A director that came up at `start`, with the daemon and one instance in Backup.
fn returned(start: Instant) -> SyncHold {
    let mut hold = SyncHold::default();
    hold.daemon(true, start);
    hold.states(&states("a", RouterState::Backup), start);
    hold
}

/// Looks when one is due, and says after how many seconds the wait was over.
fn wait(hold: &mut SyncHold, rule: Rule, start: Instant, connections: impl Fn(u64) -> u64) -> u64 {
    for second in 0..4000 {
        let now = start + seconds(second);
        if hold.is_look_due(rule, now) {
            hold.look(connections(second), now);
        }
        hold.settle(rule, now);
        if !hold.is_held("a") {
            return second;
        }
    }
    panic!("it waits for ever");
}

#[test]
fn it_waits_for_two_periods_and_until_the_table_grows_no_more() {
    let start = Instant::now();
    let complete = wait(&mut returned(start), RULE, start, |_| 300);
    assert_eq!(complete, 10);
    let empty = wait(&mut returned(start), RULE, start, |_| 0);
    assert_eq!(empty, 10, "nothing to be told of");
    let growing = wait(&mut returned(start), RULE, start, |second| {
        second.min(43) * 100
    });
    assert_eq!(growing, 50, "level between the looks at 45 and 50");
    let slowly = wait(&mut returned(start), RULE, start, |second| {
        10_000 + second * 20
    });
    assert_eq!(slowly, 10, "1 % in a period is no growth");
    let faster = wait(&mut returned(start), RULE, start, |second| {
        10_000 + second * 1_000
    });
    assert!(faster > 10, "{faster}");
}

#[test]
fn the_timeout_ends_every_wait() {
    let start = Instant::now();
    let endless = wait(&mut returned(start), RULE, start, |second| {
        1 << (second / 2).min(60)
    });
    assert_eq!(endless, 120);
    let mut without_daemon = returned(start);
    without_daemon.daemon(false, start);
    assert_eq!(without_daemon.next_look(RULE), None);
    assert_eq!(
        without_daemon.next_timeout(RULE),
        Some(start + seconds(120))
    );
    assert_eq!(wait(&mut without_daemon, RULE, start, |_| 0), 120);
    let untold = Rule {
        refresh_period: Duration::ZERO,
        ..RULE
    };
    assert_eq!(wait(&mut returned(start), untold, start, |_| 300), 120);
}

#[test]
fn the_periods_begin_with_the_daemon() {
    let start = Instant::now();
    let mut hold = returned(start);
    hold.daemon(false, start + seconds(1));
    hold.daemon(true, start + seconds(30));
    assert_eq!(hold.next_look(RULE), Some(start + seconds(30)));
    assert_eq!(wait(&mut hold, RULE, start, |_| 300), 40);
}

#[test]
fn who_is_or_was_active_waits_for_nothing_until_it_is_out_of_service() {
    let start = Instant::now();
    let mut hold = SyncHold::default();
    hold.daemon(true, start);
    assert!(hold.is_held("a"), "it has not been in service");
    hold.states(&states("a", RouterState::Active), start);
    assert!(!hold.is_held("a"));
    hold.states(&states("a", RouterState::Backup), start + seconds(1));
    assert!(!hold.is_held("a"));
    assert_eq!(hold.next_look(RULE), None, "nothing is read for nothing");
    assert_eq!(hold.next_timeout(RULE), None);
    let back = start + seconds(60);
    hold.states(&states("a", RouterState::Fault), start + seconds(50));
    assert!(hold.is_held("a"));
    hold.states(&states("a", RouterState::Backup), back);
    assert_eq!(hold.next_look(RULE), Some(back));
    assert_eq!(wait(&mut hold, RULE, start, |_| 300), 70);
    hold.states(&BTreeMap::new(), start + seconds(80));
    assert!(hold.is_held("a"), "forgotten");
}
