//! The client against a kernel with `nf_tables` and IPVS: `make marks` boots Debian's in an emulator and runs these in it.
//!
//! Each test has a network namespace of its own, or several that stand for hosts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it sees, and fails where it is"
)]

#[path = "kernel/hosts.rs"]
mod hosts;
#[path = "kernel/marks.rs"]
mod marks;
#[path = "kernel/table.rs"]
mod table;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::process::Command;

use lvs_nftables::{Client, Error, MarkRules, Ports};
use nix::sched::{CloneFlags, unshare};

/// Why the tests are not run by `cargo test`.
macro_rules! kernel_test {
    ($(#[$meta:meta])* fn $name:ident() $body:block) => {
        #[test]
        #[ignore = "needs root in a kernel with nf_tables and IPVS: make marks"]
        $(#[$meta])*
        fn $name() $body
    };
}
pub(crate) use kernel_test;

/// Moves the calling thread into a new network namespace.
fn new_namespace() {
    run("modprobe -a nf_tables ip_vs ip_vs_rr veth bridge");
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run("ip link set lo up");
}

/// Runs a command line that has to succeed, and returns what it prints.
fn run(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn rules(list: &[(&str, Ports, u32)]) -> MarkRules {
    let mut rules = MarkRules::default();
    for (address, ports, mark) in list {
        let address: IpAddr = address.parse().unwrap();
        rules
            .insert(address, *ports, NonZeroU32::new(*mark).unwrap())
            .unwrap();
    }
    rules
}

kernel_test! {
    /// First in the alphabet: later nothing would unload the modules.
    fn a_missing_module_is_named() {
        let unsupported = || match Client::connect() {
            Err(error @ Error::Unsupported { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        // The kernel is not to load modules by itself.
        let loader = run("cat /proc/sys/kernel/modprobe");
        run("modprobe -r nf_tables nfnetlink; echo /bin/false >/proc/sys/kernel/modprobe");
        for module in ["nfnetlink", "nf_tables"] {
            let text = unsupported();
            println!("without {module}: {text}");
            assert!(text.contains("modprobe nf_tables"), "{text}");
            run(&format!("modprobe {module}"));
        }
        Client::connect().unwrap();
        run(&format!(
            "echo {} >/proc/sys/kernel/modprobe",
            loader.trim()
        ));
    }
}
