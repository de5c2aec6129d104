//! The client against a kernel, beside `ipvsadm`.
//!
//! Each test has a network namespace of its own, so it needs root, a kernel with all IPVS modules and `ipvsadm`. The
//! lab's light lane has them: `lab light -- TEST-BINARY --ignored`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod cases;
mod counters;
mod daemons;
mod equivalence;
mod objects;
mod random;
mod raw;
mod refusals;
mod sent;
mod settings;
mod table;

use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use lvs_ipvs::{Client, Command, Destination, Refusal};
use nix::sched::{CloneFlags, unshare};

/// Moves the test's thread, and what it starts, to a new network namespace and connects to its IPVS.
fn fresh() -> Client {
    unshare(CloneFlags::CLONE_NEWNET).expect("root is needed: run in the light lane");
    run("ip", &["link", "set", "lo", "up"]);
    Client::connect().expect("IPVS in the kernel")
}

/// Standard output of a program that must succeed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Process::new(program)
        .args(arguments)
        .output()
        .expect("an installed program");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Feeds lines of `ipvsadm-save` to `ipvsadm`.
fn restore(lines: &str) {
    let mut child = Process::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .expect("ipvsadm");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(lines.as_bytes())
        .expect("a reader");
    assert!(child.wait().expect("an end").success());
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// What `ipvsadm-save -n` says, sorted. That is a script around this command.
fn saved() -> Vec<String> {
    sorted(
        run("ipvsadm", &["-S", "-n"])
            .lines()
            .map(str::to_owned)
            .collect(),
    )
}

/// What the client reads, in the form of `ipvsadm-save`, sorted.
fn read(client: &mut Client) -> Vec<String> {
    let table = client.snapshot().expect("a table");
    let lines = table.iter().flat_map(|entry| {
        let key = entry.service.key;
        let destinations = entry.destinations.iter().map(move |observed| {
            // ipvsadm-save leaves thresholds out.
            let shown = Destination {
                upper_threshold: 0,
                lower_threshold: 0,
                ..observed.destination
            };
            format!("-a {key} {shown}")
        });
        std::iter::once(format!("-A {}", entry.service)).chain(destinations)
    });
    sorted(lines.collect())
}

fn apply(client: &mut Client, commands: &[Command]) {
    for (result, command) in client.apply(commands).into_iter().zip(commands) {
        result.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

/// The kernel's refusal of one command.
fn refusal(client: &mut Client, command: Command) -> Refusal {
    let error = client.apply(&[command]).remove(0).expect_err("a refusal");
    error
        .refusal()
        .unwrap_or_else(|| panic!("a refusal, not {error}"))
        .clone()
}
