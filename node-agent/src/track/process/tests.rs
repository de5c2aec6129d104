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
    fn start(directory: &Path, name: &str, arguments: &[&str]) -> Self {
        let program = directory.join(name);
        if !program.exists() {
            symlink("/bin/sleep", &program).expect("linked");
        }
        let started = Command::new(program).args(arguments).spawn();
        Self(started.expect("started"))
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

fn look(name: &str, arguments: &[&str], minimum: usize) -> ProcessLook {
    ProcessLook {
        name: name.to_owned(),
        arguments: arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect(),
        minimum,
    }
}

/// Looks, and says how many of each were found.
fn counts(processes: &mut Processes, looks: &[&ProcessLook]) -> Vec<usize> {
    let all = looks.iter().copied().cloned().collect();
    processes.look(&all).expect("readable");
    looks.iter().map(|look| processes.running(look)).collect()
}

/// Waits until the end of a process is seen. Not waited for, it is a process still, and none that works.
fn until_lost(processes: &Processes) {
    while !processes.has_lost() {
        std::thread::yield_now();
    }
}

#[test]
fn a_process_is_there_from_its_start_to_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    // Of this run alone.
    let name = format!("lvs-{}", std::process::id());
    let (one, none) = (look(&name, &[], 1), look("lvs-none", &[], 1));
    let mut processes = Processes::new("/proc".into());
    assert_eq!(counts(&mut processes, &[&one, &none]), [0, 0]);
    assert!(!processes.has_found() && !processes.has_lost());

    let mut child = Sleeper::start(directory.path(), &name, &["600"]);
    assert_eq!(counts(&mut processes, &[&one, &none]), [1, 0]);
    assert!(processes.has_found() && !processes.has_lost());
    let mut second = Sleeper::start(directory.path(), &name, &["600"]);
    child.kill();
    until_lost(&processes);
    // The second takes its place.
    assert_eq!(counts(&mut processes, &[&one, &none]), [1, 0]);
    second.kill();
    second.wait();
    child.wait();
    assert!(processes.has_lost());
    assert_eq!(counts(&mut processes, &[&one, &none]), [0, 0]);
    assert!(!processes.has_found());
}

#[test]
fn as_many_are_counted_as_there_have_to_be_and_those_with_the_arguments() {
    let directory = tempfile::tempdir().expect("a directory");
    let name = format!("lvs2-{}", std::process::id());
    let (two, three) = (look(&name, &[], 2), look(&name, &[], 3));
    let (long, longer) = (look(&name, &["700"], 1), look(&name, &["700", "1"], 2));
    let all = [&two, &three, &long, &longer];
    let mut processes = Processes::new("/proc".into());
    let mut first = Sleeper::start(directory.path(), &name, &["600"]);
    assert_eq!(counts(&mut processes, &all), [1, 1, 0, 0]);
    let _second = Sleeper::start(directory.path(), &name, &["700", "1"]);
    let _third = Sleeper::start(directory.path(), &name, &["700"]);
    assert_eq!(counts(&mut processes, &all), [2, 3, 1, 1]);
    first.kill();
    until_lost(&processes);
    assert_eq!(counts(&mut processes, &all), [2, 2, 1, 1]);
}

#[test]
fn too_few_are_told_with_what_is_looked_for() {
    let one = look("python3", &["/srv/app.py"], 1);
    assert_eq!(one.judge(1), Ok(()));
    let problem = "process python3 /srv/app.py does not run";
    assert_eq!(one.judge(0), Err(problem.into()));
    let three = look("haproxy", &[], 3);
    assert_eq!(three.judge(3), Ok(()));
    assert_eq!(three.judge(2), Err("2 of 3 processes haproxy run".into()));
}

#[test]
fn arguments_are_compared_whole_and_from_the_first() {
    let wanted = |arguments: &[&str]| look("", arguments, 1).arguments;
    let line = b"python3\0-u\0/srv/app.py\0";
    assert!(has_arguments(line, &wanted(&["-u"])));
    assert!(has_arguments(line, &wanted(&["-u", "/srv/app.py"])));
    for other in [
        &["/srv/app.py"][..],
        &["-"],
        &["-u", "/srv/app"],
        &["-u", "/srv/app.py", "x"],
    ] {
        assert!(!has_arguments(line, &wanted(other)), "{other:?}");
    }
    // A thread of the kernel has none, and neither has one that has ended.
    assert!(!has_arguments(b"", &wanted(&["-u"])));
}

#[test]
fn what_is_no_procfs_is_told_with_what_enables_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut processes = Processes::new(directory.path().join("none"));
    let error = processes
        .look(&[look("haproxy", &[], 1)].into())
        .expect_err("not there");
    let text = error.to_string();
    assert!(text.contains("agent.processes.enabled"), "{text}");
    // Nobody asks, nobody looks.
    assert_eq!(counts(&mut processes, &[]), [0; 0]);
}
