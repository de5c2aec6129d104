use std::fs;

use tempfile::TempDir;

use super::*;

fn at(milliseconds: u64) -> Monotonic {
    Monotonic::from_epoch(Duration::from_millis(milliseconds))
}

/// A device that is a file, and the kernel's files about it.
struct Fake {
    directory: TempDir,
    plan: WatchdogPlan,
}

impl Fake {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let plan = WatchdogPlan {
            device: directory.path().join("watchdog"),
            settings: directory.path().to_owned(),
            timeout: Duration::from_secs(10),
        };
        let fake = Self { directory, plan };
        fake.set("timeout", "6\n");
        fake.set("nowayout", "0\n");
        fake.set("state", "inactive\n");
        fake.set("watchdog", "");
        fake
    }

    fn set(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).expect("written");
    }

    /// What was written since it was opened last.
    fn written(&self) -> String {
        fs::read_to_string(&self.plan.device).expect("readable")
    }
}

#[test]
fn it_is_open_while_wanted_and_fed_at_a_third_of_its_own_time_out() {
    let fake = Fake::new();
    let plan = Some(&fake.plan);
    let mut watchdog = Watchdog::default();
    assert!(!watchdog.serve(plan, false, at(0)));
    assert_eq!(
        (watchdog.is_running(), watchdog.next_deadline()),
        (false, None)
    );
    watchdog.serve(plan, true, at(1000));
    assert!(watchdog.is_running());
    assert_eq!(watchdog.next_deadline(), Some(at(3000)));
    watchdog.serve(plan, true, at(2999));
    assert_eq!(fake.written(), "");
    watchdog.serve(plan, true, at(3100));
    assert_eq!(fake.written(), "\0");
    assert_eq!(watchdog.next_deadline(), Some(at(5100)));
    watchdog.serve(plan, false, at(4000));
    assert_eq!(fake.written(), "\0V");
    assert_eq!(
        (watchdog.is_running(), watchdog.next_deadline()),
        (false, None)
    );
    assert_eq!(watchdog.problem(), None);
}

#[test]
fn it_is_stopped_when_the_plan_has_none_and_opened_anew_when_it_has_another() {
    let fake = Fake::new();
    let mut watchdog = Watchdog::default();
    watchdog.serve(Some(&fake.plan), true, at(0));
    watchdog.serve(None, true, at(1));
    assert_eq!(
        (fake.written().as_str(), watchdog.is_running()),
        ("V", false)
    );
    assert_eq!(watchdog.next_deadline(), None);

    watchdog.serve(Some(&fake.plan), true, at(2));
    let other = Fake::new();
    watchdog.serve(Some(&other.plan), true, at(3));
    assert_eq!(fake.written(), "V");
    assert!(watchdog.is_running());
    watchdog.serve(Some(&other.plan), true, at(2003));
    assert_eq!(other.written(), "\0");
}

#[test]
fn one_that_an_earlier_run_left_running_is_taken_over_or_stopped() {
    let fake = Fake::new();
    fake.set("state", "active\n");
    let mut watchdog = Watchdog::default();
    watchdog.serve(Some(&fake.plan), false, at(0));
    assert_eq!(
        (fake.written().as_str(), watchdog.is_running()),
        ("V", false)
    );

    let fake = Fake::new();
    fake.set("state", "active\n");
    let mut watchdog = Watchdog::default();
    watchdog.serve(Some(&fake.plan), true, at(0));
    watchdog.serve(Some(&fake.plan), true, at(2000));
    assert_eq!(fake.written(), "\0");
}

#[test]
fn one_that_is_of_no_use_is_told_before_it_is_needed_and_tried_again() {
    let problem = |set: &dyn Fn(&Fake)| {
        let fake = Fake::new();
        set(&fake);
        let mut told = Vec::new();
        for is_wanted in [false, true] {
            let mut watchdog = Watchdog::default();
            assert!(watchdog.serve(Some(&fake.plan), is_wanted, at(0)));
            assert!(!watchdog.is_running());
            assert_eq!(watchdog.next_deadline(), Some(at(5000)));
            told.push(watchdog.problem().expect("a problem").to_owned());
            // It is put right.
            fs::write(&fake.plan.device, "").expect("written");
            fake.set("timeout", "10");
            fake.set("nowayout", "0");
            assert!(!watchdog.serve(Some(&fake.plan), is_wanted, at(4999)));
            assert!(watchdog.serve(Some(&fake.plan), is_wanted, at(5000)));
            assert_eq!(
                (watchdog.problem(), watchdog.is_running()),
                (None, is_wanted)
            );
            set(&fake);
        }
        let directory = fake.directory.path().display().to_string();
        assert_eq!(told[0], told[1]);
        told[0].replace(&directory, "DIR")
    };
    assert_eq!(
        problem(&|fake| fake.set("timeout", "60\n")),
        "watchdog DIR/watchdog: its time-out is 60 s and must be 10 s at most: load its driver with a \
         shorter one (softdog: soft_margin=10 in /etc/modprobe.d), or raise fencing.watchdog.timeoutSeconds"
    );
    assert!(problem(&|fake| fake.set("nowayout", "1\n")).contains("without nowayout"));
    let absent = |fake: &Fake| {
        fs::remove_file(fake.directory.path().join("timeout")).expect("removed");
    };
    assert!(problem(&absent).contains("DIR/timeout: No such file"));
}

#[test]
fn one_that_cannot_be_opened_is_told() {
    let fake = Fake::new();
    fs::remove_file(&fake.plan.device).expect("removed");
    let mut watchdog = Watchdog::default();
    assert!(watchdog.serve(Some(&fake.plan), true, at(0)));
    let problem = watchdog.problem().expect("a problem");
    assert!(
        problem.contains("cannot open it: No such file"),
        "{problem}"
    );
}
