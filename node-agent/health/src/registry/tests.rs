use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

type Key = u16;

fn tcp(port: u16) -> Arc<Probe> {
    Arc::new(Probe::Tcp {
        to: SocketAddr::from(([192, 168, 1, 130], port)),
        send: Vec::new(),
        expect: Vec::new(),
    })
}

fn check(name: &str, probe: Arc<Probe>) -> Check {
    Check {
        name: name.into(),
        probe,
        policy: Policy::default(),
    }
}

fn target(key: Key, checks: Vec<Check>) -> Target<Key> {
    Target {
        key,
        checks,
        mode: Mode::All,
        initially_up: false,
    }
}

/// Runs everything that is due until `until` with one result for each probe.
fn run_until(
    registry: &mut Registry<Key>,
    until: Instant,
    mut result: impl FnMut(&Probe) -> Result<(), Failure>,
) -> Vec<(Instant, Arc<Probe>)> {
    let mut runs = Vec::new();
    while let Some(due) = registry.next_due().filter(|due| *due <= until) {
        let job = registry.start_due(due).expect("something is due");
        registry.finish(job.id, result(&job.probe), due);
        runs.push((due, job.probe));
    }
    runs
}

fn is_up(registry: &Registry<Key>, key: Key) -> bool {
    registry.health(&key).expect("the target is known").up
}

fn reason(registry: &Registry<Key>, key: Key) -> Option<&str> {
    registry.health(&key)?.reason.as_deref()
}

#[test]
fn equal_probes_run_once_and_serve_all_their_targets() {
    let start = Instant::now();
    let mut registry = Registry::default();
    let targets = (0..100)
        .map(|key| target(key, vec![check("tcp", tcp(80))]))
        .collect();
    let changes = registry.replace(targets, start);
    assert_eq!(changes.updated.len(), 100);
    assert_eq!(registry.probe_count(), 1);
    let job = registry
        .start_due(start + Duration::from_secs(1))
        .expect("due");
    assert_eq!(registry.next_due(), None, "one probe for all");
    let updated = registry.finish(job.id, Ok(()), start + Duration::from_secs(1));
    assert_eq!(updated, (0..100).collect::<Vec<_>>());
    assert!((0..100).all(|key| is_up(&registry, key)));
}

#[test]
fn another_policy_is_another_probe() {
    let mut registry = Registry::default();
    let mut patient = check("tcp", tcp(80));
    patient.policy.fall = 9;
    registry.replace(
        vec![
            target(1, vec![check("tcp", tcp(80))]),
            target(2, vec![patient]),
        ],
        Instant::now(),
    );
    assert_eq!(registry.probe_count(), 2);
}

#[test]
fn reasons_name_check_address_and_failure() {
    let start = Instant::now();
    let mut registry = Registry::default();
    let ping = Arc::new(Probe::Ping {
        to: IpAddr::V4(Ipv4Addr::new(192, 168, 1, 130)),
    });
    registry.replace(
        vec![target(1, vec![check("icmp", ping), check("web", tcp(80))])],
        start,
    );
    assert_eq!(
        reason(&registry, 1),
        Some("icmp 192.168.1.130: not checked yet; web 192.168.1.130:80: not checked yet"),
    );
    run_until(
        &mut registry,
        start + Duration::from_secs(1),
        |probe| match probe {
            Probe::Ping { .. } => Ok(()),
            Probe::Tcp { .. } => Err(Failure::Refused),
        },
    );
    assert_eq!(
        reason(&registry, 1),
        Some("web 192.168.1.130:80: connection refused")
    );
    run_until(&mut registry, start + Duration::from_secs(3), |_| Ok(()));
    assert_eq!(reason(&registry, 1), None);
}

#[test]
fn an_adopted_server_stays_as_it_was_found() {
    let start = Instant::now();
    let mut registry = Registry::default();
    let mut adopted = target(1, vec![check("tcp", tcp(80)), check("admin", tcp(8080))]);
    adopted.initially_up = true;
    let fresh = target(2, vec![check("tcp", tcp(81))]);
    registry.replace(vec![adopted, fresh], start);
    assert!(is_up(&registry, 1));
    assert!(!is_up(&registry, 2));
    // Less than the three failures and the two pauses between them.
    let soon = start + Policy::default().retry_interval;
    let refused_at_first = run_until(&mut registry, soon, |_| Err(Failure::Refused));
    assert!(!refused_at_first.is_empty());
    assert!(
        is_up(&registry, 1),
        "two failures in a row are not yet three"
    );
}

#[test]
fn one_adopted_target_speaks_for_a_shared_new_probe() {
    for adopted_key in [1, 2] {
        let mut registry = Registry::default();
        let targets = [1, 2].map(|key| Target {
            initially_up: key == adopted_key,
            ..target(key, vec![check("tcp", tcp(80))])
        });
        registry.replace(targets.into(), Instant::now());
        assert!(is_up(&registry, 1) && is_up(&registry, 2));
    }
}

#[test]
fn a_new_target_takes_over_what_is_known_of_its_probe() {
    let start = Instant::now();
    let mut registry = Registry::default();
    let known = target(1, vec![check("tcp", tcp(80))]);
    registry.replace(vec![known.clone()], start);
    run_until(&mut registry, start + Duration::from_secs(1), |_| Ok(()));
    registry.replace(vec![known, target(2, vec![check("web", tcp(80))])], start);
    let health = registry.health(&2).expect("known");
    assert!(health.up && health.checked);
}

#[test]
fn an_added_check_begins_in_the_targets_state() {
    let start = Instant::now();
    let mut registry = Registry::default();
    registry.replace(vec![target(1, vec![check("tcp", tcp(80))])], start);
    run_until(&mut registry, start + Duration::from_secs(1), |_| Ok(()));
    let more = target(1, vec![check("tcp", tcp(80)), check("admin", tcp(8080))]);
    let changes = registry.replace(vec![more], start);
    assert_eq!(changes.updated, [1], "it is no longer fully checked");
    let health = registry.health(&1).expect("known");
    assert!(health.up && !health.checked);
}

#[test]
fn a_probe_that_nobody_wants_is_cancelled_and_its_result_ignored() {
    let start = Instant::now();
    let mut registry = Registry::default();
    let kept = target(2, vec![check("tcp", tcp(81))]);
    registry.replace(
        vec![target(1, vec![check("tcp", tcp(80))]), kept.clone()],
        start,
    );
    let later = start + Duration::from_secs(1);
    let jobs = [registry.start_due(later), registry.start_due(later)].map(|job| job.expect("due"));
    let changes = registry.replace(vec![kept], later);
    let gone = jobs
        .iter()
        .find(|job| job.probe == tcp(80))
        .expect("it was due");
    assert_eq!(changes.removed, [1]);
    assert_eq!(changes.cancelled, [gone.id]);
    assert!(registry.finish(gone.id, Ok(()), later).is_empty());
    assert_eq!(registry.health(&1), None);
    assert_eq!(registry.probe_count(), 1);
}

#[test]
fn the_same_set_again_changes_nothing() {
    let start = Instant::now();
    let mut registry = Registry::default();
    let targets: Vec<_> = (0..5)
        .map(|key| target(key, vec![check("tcp", tcp(key))]))
        .collect();
    registry.replace(targets.clone(), start);
    let due = registry.next_due();
    let changes = registry.replace(targets, start + Duration::from_millis(1));
    assert_eq!(
        changes,
        Changes {
            updated: vec![],
            removed: vec![],
            cancelled: vec![]
        }
    );
    assert_eq!(registry.next_due(), due);
}

#[test]
fn a_target_without_checks_is_up() {
    let mut registry = Registry::default();
    registry.replace(vec![target(1, vec![])], Instant::now());
    assert!(is_up(&registry, 1));
    assert_eq!(registry.next_due(), None);
}

#[derive(Clone, Debug)]
enum Step {
    /// Sets these targets, each with a `fall` of its own.
    Replace(Vec<(Key, u32)>),
    /// Starts what is due after so many milliseconds.
    Start(u64),
    /// Ends one of the probes under way.
    Finish(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => proptest::collection::vec((0_u16..8, 1_u32..4), 0..8).prop_map(Step::Replace),
        4 => (0_u64..3000).prop_map(Step::Start),
        4 => (0_usize..8, any::<bool>()).prop_map(|(which, good)| Step::Finish(which, good)),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// Whatever happens: the targets are those that were asked for last, none waits for ever, and
    /// no new configuration turns a server that was there before.
    #[test]
    fn no_target_is_lost_and_no_configuration_flaps_one(steps in steps()) {
        let mut now = Instant::now();
        let mut registry: Registry<Key> = Registry::default();
        let mut wanted: BTreeMap<Key, u32> = BTreeMap::new();
        let mut running: Vec<Job> = Vec::new();
        for step in steps {
            match step {
                Step::Replace(targets) => {
                    let before: BTreeMap<Key, bool> =
                        wanted.keys().map(|key| (*key, is_up(&registry, *key))).collect();
                    wanted = targets.into_iter().collect();
                    let targets = wanted
                        .iter()
                        .map(|(key, fall)| {
                            let mut check = check("tcp", tcp(*key));
                            check.policy.fall = *fall;
                            target(*key, vec![check])
                        })
                        .collect();
                    let changes = registry.replace(targets, now);
                    running.retain(|job| !changes.cancelled.contains(&job.id));
                    for (key, up) in before {
                        if wanted.contains_key(&key) {
                            prop_assert_eq!(is_up(&registry, key), up);
                        } else {
                            prop_assert!(changes.removed.contains(&key));
                            prop_assert_eq!(registry.health(&key), None);
                        }
                    }
                }
                Step::Start(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    running.extend(registry.start_due(now));
                }
                Step::Finish(which, good) if which < running.len() => {
                    let job = running.swap_remove(which);
                    let result = if good { Ok(()) } else { Err(Failure::Refused) };
                    registry.finish(job.id, result, now);
                }
                Step::Finish(..) => {}
            }
            prop_assert_eq!(registry.targets.len(), wanted.len());
            prop_assert_eq!(registry.runs.len(), wanted.len());
            prop_assert_eq!(registry.ids.len(), wanted.len());
            prop_assert_eq!(registry.due.len() + running.len(), wanted.len());
            let probes: BTreeSet<_> = running.iter().map(|job| job.probe.clone()).collect();
            prop_assert_eq!(probes.len(), running.len(), "two probes of one target under way");
        }
    }
}
