//! What a command line of `ipvsadm` sends and makes, and what our client sends and makes of the same wish.

use std::process::Command as Process;
use std::{fs, thread};

use lvs_ipvs::{Client, Command, Error, Timeouts};
use nix::sched::{CloneFlags, unshare};

use crate::cases::{cases, command};
use crate::raw::{self, Dump, Raw};
use crate::sent::{Comparison, Monitor};
use crate::{apply, run, saved};

/// What can be seen of a case.
struct Seen {
    made: Made,
    /// The requests that each command line led to.
    sent: Vec<Vec<Raw>>,
}

/// What can be seen of a network namespace's IPVS after a case.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    /// Which of the commands succeeded.
    results: Vec<bool>,
    /// What `ipvsadm -Sn` prints.
    saved: Vec<String>,
    /// Listings of what that leaves out.
    listings: Vec<String>,
    dump: Dump,
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn each_command_line_sends_and_makes_what_our_client_does() {
    let cases = cases();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let theirs = in_a_new_namespace(|| see_all(&cases, |_, line| by_ipvsadm(line)));
    let ours = in_a_new_namespace(|| see_all(&cases, by_us));
    let (mut differences, mut comparison) = (Vec::new(), Comparison::default());
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
        if ours.made != theirs.made {
            let (ours, theirs) = (&ours.made, &theirs.made);
            differences.push(format!("{case:?}\nours:   {ours:?}\ntheirs: {theirs:?}"));
        }
        for ((line, ours), theirs) in case.iter().zip(&ours.sent).zip(&theirs.sent) {
            comparison.take(line, ours, theirs);
        }
    }
    println!("{} cases, {} differ", cases.len(), differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    comparison.conclude();
    // The two sides could agree by doing nothing.
    let made = theirs
        .iter()
        .filter(|seen| seen.made.results.contains(&true));
    assert!(made.count() >= 150);
}

fn in_a_new_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root is needed: run in the light lane");
            work()
        });
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Executes each case in the thread's new network namespace. After each, everything is as it was at first: a new
/// namespace for each would take minutes.
fn see_all(cases: &[Vec<&str>], mut execute: impl FnMut(&mut Client, &str) -> bool) -> Vec<Seen> {
    run("ip", &["link", "set", "lo", "up"]);
    let mut client = Client::connect().expect("IPVS in the kernel");
    let timeouts = client.timeouts().expect("timeouts");
    let fresh = raw::dump(client.origin());
    let monitor = Monitor::start();
    cases
        .iter()
        .map(|case| {
            let seen = see(case, &mut client, &monitor, &mut execute);
            clear(&mut client, timeouts);
            assert_eq!(raw::dump(client.origin()), fresh, "after {case:?}");
            seen
        })
        .collect()
}

fn see(
    case: &[&str],
    client: &mut Client,
    monitor: &Monitor,
    execute: &mut impl FnMut(&mut Client, &str) -> bool,
) -> Seen {
    let (mut results, mut sent) = (Vec::new(), Vec::new());
    for line in case {
        if line.starts_with("--stop-daemon") {
            await_sync_threads();
        }
        drop(monitor.requests(client.origin()));
        results.push(execute(client, line));
        sent.push(monitor.requests(client.origin()));
    }
    let mentions = |words: &[&str]| {
        case.iter()
            .any(|line| words.iter().any(|word| line.contains(word)))
    };
    let listings = [
        ("--thresholds", mentions(&[" -x", " -y", "-threshold"])),
        ("--daemon", mentions(&["daemon"])),
        ("--timeout", mentions(&["--set"])),
    ];
    let made = Made {
        results,
        saved: saved(),
        listings: listings
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(listing, _)| run("ipvsadm", &["-Ln", listing]))
            .collect(),
        dump: raw::dump(client.origin()),
    };
    Seen { made, sent }
}

/// Takes back what a case made.
fn clear(client: &mut Client, timeouts: Timeouts) {
    let services = client.services().expect("services");
    let daemons = client.daemons().expect("daemons");
    if !daemons.is_empty() {
        await_sync_threads();
    }
    let commands: Vec<_> = services
        .into_iter()
        .map(|(service, _)| Command::DeleteService(service.key))
        .chain(
            daemons
                .into_iter()
                .map(|daemon| Command::StopDaemon(daemon.role)),
        )
        .chain([Command::SetTimeouts(timeouts)])
        .collect();
    apply(client, &commands);
}

fn by_ipvsadm(line: &str) -> bool {
    Process::new("ipvsadm")
        .args(line.split_whitespace())
        .output()
        .expect("ipvsadm")
        .status
        .success()
}

fn by_us(client: &mut Client, line: &str) -> bool {
    match client.apply(&[command(line)]).remove(0) {
        Ok(()) => true,
        Err(Error::Refused { .. }) => false,
        Err(error) => panic!("{line}: {error}"),
    }
}

/// Waits until the kernel's synchronisation threads have run: neither `ipvsadm` nor we get an answer when one is
/// stopped before. A thread is switched away from once before its own code runs.
fn await_sync_threads() {
    loop {
        let waiting = fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
            .filter(|status| status.starts_with("Name:\tipvs-"))
            .any(|status| {
                status
                    .lines()
                    .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
                    .is_none_or(|count| count.trim().parse::<u32>().expect("a number") < 2)
            });
        if !waiting {
            return;
        }
        thread::yield_now();
    }
}
