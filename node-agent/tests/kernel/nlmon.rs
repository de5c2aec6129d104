//! Notices of others' changes of the IPVS table.

use std::os::fd::AsFd as _;
use std::time::Duration;

use lvs_ipvs::{Client, Command, Name, Protocol, Service, ServiceKey};
use lvs_node_agent::kernel::nlmon::{DEVICE, Nlmon};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{fresh, run};

/// Every kind of change, each possible after those before it.
const CHANGES: [&str; 12] = [
    "-A -t 192.0.2.1:80 -s rr",
    "-E -t 192.0.2.1:80 -s wlc -p 50",
    "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1",
    "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1 -x 10",
    "-d -t 192.0.2.1:80 -r 10.0.0.1:80",
    "-D -t 192.0.2.1:80",
    "-A -f 1 -s rr",
    "-a -f 1 -r 10.0.0.1 -g",
    "--set 100 10 10",
    "--start-daemon backup --mcast-interface lo --syncid 7",
    "--stop-daemon backup",
    "-C",
];

/// Waits for notices, up to a time, and until there are no more for a moment.
fn is_noticed(nlmon: &mut Nlmon, patience: Duration) -> bool {
    let mut timeout = patience;
    let mut has_noticed = false;
    loop {
        let mut ready = [PollFd::new(nlmon.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(timeout).expect("a short time");
        if poll(&mut ready, limit).expect("poll") == 0 {
            return has_noticed;
        }
        has_noticed |= nlmon.has_noticed().expect("a device");
        timeout = Duration::from_millis(50);
    }
}

fn service(port: u16) -> Service {
    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 9].into(),
        port,
    };
    Service::new(key, Name::new("rr").expect("a name"))
}

#[test]
#[ignore = "needs a kernel with IPVS and nlmon"]
fn changes_of_others_are_noticed_and_nothing_else() {
    fresh();
    let mut client = Client::connect().expect("IPVS in the kernel");
    let mut nlmon = Nlmon::open(client.origin()).expect("a device of kind nlmon");
    let quiet = Duration::from_millis(300);
    assert!(!is_noticed(&mut nlmon, quiet), "nothing has happened");
    for change in CHANGES {
        let words: Vec<&str> = change.split(' ').collect();
        run("ipvsadm", &words);
        assert!(is_noticed(&mut nlmon, Duration::from_secs(5)), "{change}");
    }
    // What we do ourselves, and what others read.
    let commands: Vec<Command> = (1..200)
        .map(|port| Command::AddService(service(port)))
        .collect();
    for result in client.apply(&commands) {
        result.expect("applied");
    }
    for reading in ["-Ln", "-Sn", "-Ln --timeout", "-Ln --daemon", "-Z"] {
        let words: Vec<&str> = reading.split(' ').collect();
        run("ipvsadm", &words);
    }
    client.snapshot().expect("a table");
    run("ip", &["link", "set", "lo", "mtu", "1400"]);
    assert!(!is_noticed(&mut nlmon, quiet), "nothing was changed");
    // A refused change is noticed when it is asked for: it may have been half of something.
    let refused = std::process::Command::new("ipvsadm")
        .args(["-D", "-t", "192.0.2.1:81"])
        .output();
    assert!(!refused.expect("ipvsadm").status.success());
    assert!(is_noticed(&mut nlmon, Duration::from_secs(5)));
}

#[test]
#[ignore = "needs a kernel with IPVS and nlmon"]
fn a_device_that_is_there_is_taken_over_and_one_that_goes_is_told() {
    fresh();
    let client = Client::connect().expect("IPVS in the kernel");
    run("ip", &["link", "add", DEVICE, "type", "nlmon"]);
    let mut nlmon = Nlmon::open(client.origin()).expect("a device of kind nlmon");
    run("ipvsadm", &["-A", "-t", "192.0.2.1:80"]);
    assert!(is_noticed(&mut nlmon, Duration::from_secs(5)));
    drop(nlmon);
    let mut nlmon = Nlmon::open(client.origin()).expect("a device of kind nlmon");
    run("ip", &["link", "set", DEVICE, "down"]);
    nlmon.has_noticed().expect_err("it is down");
    let mut nlmon = Nlmon::open(client.origin()).expect("a device of kind nlmon");
    run("ipvsadm", &["-D", "-t", "192.0.2.1:80"]);
    assert!(is_noticed(&mut nlmon, Duration::from_secs(5)));
    Nlmon::remove_device().expect("removed");
    nlmon.has_noticed().expect_err("it is gone");
    Nlmon::remove_device().expect("nothing to remove");
}

#[test]
#[ignore = "needs a kernel with IPVS and nlmon"]
fn a_device_of_another_kind_is_refused() {
    fresh();
    let client = Client::connect().expect("IPVS in the kernel");
    run("ip", &["link", "add", DEVICE, "type", "dummy"]);
    let error = Nlmon::open(client.origin()).expect_err("it is a dummy");
    assert!(error.to_string().contains(DEVICE), "{error}");
}
