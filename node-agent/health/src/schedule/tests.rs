use std::iter;

use proptest::prelude::*;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn refused() -> Result<(), Failure> {
    Err(Failure::Refused)
}

fn out_of_descriptors() -> Result<(), Failure> {
    Err(Failure::NotRun("too many open files".into()))
}

/// Starts the next run when it is due and ends it `takes` later. Returns when it began and ended,
/// and whether it changed anything.
fn run(
    schedule: &mut Schedule,
    result: Result<(), Failure>,
    takes: Duration,
) -> (Instant, Instant, bool) {
    let start = schedule.next_due().expect("no run is under way");
    schedule.start(start);
    assert_eq!(schedule.next_due(), None, "a second run beside the first");
    let end = start + takes;
    let changed = schedule.finish(result, end);
    (start, end, changed)
}

#[test]
fn a_silent_server_is_down_within_six_seconds_by_default() {
    let policy = Policy::default();
    assert!(policy.detection_bound() < Duration::from_secs(6));
    let mut schedule = Schedule::new(policy, false, 7, Instant::now());
    for _ in 0..5 {
        run(&mut schedule, Ok(()), MILLISECOND);
    }
    // Worst case: it dies when it has just answered.
    let (died, _, _) = run(&mut schedule, Ok(()), Duration::ZERO);
    let silent = || Err(Failure::NoAnswer(policy.timeout));
    let mut noticed = died;
    while schedule.is_up() {
        (_, noticed, _) = run(&mut schedule, silent(), policy.timeout);
    }
    assert_eq!(noticed - died, policy.detection_bound());
    assert_eq!(schedule.since(), noticed);
}

#[test]
fn retries_stop_when_the_server_is_down() {
    let policy = Policy::default();
    let mut schedule = Schedule::new(policy, true, 0, Instant::now());
    run(&mut schedule, Ok(()), MILLISECOND);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let (start, end, _) = run(&mut schedule, refused(), MILLISECOND);
        let next = schedule.next_due().expect("no run is under way");
        pauses.push((next - start, next - end));
    }
    for (_, since_end) in &pauses[..2] {
        assert_eq!(*since_end, policy.retry_interval);
    }
    for (since_start, _) in &pauses[2..] {
        assert_eq!(*since_start, policy.interval);
    }
}

#[test]
fn trouble_of_this_host_changes_no_state() {
    for up in [true, false] {
        let mut schedule = Schedule::new(Policy::default(), up, 0, Instant::now());
        for turn in 0..10 {
            let (_, _, changed) = run(&mut schedule, out_of_descriptors(), MILLISECOND);
            assert_eq!(changed, turn == 0, "shown once");
            assert_eq!(schedule.is_up(), up);
            assert!(schedule.failure().is_some_and(Failure::is_local));
        }
        run(&mut schedule, Ok(()), MILLISECOND);
        assert!(schedule.is_up());
        assert_eq!(schedule.failure(), None);
    }
}

#[test]
fn a_failure_of_the_same_kind_is_no_news() {
    let policy = Policy {
        fall: 1,
        ..Policy::default()
    };
    let mut schedule = Schedule::new(policy, true, 0, Instant::now());
    let unreachable = |text: &str| Err(Failure::Unreachable(text.into()));
    for (result, news) in [
        (unreachable("no route to host"), true),
        (Err(Failure::NoAnswer(policy.timeout)), false),
        (refused(), true),
        (refused(), false),
        (Ok(()), true),
        (Ok(()), false),
    ] {
        let (_, _, changed) = run(&mut schedule, result.clone(), MILLISECOND);
        assert_eq!(changed, news, "{result:?}");
    }
}

#[test]
fn a_result_without_a_run_is_ignored() {
    let now = Instant::now();
    let mut schedule = Schedule::new(Policy::default(), true, 0, now);
    let due = schedule.next_due();
    assert!(!schedule.finish(refused(), now));
    assert_eq!(schedule.next_due(), due);
}

#[test]
fn a_successor_counts_on() {
    let now = Instant::now();
    let mut schedule = Schedule::new(Policy::default(), true, 0, now);
    run(&mut schedule, refused(), MILLISECOND);
    run(&mut schedule, refused(), MILLISECOND);
    let mut successor = schedule.succeeded_by(Policy::default(), 1, now);
    assert!(successor.is_up());
    run(&mut successor, refused(), MILLISECOND);
    assert!(!successor.is_up(), "the third failure in a row");
}

prop_compose! {
    fn policies()(
        interval in 0_u64..100_000,
        timeout in 0_u64..100_000,
        rise in 0_u32..6,
        fall in 0_u32..6,
        retry in 0_u64..100_000,
    ) -> Policy {
        Policy {
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(timeout),
            rise,
            fall,
            retry_interval: Duration::from_millis(retry),
        }
    }
}

fn results() -> impl Strategy<Value = Result<(), Failure>> {
    prop_oneof![
        4 => Just(Ok(())),
        4 => Just(refused()),
        1 => Just(out_of_descriptors()),
    ]
}

proptest! {
    #[test]
    fn it_turns_after_exactly_so_many_results_in_a_row(
        policy in policies(),
        initially_up: bool,
        results in proptest::collection::vec(results(), 0..60),
    ) {
        let Policy { rise, fall, .. } = policy.clamped();
        let mut schedule = Schedule::new(policy, initially_up, 1, Instant::now());
        let (mut successes, mut failures, mut up) = (0, 0, initially_up);
        for result in results {
            match &result {
                Ok(()) => (successes, failures) = (successes + 1, 0),
                Err(failure) if failure.is_local() => {}
                Err(_) => (successes, failures) = (0, failures + 1),
            }
            if !up && successes >= rise || up && failures >= fall {
                up = !up;
            }
            run(&mut schedule, result, MILLISECOND);
            prop_assert_eq!(schedule.is_up(), up);
            prop_assert!(!up || schedule.failure().is_none_or(Failure::is_local));
        }
    }

    #[test]
    fn the_first_runs_are_spread_and_never_late(policy in policies(), seed: u64, takes in 0_u64..9) {
        let interval = policy.clamped().interval;
        let takes = Duration::from_millis(takes);
        let now = Instant::now();
        let mut schedule = Schedule::new(policy, true, seed, now);
        let (first, _, _) = run(&mut schedule, Ok(()), takes);
        prop_assert!(first - now < interval.min(FIRST_RUN_SPREAD));
        let (second, _, _) = run(&mut schedule, Ok(()), takes);
        prop_assert!(second - first >= interval / 2 && second - first < interval);
        let starts: Vec<Instant> = iter::repeat_with(|| run(&mut schedule, Ok(()), takes).0)
            .take(3)
            .collect();
        prop_assert_eq!(starts, [second + interval, second + 2 * interval, second + 3 * interval]);
    }

    #[test]
    fn a_silent_server_is_down_within_the_bound(policy in policies(), seed: u64, alive in 1_u32..5) {
        let Policy { timeout, .. } = policy.clamped();
        let mut schedule = Schedule::new(policy, true, seed, Instant::now());
        let mut died = Instant::now();
        for _ in 0..alive {
            (died, _, _) = run(&mut schedule, Ok(()), Duration::ZERO);
        }
        while schedule.is_up() {
            run(&mut schedule, Err(Failure::NoAnswer(timeout)), timeout);
        }
        prop_assert!(schedule.since() - died <= policy.detection_bound());
    }
}
