use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};

use super::*;

#[test]
fn the_name_is_what_the_outer_parentheses_hold() {
    for (stat, name) in [
        ("1 (systemd) S 0 1 1 0 -1", Some("systemd")),
        ("7 (Web Content) R 1 7", Some("Web Content")),
        ("7 (a) b (c)) D 1 7", Some("a) b (c)")),
        ("7 () S 1", Some("")),
        ("7 (haproxy) Z 1 7", None),
        ("7 (haproxy) X 1 7", None),
        ("7 (haproxy)", None),
        ("7 (haproxy) ", None),
        ("7 )haproxy( S", None),
        ("", None),
    ] {
        assert_eq!(living(stat.as_bytes()), name, "{stat:?}");
    }
    assert_eq!(living(b"7 (\xff\xfe) S 1 7"), None);
}

/// A process of this name, which waits until it is killed.
struct Sleeper(Child);

impl Sleeper {
    fn start(directory: &Path, name: &str) -> Self {
        let program = directory.join(name);
        if !program.exists() {
            symlink("/bin/sleep", &program).expect("linked");
        }
        Self(Command::new(program).arg("600").spawn().expect("started"))
    }

    fn kill(&mut self) {
        self.0.kill().expect("killed");
    }

    fn wait(&mut self) {
        self.0.wait().expect("ended");
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have been killed, and waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_process_is_there_from_its_start_to_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    // Of this run alone.
    let name = format!("lvs-{}", std::process::id());
    let name = name.as_str();
    let all = names(&[name, "lvs-none"]);
    let mut processes = Processes::new("/proc".into());
    assert_eq!(processes.look(&all).expect("readable"), names(&[]));
    assert!(!processes.has_found() && !processes.has_lost());

    let mut child = Sleeper::start(directory.path(), name);
    assert_eq!(processes.look(&all).expect("readable"), names(&[name]));
    assert!(processes.has_found() && !processes.has_lost());
    let mut second = Sleeper::start(directory.path(), name);
    child.kill();
    // Not waited for, it is a process still, and none that works.
    while !processes.has_lost() {
        std::thread::yield_now();
    }
    assert_eq!(
        processes.look(&all).expect("readable"),
        names(&[name]),
        "the second took its place"
    );
    second.kill();
    second.wait();
    child.wait();
    assert!(processes.has_lost());
    assert_eq!(processes.look(&all).expect("readable"), names(&[]));
    assert!(!processes.has_found());
}

#[test]
fn what_is_no_procfs_is_told_with_what_enables_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut processes = Processes::new(directory.path().join("none"));
    let error = processes.look(&names(&["haproxy"])).expect_err("not there");
    let text = error.to_string();
    assert!(text.contains("agent.processes.enabled"), "{text}");
    // Nobody asks, nobody looks.
    assert_eq!(processes.look(&names(&[])).expect("no look"), names(&[]));
}
