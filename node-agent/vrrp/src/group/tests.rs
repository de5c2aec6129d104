//! What the routers of a group are told, from where they stand.

use std::time::Duration;

use super::*;

fn at(milliseconds: u64) -> Monotonic {
    Monotonic::from_epoch(Duration::from_millis(milliseconds))
}

/// A Backup at an interval of 1 s and priority 100 that heard the Active Router last at
/// `heard_at`, in milliseconds.
fn follows(heard_at: u64) -> Waiting {
    Waiting {
        expires_at: at(heard_at + 3609),
        near_at: at(heard_at + 2609),
        overdue_at: at(heard_at + 1250),
        is_released: false,
        was_outranked: false,
        has_followed: true,
    }
}

/// The same when the Active Router released its role at `released_at`.
fn released(heard_at: u64, released_at: u64) -> Waiting {
    Waiting {
        expires_at: at(released_at + 609),
        is_released: true,
        ..follows(heard_at)
    }
}

fn outranked(heard_at: u64) -> Waiting {
    Waiting {
        was_outranked: true,
        ..follows(heard_at)
    }
}

fn fresh(started_at: u64) -> Waiting {
    Waiting {
        has_followed: false,
        ..follows(started_at)
    }
}

fn together(stand: Stand) -> Standing {
    Standing {
        order: GroupOrder::Together,
        stand,
    }
}

fn backup(waiting: Waiting) -> Standing {
    together(Stand::Backup(waiting))
}

const ACTIVE: Standing = Standing {
    order: GroupOrder::Together,
    stand: Stand::Active,
};
const RELEASED: Standing = Standing {
    order: GroupOrder::Release,
    stand: Stand::Active,
};
const UNABLE: Standing = Standing {
    order: GroupOrder::Together,
    stand: Stand::Unable,
};

#[test]
fn one_that_is_alone_decides_for_itself() {
    let alone = Standing {
        order: GroupOrder::Release,
        ..backup(follows(0))
    };
    let independent = Input::Group(GroupOrder::Independent);
    assert_eq!(settle(&[alone], at(9000)), [(0, independent)]);
    assert_eq!(next_deadline(&[alone]), None);
    assert_eq!(settle(&[], at(0)), []);
}

#[test]
fn a_group_that_is_as_it_should_be_is_told_nothing() {
    for standings in [
        [ACTIVE, ACTIVE],
        [backup(follows(0)), backup(follows(900))],
        [UNABLE, UNABLE],
        [UNABLE, backup(follows(0))],
    ] {
        assert_eq!(settle(&standings, at(2000)), []);
    }
}

#[test]
fn new_routers_are_bound_to_their_group() {
    let new = Standing {
        order: GroupOrder::Independent,
        ..backup(fresh(0))
    };
    let together = Input::Group(GroupOrder::Together);
    let inputs = settle(&[new, new], at(0));
    assert_eq!(inputs, [(0, together.clone()), (1, together)]);
}

#[test]
fn all_take_over_with_the_first_whose_timer_runs_out() {
    // The Active Router died; the phases of its advertisements differ by almost an interval.
    let standings = [backup(follows(990)), backup(follows(0))];
    assert_eq!(next_deadline(&standings), Some(at(3609)));
    assert_eq!(settle(&standings, at(3608)), []);
    let all = [(0, Input::TakeOver), (1, Input::TakeOver)];
    assert_eq!(settle(&standings, at(3609)), all);
}

#[test]
fn an_active_router_that_is_heard_on_one_segment_is_not_contested() {
    // Cut off on the first segment, two advertisements were missed on the second.
    let standings = [backup(follows(0)), backup(follows(10_000))];
    assert_eq!(settle(&standings, at(12_608)), []);
    assert_eq!(next_deadline(&standings), Some(at(12_609)));
}

#[test]
fn a_release_on_one_segment_counts_for_those_that_are_silent() {
    let standings = [backup(released(0, 200)), backup(follows(100))];
    assert_eq!(next_deadline(&standings), Some(at(1350)));
    // The Active Router goes on there: it released a part of what was one group for us only.
    let standings = [backup(released(0, 200)), backup(follows(1000))];
    assert_eq!(next_deadline(&standings), Some(at(2250)));
    let standings = [backup(released(0, 200)), backup(released(100, 210))];
    assert_eq!(next_deadline(&standings), Some(at(809)));
}

#[test]
fn who_was_outranked_in_vain_waits_for_every_timer() {
    let elsewhere = backup(fresh(0));
    let contested = backup(outranked(10_000));
    assert_eq!(next_deadline(&[elsewhere, contested]), Some(at(13_609)));
    // All have heard the winner: it was no mistake.
    let winner_heard = backup(follows(9000));
    assert_eq!(next_deadline(&[winner_heard, contested]), Some(at(12_609)));
}

#[test]
fn when_one_cannot_run_the_others_give_up() {
    let release = Input::Group(GroupOrder::Release);
    assert_eq!(settle(&[ACTIVE, UNABLE], at(0)), [(0, release.clone())]);
    assert_eq!(settle(&[RELEASED, UNABLE], at(0)), []);
    assert_eq!(next_deadline(&[RELEASED, UNABLE]), None);
    assert_eq!(
        settle(&[backup(outranked(0)), ACTIVE], at(0)),
        [(1, release)]
    );
}

#[test]
fn none_takes_over_before_all_can_run() {
    let standings = [backup(follows(0)), UNABLE];
    assert_eq!(next_deadline(&standings), None);
    assert_eq!(settle(&standings, at(60_000)), []);
}

#[test]
fn one_that_comes_to_an_active_group_is_active_at_once() {
    let inputs = settle(&[ACTIVE, backup(fresh(0))], at(0));
    assert_eq!(inputs, [(1, Input::TakeOver)]);
    // Not beside somebody who is Active there.
    let inputs = settle(&[ACTIVE, backup(follows(0))], at(0));
    assert_eq!(inputs, [(0, Input::Group(GroupOrder::Release))]);
}

#[test]
fn a_role_that_nobody_takes_is_kept_once_all_can_run_again() {
    let standings = [RELEASED, backup(fresh(0))];
    assert_eq!(settle(&standings, at(3608)), []);
    assert_eq!(
        settle(&standings, at(3609)),
        [
            (0, Input::Group(GroupOrder::Together)),
            (1, Input::TakeOver)
        ]
    );
}
