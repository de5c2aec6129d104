use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use lvs_vrrp::{
    Authentication, Centiseconds, ChecksumConvention, Config, GratuitousAnnouncements,
    LowerPriorityAdvertisement, Preemption, SimplePassword, Transport, Version,
};

use super::*;

fn router() -> Router {
    let config = Config {
        virtual_router_id: 51,
        version: Version::V2,
        priority: 100,
        own_address: [192, 0, 2, 2].into(),
        advertisement_interval: Centiseconds::new(100),
        down_advertisements: 3,
        preemption: Preemption::Immediate,
        preempt_delay: Duration::ZERO,
        authentication: SimplePassword::new(b"s3cret!!")
            .ok()
            .map(Authentication::Simple),
        transport: Transport::Multicast,
        checksum: ChecksumConvention::Rfc9568,
        virtual_addresses: vec![[192, 0, 2, 10].into()],
        gratuitous: GratuitousAnnouncements::default(),
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    };
    Router::new(config.check().expect("a configuration"))
}

fn at(milliseconds: u64) -> Monotonic {
    Monotonic::from_epoch(Duration::from_millis(milliseconds))
}

/// What the peer says, with the right password or another.
fn heard(password: &[u8]) -> Input {
    Input::Received {
        source: [192, 0, 2, 1].into(),
        advertisement: Advertisement {
            version: Version::V2,
            virtual_router_id: 51,
            priority: 150,
            interval: Centiseconds::new(100),
            addresses: Addresses::V4(vec![Ipv4Addr::new(192, 0, 2, 10)]),
            authentication: SimplePassword::new(password).ok(),
            checksum: ChecksumConvention::Rfc9568,
        },
    }
}

/// A backup that hears its peer each second, and another with a wrong password, until both are gone.
fn flight(seconds: u64) -> (Recorder, Router) {
    let mut router = router();
    let mut recorder = Recorder::new(router.clone());
    recorder.handle(&mut router, Input::Start, at(0));
    for second in 1..=seconds {
        let password: &[u8] = if second % 7 == 0 {
            b"wrong"
        } else {
            b"s3cret!!"
        };
        recorder.handle(&mut router, heard(password), at(second * 1000));
        recorder.handle(&mut router, Input::Tick, at(second * 1000 + 1));
    }
    recorder.handle(&mut router, Input::Tick, at(seconds * 1000 + 4000));
    assert_eq!(router.role(), lvs_vrrp::Role::Active);
    (recorder, router)
}

fn taken(recorder: &Recorder) -> Recording {
    recorder.recording("default", Family::Ipv4, "eth0")
}

#[test]
fn what_is_written_replays_to_the_same_and_has_no_secret() {
    let (recorder, _) = flight(30);
    let text = taken(&recorder).to_lines().expect("lines");
    assert_eq!(text.lines().count(), 1 + 62);
    assert!(!text.contains("s3cret"), "{text}");
    let in_numbers = format!("{:?}", b"s3cret!!").replace(' ', "");
    assert!(!text.contains(&in_numbers), "{text}");
    let recordings = Recording::from_lines(&text).expect("a recording");
    assert_eq!(recordings.len(), 1);
    recordings[0].replay().expect("the same outputs");
    let rejected = recordings[0]
        .steps
        .iter()
        .filter(|step| matches!(step.outputs[..], [Output::Rejected(_)]));
    assert_eq!(rejected.count(), 4, "a wrong password stays wrong");
}

#[test]
fn a_router_that_does_something_else_is_named() {
    let (recorder, _) = flight(3);
    let mut recording = taken(&recorder);
    let last = recording.steps.len() - 1;
    let mut step = Step::clone(&recording.steps[last]);
    step.outputs.clear();
    recording.steps[last] = Arc::new(step);
    let divergence = recording.replay().expect_err("it becomes Active");
    assert_eq!((divergence.step, divergence.input.as_str()), (last, "Tick"));
}

#[test]
fn a_long_flight_is_bounded_and_begins_with_a_state() {
    let (mut recorder, mut router) = flight(10_000);
    let recording = taken(&recorder);
    assert!((STEPS / 2..=STEPS).contains(&recording.steps.len()));
    recording.replay().expect("from its first state on");

    recorder.share(TOTAL_BYTES / (64 << 10));
    for second in 0..10_000 {
        recorder.handle(&mut router, Input::Tick, at(20_000_000 + second * 1000));
    }
    let recording = taken(&recorder);
    let bytes: usize = recording.steps.iter().map(|step| step.bytes()).sum();
    assert!(bytes <= 65 << 10, "{bytes}");
    recording.replay().expect("from its first state on");
}

#[test]
fn lines_that_are_no_recording_are_named() {
    let (recorder, _) = flight(1);
    let text = taken(&recorder).to_lines().expect("lines");
    let (head, steps) = text.split_once('\n').expect("lines");
    let error = Recording::from_lines(steps).expect_err("no router");
    assert_eq!(
        error.to_string(),
        "line 1: a step before any recording: the first line must name a router"
    );
    let error = Recording::from_lines(&format!("{head}\nnonsense\n")).expect_err("nonsense");
    assert!(error.to_string().starts_with("line 2: "), "{error}");
}

#[test]
fn the_last_ones_are_kept_on_disk() {
    let state = tempfile::tempdir().expect("a directory");
    let directory = state.path().join(archive::DIRECTORY);
    let (recorder, _) = flight(2);
    let recording = taken(&recorder);
    let paths: Vec<_> = (0..12)
        .map(|_| archive::save(&directory, &recording).expect("written"))
        .collect();
    let left = |paths: &[std::path::PathBuf]| paths.iter().filter(|path| path.exists()).count();
    assert_eq!((left(&paths[..2]), left(&paths[2..])), (0, 10));
    let text = fs::read_to_string(&paths[11]).expect("readable");
    assert!(paths[11].to_string_lossy().ends_with("-default-ipv4.jsonl"));
    let [read] = &Recording::from_lines(&text).expect("a recording")[..] else {
        panic!("{text}");
    };
    read.replay().expect("the same outputs");
}
