//! The lab itself: what its methods promise, on two nodes and a client.
//!
//! Needs root, the built tools and the program `lab`:
//! `cargo build -p lvs-lab && cargo test -p lvs-lab --test machines -- --ignored`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use lvs_lab::serve::Protocol;
use lvs_lab::topology::{Lan, Machine};
use lvs_lab::traffic::{Connections, Failure, Load, Report, Traffic};
use lvs_lab::{Direction, Lab, Options, Topology};

const NAME: &str = "machines";

/// Removes the lab also when the test fails.
struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        // A failed test has its own reason; this is a second attempt after it.
        drop(Lab::remove(NAME));
    }
}

fn topology() -> Topology {
    let machine = |name: &str, last| Machine {
        name: name.into(),
        addresses: vec![Ipv4Addr::new(10, 9, 8, last)],
        gateway: None,
    };
    Topology {
        networks: vec![Lan {
            network: Ipv4Addr::new(10, 9, 8, 0),
            prefix_length: 24,
            mtu: 1500,
        }],
        nodes: vec![machine("one", 11), machine("two", 12)],
        clients: vec![machine("client", 20)],
    }
}

fn target(machine: Ipv4Addr, port: u16) -> SocketAddr {
    (machine, port).into()
}

#[test]
#[ignore = "boots a lab: needs root and the built tools"]
fn machines_do_what_is_done_to_them() -> Result<()> {
    Lab::remove(NAME)?;
    let _cleanup = Cleanup;
    let lab = Lab::up(Options {
        name: NAME.into(),
        topology: topology(),
        images: Vec::new(),
    })?;
    commands_run_and_say_how_they_ended(&lab)?;
    a_node_writes_nowhere_but_to_its_own(&lab)?;
    traffic_tells_the_fate_of_each_request(&lab)?;
    connections_notice_a_reset(&lab)?;
    a_cut_cable_stops_data_but_not_commands(&lab)?;
    netem_works_in_either_direction(&lab)?;
    a_capture_misses_no_packet(&lab)?;
    power_loss_spares_the_disk_alone(&lab)?;
    the_api_server_goes_and_comes(&lab)?;

    // Another process finds the same lab; after its end there is nothing left of it.
    assert!(Lab::attach(NAME)?.node("one")?.is_powered());
    lab.down()?;
    assert!(Lab::attach(NAME).is_err());
    for entry in std::fs::read_dir("/run/netns")? {
        let name = entry?.file_name();
        assert!(
            !name.to_string_lossy().starts_with("machines-"),
            "{name:?} is left"
        );
    }
    Ok(())
}

fn commands_run_and_say_how_they_ended(lab: &Lab) -> Result<()> {
    let one = lab.node("one")?;
    let output = one.exec(&["sh", "-c", "echo out; echo err >&2; exit 3"])?;
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (3, "out\n", "err\n")
    );
    assert_eq!(one.exec(&["sh", "-c", "kill -9 $$"])?.code, 137);
    assert_eq!(one.exec(&["no-such-program"])?.code, 127);
    assert!(
        one.exec(&["ipvsadm", "-Ln"])?
            .ok()?
            .contains("IP Virtual Server")
    );
    Ok(())
}

fn a_node_writes_nowhere_but_to_its_own(lab: &Lab) -> Result<()> {
    let one = lab.node("one")?;
    assert!(!one.exec(&["touch", "/usr/written-by-a-node"])?.success());
    one.exec(&["sh", "-c", "echo node >/etc/written-by-a-node"])?
        .ok()?;
    assert!(!Path::new("/etc/written-by-a-node").exists());
    Ok(())
}

/// Five requests, one every 100 ms.
fn five_requests(lab: &Lab) -> Result<Report> {
    let traffic = Traffic::http(target(lab.node("two")?.address(), 80));
    lab.client("client")?
        .traffic(traffic.requests(5).load(Load::Rate(10.0)))?
        .wait()
}

fn a_cut_cable_stops_data_but_not_commands(lab: &Lab) -> Result<()> {
    let two = lab.node("two")?;
    let _server = two.serve(Protocol::Http, 80)?;
    two.cut_cable()?;
    let report = five_requests(lab)?;
    assert_eq!(report.failed(), 5, "{report}");
    assert!(two.exec(&["true"])?.success());
    two.restore_cable()?;
    let report = five_requests(lab)?;
    assert_eq!(report.per_server().get("two"), Some(&5), "{report}");
    Ok(())
}

fn netem_works_in_either_direction(lab: &Lab) -> Result<()> {
    let two = lab.node("two")?;
    let _server = two.serve(Protocol::Http, 80)?;
    for direction in [Direction::Ingress, Direction::Egress] {
        two.netem(direction, "loss 100%")?;
        let report = five_requests(lab)?;
        assert_eq!(report.failed(), 5, "{direction:?}: {report}");
        two.clear_netem()?;
        let report = five_requests(lab)?;
        assert_eq!(report.failed(), 0, "{direction:?}: {report}");
    }
    Ok(())
}

fn a_capture_misses_no_packet(lab: &Lab) -> Result<()> {
    let two = lab.node("two")?;
    let _server = two.serve(Protocol::Http, 80)?;
    let capture = two.capture("tcp port 80")?;
    let report = five_requests(lab)?;
    assert_eq!(report.failed(), 0, "{report}");
    let packets = capture.stop()?;
    let synchronise = packets
        .iter()
        .filter(|packet| packet.text.contains("Flags [S],"));
    assert_eq!(synchronise.count(), 5, "{packets:?}");
    Ok(())
}

fn power_loss_spares_the_disk_alone(lab: &Lab) -> Result<()> {
    let two = lab.node("two")?;
    let script = "echo kept >/var/lib/file && sync -f /var/lib && echo lost >/run/file";
    two.exec(&["sh", "-c", script])?.ok()?;
    let goes_on = two.spawn(&["sleep", "1000"])?;
    let off = Instant::now();
    two.power_off()?;
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
    two.power_on()?;
    // The cluster knows this boot, not the one before.
    two.wait_ready()?;
    assert_eq!(two.exec(&["cat", "/var/lib/file"])?.ok()?, "kept\n");
    assert!(!two.exec(&["cat", "/run/file"])?.success());
    Ok(())
}

fn the_api_server_goes_and_comes(lab: &Lab) -> Result<()> {
    lab.stop_apiserver()?;
    assert!(
        !lab.kubectl(&["get", "nodes", "--request-timeout=3s"])?
            .success()
    );
    lab.start_apiserver()?;
    assert!(lab.kubectl(&["get", "nodes"])?.ok()?.contains("two"));
    Ok(())
}

fn traffic_tells_the_fate_of_each_request(lab: &Lab) -> Result<()> {
    let (client, one) = (lab.client("client")?, lab.node("one")?);
    for (protocol, port) in [
        (Protocol::Http, 80),
        (Protocol::Udp, 53),
        (Protocol::Echo, 7),
        (Protocol::Smtp, 25),
        (Protocol::Ftp, 21),
    ] {
        let server = one.serve(protocol, port)?;
        for address in [one.address().into(), "fd00::a09:80b".parse()?] {
            let traffic = Traffic::http(SocketAddr::new(address, port))
                .protocol(protocol)
                .requests(20);
            let report = client.traffic(traffic)?.wait()?;
            assert_eq!(
                report.per_server().get("one"),
                Some(&20),
                "{protocol} {address}: {report}"
            );
        }
        server.stop()?;
    }
    let refused = client
        .traffic(Traffic::http(target(one.address(), 81)).requests(3))?
        .wait()?;
    assert_eq!(
        refused.failures().get(&Failure::Refused),
        Some(&3),
        "{refused}"
    );

    let server = one.serve(Protocol::Http, 80)?;
    let load = Load::Concurrency(20);
    let running = client.traffic(Traffic::http(target(one.address(), 80)).load(load))?;
    running.wait_until(Duration::from_secs(10), |report| {
        report.requests.len() > 500
    })?;
    let killed = Instant::now();
    server.kill()?;
    running.wait_until(Duration::from_secs(10), |report| report.failed() > 100)?;
    let report = running.stop()?;
    let after = report.since(killed + Duration::from_millis(500));
    assert_eq!(after.failed(), after.requests.len(), "{after}");
    Ok(())
}

fn connections_notice_a_reset(lab: &Lab) -> Result<()> {
    let (client, one) = (lab.client("client")?, lab.node("one")?);
    let server = one.serve(Protocol::Echo, 7)?;
    let open = client.connections(Connections::new(target(one.address(), 7), 10))?;
    assert!(
        open.so_far()
            .iter()
            .all(|c| c.server.as_deref() == Some("one") && c.broken.is_none())
    );
    server.kill()?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while open
        .so_far()
        .iter()
        .any(|connection| connection.broken.is_none())
    {
        assert!(Instant::now() < deadline, "{:?}", open.so_far());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(open.close()?.len(), 10);
    Ok(())
}
