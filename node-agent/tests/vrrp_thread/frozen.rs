//! An agent that was stopped for too long, as by a host that froze its virtual machine.

use std::fs;
use std::process::{Child, Command, Stdio};

use lvs_crds::v1alpha1::{RouterState, revision};
use lvs_node_agent::vrrp::VrrpEventKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::hosts::{Host, VIP, ipv4, two_hosts, until};

/// The agent as a process, so that it can be frozen.
struct Agent(Child);

impl Agent {
    /// Runs on `host` with the VIP and `priority`.
    fn start(host: &Host, directory: &std::path::Path, priority: u8) -> Self {
        let no_slices: [(&str, &str); 0] = [];
        let plan = json!({
            "kind": "NodePlan", "metadata": {"name": "lb-1", "generation": 1},
            "spec": {"formatVersion": 1, "revision": "r1", "director": {
                "pair": "edge", "interface": {"name": "eth0"},
                "instances": [{
                    "name": "default", "virtualRouterID": 51, "priority": priority,
                    "interface": {"name": "eth0"}, "addresses": [{"address": VIP}],
                }],
                "vrrp": {"advertisementIntervalMilliseconds": 100},
                "connectionSync": {"enabled": false, "syncID": 51},
                "slicesDigest": revision::slices_digest(no_slices),
            }},
        });
        let path = directory.join("plan.yaml");
        fs::write(&path, plan.to_string()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvs-node-agent"));
        command
            .args([
                "--unsupervised",
                "--node-name",
                "lb-1",
                "--admin-address",
                "127.0.0.1:0",
            ])
            .arg("--plan")
            .arg(path)
            .arg("--state-dir")
            .arg(directory.join("state"))
            .stderr(Stdio::null());
        Self(host.run(move || command.spawn()).expect("started"))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn one_that_was_frozen_lets_go_of_its_vips_before_it_speaks() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let frozen = Agent::start(&one, directory.path(), 150);
    until("the first is Active", || one.has(VIP));
    let mut second = two.start();
    second.handle.configure(ipv4(&two, 2, 100));
    second.wait_state(&runtime, RouterState::Backup);
    let metrics = second.handle.metrics();
    until("the first is heard", || {
        metrics.advertisements_received.get() > 0
    });

    frozen.signal(Signal::SIGSTOP);
    second.wait_state(&runtime, RouterState::Active);
    assert!(one.has(VIP), "the kernel holds it for a while");
    second.happened();
    let heard = metrics.advertisements_received.get();
    frozen.signal(Signal::SIGCONT);
    until("the first lets go", || !one.has(VIP));
    let sent = metrics.advertisements_sent.get();
    until("the second goes on", || {
        metrics.advertisements_sent.get() > sent + 5
    });
    assert_eq!(metrics.advertisements_received.get(), heard, "it spoke");
    let happened = second.happened();
    let has_moved = |kind: &VrrpEventKind| matches!(kind, VrrpEventKind::RoleChanged { .. });
    assert!(!happened.iter().any(has_moved), "{happened:?}");
    assert!(two.has(VIP));
}
