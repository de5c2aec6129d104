//! The lab itself: what its methods promise, on two nodes and a client.
//!
//! Needs root, the built tools and the program `lab`:
//! `cargo build -p lvs-lab && cargo test -p lvs-lab --test machines -- --ignored`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use lvs_lab::serve::Protocol;
use lvs_lab::topology::Machine;
use lvs_lab::traffic::{Connections, Failure, Load, Traffic};
use lvs_lab::{Direction, Lab, Options, Topology};

const NAME: &str = "machines";

/// Removes the lab also when the test fails.
struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        Lab::remove(NAME).unwrap();
    }
}

fn topology() -> Topology {
    let machine = |name: &str, last| Machine {
        name: name.into(),
        address: Ipv4Addr::new(10, 9, 8, last),
    };
    Topology {
        network: Ipv4Addr::new(10, 9, 8, 0),
        prefix_length: 24,
        nodes: vec![machine("one", 11), machine("two", 12)],
        clients: vec![machine("client", 20)],
    }
}

fn target(machine: Ipv4Addr, port: u16) -> SocketAddr {
    (machine, port).into()
}

#[test]
#[ignore = "boots a lab: needs root and the built tools"]
fn machines_do_what_is_done_to_them() {
    Lab::remove(NAME).unwrap();
    let _cleanup = Cleanup;
    let lab = Lab::up(Options {
        name: NAME.into(),
        topology: topology(),
        images: Vec::new(),
    })
    .unwrap();
    let (one, two) = (lab.node("one").unwrap(), lab.node("two").unwrap());
    let client = lab.client("client").unwrap();

    assert_eq!(
        one.exec(&["sh", "-c", "echo out; echo err >&2; exit 3"])
            .unwrap()
            .code,
        3
    );
    assert_eq!(one.exec(&["sh", "-c", "kill -9 $$"]).unwrap().code, 137);
    assert_eq!(one.exec(&["no-such-program"]).unwrap().code, 127);
    assert!(
        one.exec(&["ipvsadm", "-Ln"])
            .unwrap()
            .ok()
            .unwrap()
            .contains("IP Virtual Server")
    );

    // What a node writes outside its disk and its memory must not be possible.
    assert!(
        !one.exec(&["touch", "/usr/written-by-a-node"])
            .unwrap()
            .success()
    );
    one.exec(&["sh", "-c", "echo node >/etc/written-by-a-node"])
        .unwrap()
        .ok()
        .unwrap();
    assert!(!Path::new("/etc/written-by-a-node").exists());

    traffic_tells_the_fate_of_each_request(&lab);
    connections_notice_a_reset(&lab);

    // A cut cable: no data, but commands.
    let server = two.serve(Protocol::Http, 80).unwrap();
    two.cut_cable().unwrap();
    let requests = Traffic::http(target(two.address(), 80))
        .requests(5)
        .load(Load::Rate(10.0));
    let report = client.traffic(requests.clone()).unwrap().wait().unwrap();
    assert_eq!(report.failed(), 5, "{report}");
    assert!(two.exec(&["true"]).unwrap().success());
    two.restore_cable().unwrap();
    let report = client.traffic(requests.clone()).unwrap().wait().unwrap();
    assert_eq!(report.per_server().get("two"), Some(&5), "{report}");

    // One-way loss in either direction, then none.
    for direction in [Direction::Ingress, Direction::Egress] {
        two.netem(direction, "loss 100%").unwrap();
        let report = client.traffic(requests.clone()).unwrap().wait().unwrap();
        assert_eq!(report.failed(), 5, "{direction:?}: {report}");
        two.clear_netem().unwrap();
    }
    let capture = two.capture("tcp port 80").unwrap();
    let report = client.traffic(requests).unwrap().wait().unwrap();
    assert_eq!(report.failed(), 0, "{report}");
    let packets = capture.stop().unwrap();
    let synchronise = packets
        .iter()
        .filter(|packet| packet.text.contains("Flags [S],"))
        .count();
    assert_eq!(synchronise, 5, "{packets:?}");
    drop(server);

    // Loss of power: the disk stays, memory goes, and the cluster knows the new boot.
    two.exec(&[
        "sh",
        "-c",
        "echo kept >/var/lib/file && sync -f /var/lib && echo lost >/run/file",
    ])
    .unwrap()
    .ok()
    .unwrap();
    let goes_on = two.spawn(&["sleep", "1000"]).unwrap();
    let off = Instant::now();
    two.power_off().unwrap();
    assert!(
        off.elapsed() < Duration::from_secs(2),
        "power went after {:?}",
        off.elapsed()
    );
    assert!(!two.is_powered());
    assert!(
        goes_on
            .wait_for_output("never printed", Duration::from_secs(10))
            .is_err()
    );
    assert!(!goes_on.is_running(), "a command outlived its node");
    two.power_on().unwrap();
    two.wait_ready().unwrap();
    assert_eq!(
        two.exec(&["cat", "/var/lib/file"]).unwrap().ok().unwrap(),
        "kept\n"
    );
    assert!(!two.exec(&["cat", "/run/file"]).unwrap().success());

    // The API server goes and comes; the kubeconfig stays good.
    lab.stop_apiserver().unwrap();
    assert!(
        !lab.kubectl(&["get", "nodes", "--request-timeout=3s"])
            .unwrap()
            .success()
    );
    lab.start_apiserver().unwrap();
    assert!(
        lab.kubectl(&["get", "nodes"])
            .unwrap()
            .ok()
            .unwrap()
            .contains("two")
    );

    // Another process finds the same lab; after its end there is nothing left of it.
    assert!(Lab::attach(NAME).unwrap().node("one").unwrap().is_powered());
    lab.down().unwrap();
    assert!(Lab::attach(NAME).is_err());
    let names: Vec<_> = std::fs::read_dir("/run/netns")
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().starts_with("machines-")),
        "{names:?}"
    );
}

fn traffic_tells_the_fate_of_each_request(lab: &Lab) {
    let (client, one) = (lab.client("client").unwrap(), lab.node("one").unwrap());
    for (protocol, port) in [
        (Protocol::Http, 80),
        (Protocol::Echo, 7),
        (Protocol::Smtp, 25),
        (Protocol::Ftp, 21),
    ] {
        let server = one.serve(protocol, port).unwrap();
        for address in [one.address().into(), "fd00::a09:80b".parse().unwrap()] {
            let traffic = Traffic::http(SocketAddr::new(address, port))
                .protocol(protocol)
                .requests(20);
            let report = client.traffic(traffic).unwrap().wait().unwrap();
            assert_eq!(
                report.per_server().get("one"),
                Some(&20),
                "{protocol} {address}: {report}"
            );
        }
        server.stop().unwrap();
    }
    let refused = client
        .traffic(Traffic::http(target(one.address(), 81)).requests(3))
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(
        refused.failures().get(&Failure::Refused),
        Some(&3),
        "{refused}"
    );

    let server = one.serve(Protocol::Http, 80).unwrap();
    let load = Load::Concurrency(20);
    let running = client
        .traffic(Traffic::http(target(one.address(), 80)).load(load))
        .unwrap();
    running
        .wait_until(Duration::from_secs(10), |report| {
            report.requests.len() > 500
        })
        .unwrap();
    let killed = Instant::now();
    server.kill().unwrap();
    running
        .wait_until(Duration::from_secs(10), |report| report.failed() > 100)
        .unwrap();
    let report = running.stop().unwrap();
    let after = report.since(killed + Duration::from_millis(500));
    assert_eq!(after.failed(), after.requests.len(), "{after}");
}

fn connections_notice_a_reset(lab: &Lab) {
    let (client, one) = (lab.client("client").unwrap(), lab.node("one").unwrap());
    let server = one.serve(Protocol::Echo, 7).unwrap();
    let open = client
        .connections(Connections::new(target(one.address(), 7), 10))
        .unwrap();
    assert!(
        open.so_far()
            .iter()
            .all(|c| c.server.as_deref() == Some("one") && c.broken.is_none())
    );
    server.kill().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while open
        .so_far()
        .iter()
        .any(|connection| connection.broken.is_none())
    {
        assert!(Instant::now() < deadline, "{:?}", open.so_far());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(open.close().unwrap().len(), 10);
}
