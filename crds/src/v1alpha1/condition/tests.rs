use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::*;

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn condition(type_: &str, status: &str, reason: &str, second: i64) -> Condition {
    Condition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.into(),
        message: format!("{reason} at {second}"),
        observed_generation: Some(second),
        last_transition_time: at(second),
    }
}

#[test]
fn a_first_condition_keeps_its_own_time() {
    let new = vec![condition(READY, "True", "AsExpected", 10)];
    assert_eq!(merge(&[], new.clone()), new);
}

#[test]
fn the_same_status_keeps_the_old_time_and_takes_the_new_words() {
    let old = [condition(READY, "False", "Pending", 10)];
    let merged = merge(&old, vec![condition(READY, "False", "KernelError", 20)]);
    assert_eq!(merged[0].last_transition_time, at(10));
    assert_eq!(merged[0].reason, "KernelError");
    assert_eq!(merged[0].message, "KernelError at 20");
    assert_eq!(merged[0].observed_generation, Some(20));
}

#[test]
fn a_flip_takes_the_new_time() {
    let old = [condition(READY, "False", "Pending", 10)];
    let merged = merge(&old, vec![condition(READY, "True", "AsExpected", 20)]);
    assert_eq!(merged[0].last_transition_time, at(20));
}

#[test]
fn a_type_that_is_not_computed_any_more_is_gone() {
    let old = [
        condition(STALLED, "True", "KernelError", 10),
        condition(READY, "False", "Pending", 10),
    ];
    let merged = merge(&old, vec![condition(READY, "False", "Pending", 20)]);
    assert_eq!(merged.len(), 1);
    assert_eq!(merged[0].type_, READY);
}

#[test]
fn merging_twice_changes_nothing() {
    let old = [condition(READY, "True", "AsExpected", 10)];
    let once = merge(
        &old,
        vec![
            condition(READY, "False", "Pending", 20),
            condition(ACCEPTED, "True", "Accepted", 20),
        ],
    );
    let mut again = once.clone();
    for condition in &mut again {
        condition.last_transition_time = at(30);
    }
    assert_eq!(merge(&once, again), once);
}
