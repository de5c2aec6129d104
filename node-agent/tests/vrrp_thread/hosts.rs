//! Hosts in network namespaces, the VRRP thread on each, and plans for them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::{
    Family, RouterPlan, Told, VrrpEventKind, VrrpHandle, VrrpPlan, VrrpReport,
};
use lvs_vrrp::{
    Centiseconds, ChecksumConvention, Config, GratuitousAnnouncements, LowerPriorityAdvertisement,
    Preemption, Transport, Version,
};
use nix::sched::{CloneFlags, unshare};
use prometheus_client::registry::Registry;
use tokio::runtime::{Builder, Runtime};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const VIP: &str = "198.51.100.10";
pub(crate) const VIP6: &str = "2001:db8::10";

/// A thread in a network namespace of its own, that runs closures.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    pub(crate) namespace: String,
}

impl Host {
    /// `None` when namespaces may not be made.
    pub(crate) fn new(name: &'static str) -> Option<Self> {
        let (jobs, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (made, is_made) = mpsc::channel();
        std::thread::spawn(move || {
            if unshare(CloneFlags::CLONE_NEWNET).is_err() {
                return;
            }
            let thread = nix::unistd::gettid();
            let namespace = format!("/proc/{}/task/{thread}/ns/net", std::process::id());
            made.send(namespace).expect("the test waits");
            for job in queue {
                job();
            }
        });
        let namespace = is_made.recv().ok()?;
        Some(Self {
            name,
            jobs,
            namespace,
        })
    }

    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || done.send(job()).expect("the test waits"));
        self.jobs.send(job).expect("the host runs");
        result.recv().expect("the job ends well")
    }

    /// Runs `ip` in the namespace of the host.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
        let output = self.run(move || Command::new("ip").args(&arguments).output());
        let output = output.expect("iproute2 is installed");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{}: {}",
            self.name,
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    pub(crate) fn has(&self, address: &str) -> bool {
        self.ip("-o addr show dev eth0")
            .contains(&format!(" {address}/"))
    }

    pub(crate) fn start(&self) -> Director {
        let (handle, told) = self.run(|| VrrpHandle::start(0).expect("sockets"));
        Director { handle, told }
    }

    pub(crate) fn link_index(&self, interface: &str) -> u32 {
        let text = self.ip(&format!("-o link show dev {interface}"));
        let index = text.split(':').next().expect("an index");
        index.parse().expect("a number")
    }

    pub(crate) fn link_local(&self) -> IpAddr {
        let text = self.ip("-6 -o addr show dev eth0 scope link");
        let address = text.split_whitespace().nth(3).expect("an address");
        let (address, _) = address.split_once('/').expect("a prefix");
        address.parse().expect("an address")
    }
}

pub(crate) struct Director {
    pub(crate) handle: VrrpHandle,
    pub(crate) told: Told,
}

impl Director {
    pub(crate) fn wait(&self, runtime: &Runtime, what: impl Fn(&VrrpReport) -> bool) -> VrrpReport {
        let mut report = self.handle.report();
        runtime.block_on(async {
            let reached = tokio::time::timeout(PATIENCE, report.wait_for(|report| what(report)));
            let report = reached
                .await
                .map(|report| report.expect("the thread runs").clone());
            report.unwrap_or_else(|_| panic!("still {:?}", self.handle.report().borrow()))
        })
    }

    pub(crate) fn wait_state(&self, runtime: &Runtime, state: RouterState) {
        self.wait(runtime, |report| {
            report.instance_state("default") == Some(state)
        });
    }

    /// A number that the metrics have.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.handle.metrics()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let number = lines.find_map(|(found, number)| (found == name).then_some(number));
        number.expect("a line").parse().expect("a number")
    }

    pub(crate) fn happened(&mut self) -> Vec<VrrpEventKind> {
        let mut kinds = Vec::new();
        while let Ok(event) = self.told.events.try_recv() {
            kinds.push(event.kind);
        }
        kinds
    }
}

pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn config(own_address: IpAddr, vip: &str, priority: u8) -> Config {
    Config {
        virtual_router_id: 51,
        version: Version::V3,
        priority,
        own_address,
        advertisement_interval: Centiseconds::new(10),
        down_advertisements: 3,
        preemption: Preemption::Never,
        preempt_delay: Duration::ZERO,
        authentication: None,
        transport: Transport::Multicast,
        checksum: ChecksumConvention::Rfc9568,
        virtual_addresses: vec![vip.parse().expect("an address")],
        gratuitous: GratuitousAnnouncements::default(),
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    }
}

pub(crate) fn plan(host: &Host, configs: Vec<Config>) -> VrrpPlan {
    let interface_index = host.link_index("eth0");
    let routers = configs.into_iter().map(|config| RouterPlan {
        instance: "default".into(),
        family: Family::of(config.own_address),
        group: "default".into(),
        interface_index,
        interface_name: "eth0".into(),
        prefix_lengths: config
            .virtual_addresses
            .iter()
            .map(|address| (*address, if address.is_ipv4() { 32 } else { 128 }))
            .collect::<BTreeMap<_, _>>(),
        virtual_device: None,
        routes: Vec::new(),
        config: config.check().expect("a configuration"),
        drain: false,
        hold_preemption: false,
    });
    VrrpPlan {
        routers: routers.collect(),
        ..VrrpPlan::default()
    }
}

/// Two hosts with 198.51.100.1 and .2 on eth0, or nothing if that may not be made.
pub(crate) fn two_hosts() -> Option<(Host, Host, Runtime)> {
    let (Some(one), Some(two)) = (Host::new("one"), Host::new("two")) else {
        eprintln!("skipped: network namespaces need root");
        return None;
    };
    let peer = format!(
        "link add eth0 type veth peer name eth0 netns {}",
        two.namespace
    );
    one.ip(&peer);
    for (host, address) in [(&one, "198.51.100.1/24"), (&two, "198.51.100.2/24")] {
        // Link-local addresses are usable at once, where this may be written.
        let _ = host.run(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0"));
        host.ip(&format!("addr add {address} dev eth0"));
        host.ip("link set eth0 up");
    }
    // Otherwise they are tentative for a second (RFC 4862).
    for host in [&one, &two] {
        until("a usable link-local address", || {
            let text = host.ip("-6 -o addr show dev eth0 scope link");
            text.contains("fe80") && !text.contains("tentative")
        });
    }
    let runtime = Builder::new_current_thread().enable_time().build();
    Some((one, two, runtime.expect("a runtime")))
}

/// Joins eth1 of both hosts, 203.0.113.1 and .2, by a bridge: one link can fail without the other.
pub(crate) fn second_segment(one: &Host, two: &Host) -> Host {
    let bridge = Host::new("bridge").expect("as for the others");
    bridge.ip("link add br0 type bridge");
    bridge.ip("link set br0 up");
    for (port, host, address) in [
        ("port1", one, "203.0.113.1/24"),
        ("port2", two, "203.0.113.2/24"),
    ] {
        let peer = format!(
            "link add {port} type veth peer name eth1 netns {}",
            host.namespace
        );
        bridge.ip(&peer);
        bridge.ip(&format!("link set {port} master br0 up"));
        host.ip(&format!("addr add {address} dev eth1"));
        host.ip("link set eth1 up");
    }
    bridge
}

pub(crate) fn ipv4(host: &Host, last: u8, priority: u8) -> VrrpPlan {
    plan(
        host,
        vec![config([198, 51, 100, last].into(), VIP, priority)],
    )
}
