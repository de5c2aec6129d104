use k8s_openapi::jiff::SignedDuration;

use super::*;

fn held_by(holder: &str, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(DURATION_SECONDS),
        lease_transitions: Some(transitions),
        renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
        ..LeaseSpec::default()
    }
}

fn observed(record: Option<&LeaseSpec>, at: Instant) -> Observation {
    let mut seen = Observation::default();
    seen.see(record, at);
    seen
}

#[test]
fn a_free_lease_is_taken() {
    let now = Instant::now();
    for record in [None, Some(held_by("", 3))] {
        let seen = observed(record.as_ref(), now);
        let Decision::Write(spec) = decide(&seen, "a", now, Timestamp::UNIX_EPOCH) else {
            panic!("{record:?} is free");
        };
        assert_eq!(spec.holder_identity.as_deref(), Some("a"));
        assert_eq!(spec.lease_transitions, Some(record.map_or(0, |_| 4)));
    }
}

#[test]
fn the_holder_renews_and_stays_since_when_it_is() {
    let now = Instant::now();
    let mut record = held_by("a", 1);
    record.acquire_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
    let seen = observed(Some(&record), now);
    let later = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(2);
    let Decision::Write(spec) = decide(&seen, "a", now, later) else {
        panic!("it holds the Lease")
    };
    assert_eq!(spec.acquire_time, record.acquire_time);
    assert_eq!(spec.renew_time, Some(MicroTime(later)));
    assert_eq!(spec.lease_transitions, Some(1));
}

#[test]
fn another_holder_is_waited_for_as_long_as_its_lease_lasts() {
    let seen_at = Instant::now();
    let seen = observed(Some(&held_by("b", 0)), seen_at);
    let almost = seen_at + DURATION.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(
        decide(&seen, "a", almost, Timestamp::UNIX_EPOCH),
        Decision::Wait
    );
    let expired = decide(&seen, "a", seen_at + DURATION, Timestamp::UNIX_EPOCH);
    assert!(matches!(expired, Decision::Write(_)));
}

#[test]
fn a_renewal_starts_the_time_again() {
    let first = Instant::now();
    let mut seen = observed(Some(&held_by("b", 0)), first);
    let mut renewed = held_by("b", 0);
    renewed.renew_time = Some(MicroTime(
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(9),
    ));
    seen.see(Some(&renewed), first + Duration::from_secs(9));
    let now = first + DURATION;
    assert_eq!(
        decide(&seen, "a", now, Timestamp::UNIX_EPOCH),
        Decision::Wait
    );
    // The same record again is no renewal.
    seen.see(Some(&renewed), now);
    let expired = first + Duration::from_secs(9) + DURATION;
    assert!(matches!(
        decide(&seen, "a", expired, Timestamp::UNIX_EPOCH),
        Decision::Write(_)
    ));
}
