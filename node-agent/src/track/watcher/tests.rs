use serde_json::json;

use super::*;
use crate::fixture;
use crate::report::ReadyServices;

fn bundle(tracks: serde_json::Value) -> Arc<PlanBundle> {
    let mut bundle = fixture::director(&json!([]), &json!([]));
    let director = bundle.plan.director.as_mut().expect("a director");
    director.instances[0].track = serde_json::from_value(tracks).expect("things to track");
    Arc::new(bundle)
}

fn processes() -> Processes {
    Processes::new("/proc".into())
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_reaches_the_verdict_and_a_plan_without_it_clears_that() {
    let state = tempfile::tempdir().expect("a directory");
    let tracks = json!([
        {"name": "maintenance", "file": {"name": "down"}, "rise": 1, "fall": 2},
        {"name": "inside", "interface": "no-such-0", "weight": -10, "rise": 1, "fall": 1},
        {"name": "served", "virtualServices": {"minimumReadyPercent": 60}, "weight": 7,
         "rise": 1, "fall": 1},
    ]);
    let (plan, plans) = watch::channel(Some(bundle(tracks)));
    let (report, reports) = watch::channel(Report::unobserved());
    let (sender, mut verdicts) = mpsc::unbounded_channel();
    let tell = move |verdicts: BTreeMap<String, Verdict>| {
        sender.send(verdicts).expect("the test waits");
    };
    let hooks = Hooks::new(state.path().to_owned(), None);
    tokio::spawn(run(
        plans,
        reports,
        state.path().to_owned(),
        hooks,
        processes(),
        tell,
    ));
    let mut until = async |weight: i32, is_fault: bool| {
        loop {
            let told = verdicts.recv().await.expect("the watcher runs");
            let adjustment = told["default"].adjustment;
            if (adjustment.weight, adjustment.is_fault) == (weight, is_fault) {
                return told["default"].failed.clone();
            }
        }
    };
    assert_eq!(until(-3, false).await, ["inside"]);
    let directory = state.path().join(DIRECTORY);
    std::fs::create_dir(&directory).expect("made");
    std::fs::write(directory.join("down"), "").expect("made");
    assert_eq!(until(-3, true).await, ["maintenance", "inside"]);
    let ready = ReadyServices { ready: 1, all: 2 };
    report.send_modify(|report| {
        report.ready_services.insert("default".into(), ready);
    });
    until(-10, true).await;
    std::fs::remove_file(directory.join("down")).expect("removed");
    assert_eq!(until(-10, false).await, ["inside", "served"]);
    plan.send_replace(Some(bundle(json!([]))));
    assert!(until(0, false).await.is_empty());
}

#[tokio::test]
async fn a_hook_that_fails_is_told_with_what_it_said_until_it_succeeds() {
    let directory = crate::hook::tests::directory();
    let well = directory.path().join("well");
    let script = format!(
        "[ \"$1\" = track ] && [ -e {} ] || {{ echo disk full >&2; exit 1; }}",
        well.display()
    );
    crate::hook::tests::install(directory.path(), "disk", &script);
    let tracks = json!([
        {"name": "disk", "hook": {"name": "disk", "intervalSeconds": 1}, "rise": 1, "fall": 2},
        {"name": "none", "hook": {"name": "absent", "intervalSeconds": 1}, "weight": -10,
         "rise": 1, "fall": 1},
    ]);
    let (plan, plans) = watch::channel(Some(bundle(tracks)));
    let (_report, reports) = watch::channel(Report::unobserved());
    let (sender, mut verdicts) = mpsc::unbounded_channel();
    let tell = move |verdicts: BTreeMap<String, Verdict>| {
        sender.send(verdicts).expect("the test waits");
    };
    let hooks = Hooks::new(directory.path().to_owned(), None);
    let state_dir = directory.path().to_owned();
    tokio::spawn(run(plans, reports, state_dir, hooks, processes(), tell));
    let mut until = async |is_fault: bool, failures: usize| {
        loop {
            let told = verdicts.recv().await.expect("the watcher runs");
            let verdict = &told["default"];
            if (verdict.adjustment.is_fault, verdict.failed.len()) == (is_fault, failures) {
                return verdict.clone();
            }
        }
    };
    let verdict = until(true, 2).await;
    assert_eq!(
        verdict.failed[0],
        "disk (hook disk: exit status: 1: disk full)"
    );
    assert!(
        verdict.failed[1].starts_with("none (hook absent: "),
        "{:?}",
        verdict.failed
    );
    assert_eq!(verdict.adjustment.weight, -10);
    std::fs::write(&well, "").expect("written");
    assert_eq!(until(false, 1).await.adjustment.weight, -10);
    plan.send_replace(Some(bundle(json!([]))));
    assert_eq!(until(false, 0).await.adjustment.weight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_process_is_seen_between_two_looks_and_its_return_with_the_next() {
    let proc = tempfile::tempdir().expect("a directory");
    let entry = proc.path().join("4711");
    let run_as = |name: &str| {
        std::fs::create_dir_all(&entry).expect("made");
        std::fs::write(entry.join("stat"), format!("4711 ({name}) S 1 4711")).expect("written");
    };
    run_as("haproxy");
    let tracks = json!([{"name": "proxy", "process": {"name": "haproxy"}, "rise": 2, "fall": 1}]);
    let (plan, plans) = watch::channel(Some(bundle(tracks)));
    let (_report, reports) = watch::channel(Report::unobserved());
    let (sender, mut verdicts) = mpsc::unbounded_channel();
    let tell = move |verdicts: BTreeMap<String, Verdict>| {
        sender.send(verdicts).expect("the test waits");
    };
    let state_dir = proc.path().to_owned();
    let hooks = Hooks::new(state_dir.clone(), None);
    let processes = Processes::new(state_dir.clone());
    tokio::spawn(run(plans, reports, state_dir, hooks, processes, tell));
    let mut next = async || {
        let told = verdicts.recv().await.expect("the watcher runs");
        (told["default"].clone(), Instant::now())
    };
    let (verdict, began) = next().await;
    assert!(!verdict.adjustment.is_fault && verdict.failed.is_empty());

    // Between the looks at everything.
    sleep_until(began + PERIOD.mul_f32(3.1)).await;
    let ended = Instant::now();
    std::fs::remove_dir_all(&entry).expect("removed");
    let (verdict, at) = next().await;
    assert!(verdict.adjustment.is_fault, "{verdict:?}");
    assert_eq!(verdict.failed, ["proxy (process haproxy does not run)"]);
    assert!(at - ended <= GLANCE * 2, "{:?}", at - ended);

    run_as("haproxy");
    let (verdict, at) = next().await;
    assert!(!verdict.adjustment.is_fault, "{verdict:?}");
    assert!(at - ended > PERIOD, "two looks: {:?}", at - ended);

    // Its id is another's now.
    run_as("nginx");
    assert!(next().await.0.adjustment.is_fault);
    plan.send_replace(Some(bundle(json!([]))));
    assert!(!next().await.0.adjustment.is_fault);
}
