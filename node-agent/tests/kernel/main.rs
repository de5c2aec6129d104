//! The shells against a kernel.
//!
//! Each test has a network namespace of its own, so it needs root, a kernel with all IPVS modules, `ip` and
//! `ipvsadm`. The lab's light lane has them: `lab light -- TEST-BINARY --ignored`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod nlmon;
mod programming;
mod statistics;
mod tunnels;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use lvs_ipvs::Client;
use lvs_node_agent::facts::{InterfaceAddress, NodeFacts};
use lvs_node_agent::kernel::network::{Network, Notices};
use lvs_node_agent::kernel::proc_ip_vs::{Fingerprint, ProcIpVs};
use lvs_node_agent::op::LoopbackVip;
use lvs_node_agent::vrrp::addresses::{Change, Vip};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::sched::{CloneFlags, unshare};

/// A table with every kind of line that `/proc/net/ip_vs` can have.
const TABLE: &str = "\
-A -t 192.0.2.1:80 -s rr
-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0
-A -t 192.0.2.1:443 -s wlc -p 50
-a -t 192.0.2.1:443 -r 10.0.0.1:8443 -m -w 65535
-A -t 192.0.2.1:0 -s wlc -p 300 -M 255.255.255.0
-a -t 192.0.2.1:0 -r 10.0.0.3:0 -i -w 7
-A -u 192.0.2.1:53 -s rr -o
-a -u 192.0.2.1:53 -r 10.0.0.1:53 -m -w 1
-A -t [2001:db8::1]:80 -s sh -b sh-port
-a -t [2001:db8::1]:80 -r [2001:db8::10]:80 -g -w 3
-A -t [2001:db8::1]:25 -s wrr -p 60 -M 64
-a -t [2001:db8::1]:25 -r [2001:db8::11]:25 -m -w 2
-A -f 7 -s rr
-a -f 7 -r 10.0.0.1:0 -g -w 1
";

fn fresh() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root is needed: run in the light lane");
    run("ip", &["link", "set", "lo", "up"]);
}

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

fn restore(lines: &str) {
    let mut child = Process::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .expect("ipvsadm");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(lines.as_bytes()).expect("a reader");
    drop(pipe);
    assert!(child.wait().expect("an end").success());
}

#[test]
#[ignore = "needs a kernel with IPVS"]
fn the_kernel_shows_the_table_that_it_dumps() {
    fresh();
    let mut client = Client::connect().expect("IPVS in the kernel");
    let mut file = ProcIpVs::open(Path::new("/proc/thread-self/net/ip_vs")).expect("a file");
    let mut before = file.fingerprint().expect("read");
    assert_eq!(
        before,
        Fingerprint::of_table(&client.snapshot().expect("a table"))
    );
    for line in TABLE.lines() {
        restore(line);
        let shown = file.fingerprint().expect("read");
        assert_ne!(shown, before, "{line}");
        let table = client.snapshot().expect("a table");
        assert_eq!(shown, Fingerprint::of_table(&table), "{line}");
        before = shown;
    }
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

fn address<'a>(
    facts: &'a NodeFacts,
    interface: &str,
    address: &str,
) -> Option<&'a InterfaceAddress> {
    let interface = facts.named(interface).expect("an interface");
    interface
        .addresses
        .iter()
        .find(|found| found.address.to_string() == address)
}

fn vip(facts: &NodeFacts, address: &str, prefix_length: u8) -> LoopbackVip {
    LoopbackVip {
        address: address.parse().expect("an address"),
        prefix_length,
        interface_index: facts.named("lo").expect("lo").index,
        interface_name: "lo".into(),
    }
}

#[test]
#[ignore = "needs a network namespace of its own"]
fn a_real_servers_vips_are_marked_as_ours_and_stay_until_they_are_deleted() {
    fresh();
    run("ip", &["addr", "add", "192.0.2.77/32", "dev", "lo"]);
    in_runtime(async {
        let network = Network::open(Notices::LinksAndAddresses).expect("a socket");
        let before = network.facts().await.expect("facts");
        let vips = [
            vip(&before, "192.0.2.10", 32),
            vip(&before, "2001:db8::10", 128),
        ];
        for vip in &vips {
            network.add(vip).await.expect("added");
            network
                .add(vip)
                .await
                .expect("adding again changes nothing");
        }
        let facts = network.facts().await.expect("facts");
        for text in ["192.0.2.10", "2001:db8::10"] {
            let found = address(&facts, "lo", text).expect("the VIP");
            assert!(found.is_ours() && found.is_permanent, "{found:?}");
        }
        let foreign = address(&facts, "lo", "192.0.2.77").expect("the other's");
        assert!(!foreign.is_ours(), "{foreign:?}");
        // The node never speaks from the IPv6 VIP.
        let shown = run("ip", &["-6", "addr", "show", "dev", "lo"]);
        let vip = shown
            .lines()
            .find(|line| line.contains("2001:db8::10/128"))
            .expect("the VIP");
        assert!(vip.contains("deprecated") && vip.contains("nodad"), "{vip}");
        for vip in &vips {
            network.delete(vip).await.expect("deleted");
            network.delete(vip).await.expect_err("it is gone");
        }
        assert_eq!(network.facts().await.expect("facts"), before);
    });
}

/// What the VRRP thread does every second.
fn renew(vip: Vip) {
    let mut message = Vec::new();
    Change::Refresh {
        vip,
        lifetime_seconds: 5,
    }
    .encode(1, &mut message);
    let socket = Socket::new(NETLINK_ROUTE).expect("a socket");
    let sent = socket
        .send_to(&message, &SocketAddr::new(0, 0), 0)
        .expect("sent");
    assert_eq!(sent, message.len());
    let shown = run("ip", &["addr", "show", "dev", "eth0"]);
    assert!(shown.contains("192.0.2.10/32"), "{shown}");
}

#[test]
#[ignore = "needs a network namespace of its own"]
fn notices_tell_of_others_addresses_and_not_of_renewed_vips() {
    fresh();
    run("ip", &["link", "add", "eth0", "type", "dummy"]);
    run("ip", &["link", "set", "eth0", "up"]);
    in_runtime(async {
        let quiet = Duration::from_millis(300);
        let long = Duration::from_secs(5);
        let mut network = Network::open(Notices::LinksAndAddresses).expect("a socket");
        // What the interface does by itself.
        while tokio::time::timeout(quiet, network.changed()).await.is_ok() {}
        let index = network
            .facts()
            .await
            .expect("facts")
            .named("eth0")
            .expect("eth0")
            .index;
        renew(Vip {
            interface_index: index,
            address: [192, 0, 2, 10].into(),
            prefix_length: 32,
        });
        tokio::time::timeout(quiet, network.changed())
            .await
            .expect_err("a VIP of ours is no news");
        for change in [
            ["addr", "add", "192.0.2.11/32", "dev", "eth0"],
            ["addr", "del", "192.0.2.11/32", "dev", "eth0"],
            ["addr", "del", "192.0.2.10/32", "dev", "eth0"],
            ["link", "set", "dev", "eth0", "down"],
        ] {
            run("ip", &change);
            let told = tokio::time::timeout(long, network.changed()).await;
            assert_eq!(told, Ok(true), "{change:?}");
            while tokio::time::timeout(quiet, network.changed()).await.is_ok() {}
        }
    });
}
