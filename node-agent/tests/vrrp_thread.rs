//! The VRRP thread on real sockets: two of them in network namespaces of their own, joined by a veth
//! pair. Needs root; without it there is nothing to test, and the tests say so.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::addresses::{Change, Vip};
use lvs_node_agent::vrrp::{
    Family, RouterPlan, VrrpEvent, VrrpEventKind, VrrpHandle, VrrpPlan, VrrpReport,
};
use lvs_vrrp::{
    Centiseconds, ChecksumConvention, Config, GratuitousAnnouncements, LowerPriorityAdvertisement,
    Preemption, Transport, Version,
};
use nix::sched::{CloneFlags, unshare};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Receiver;

const PATIENCE: Duration = Duration::from_secs(10);
const VIP: &str = "198.51.100.10";
const VIP6: &str = "2001:db8::10";
const INSIDE: &str = "203.0.113.10";

/// A thread in a network namespace of its own, that runs closures.
struct Host {
    name: &'static str,
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    namespace: String,
}

impl Host {
    /// `None` when namespaces may not be made.
    fn new(name: &'static str) -> Option<Self> {
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

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || done.send(job()).expect("the test waits"));
        self.jobs.send(job).expect("the host runs");
        result.recv().expect("the job ends well")
    }

    /// Runs `ip` in the namespace of the host.
    fn ip(&self, arguments: &str) -> String {
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

    fn has(&self, address: &str) -> bool {
        self.ip("-o addr show dev eth0")
            .contains(&format!(" {address}/"))
    }

    fn start(&self) -> Director {
        let (handle, events) = self.run(|| VrrpHandle::start(0).expect("sockets"));
        Director { handle, events }
    }

    fn link_index(&self, interface: &str) -> u32 {
        let text = self.ip(&format!("-o link show dev {interface}"));
        let index = text.split(':').next().expect("an index");
        index.parse().expect("a number")
    }

    fn link_local(&self) -> IpAddr {
        let text = self.ip("-6 -o addr show dev eth0 scope link");
        let address = text.split_whitespace().nth(3).expect("an address");
        let (address, _) = address.split_once('/').expect("a prefix");
        address.parse().expect("an address")
    }
}

struct Director {
    handle: VrrpHandle,
    events: Receiver<VrrpEvent>,
}

impl Director {
    fn wait(&self, runtime: &Runtime, what: impl Fn(&VrrpReport) -> bool) -> VrrpReport {
        let mut report = self.handle.report();
        runtime.block_on(async {
            let reached = tokio::time::timeout(PATIENCE, report.wait_for(|report| what(report)));
            let report = reached
                .await
                .map(|report| report.expect("the thread runs").clone());
            report.unwrap_or_else(|_| panic!("still {:?}", self.handle.report().borrow()))
        })
    }

    fn wait_state(&self, runtime: &Runtime, state: RouterState) {
        self.wait(runtime, |report| {
            report.instance_state("default") == Some(state)
        });
    }

    fn happened(&mut self) -> Vec<VrrpEventKind> {
        let mut kinds = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            kinds.push(event.kind);
        }
        kinds
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn config(own_address: IpAddr, vip: &str, priority: u8) -> Config {
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

fn plan(host: &Host, configs: Vec<Config>) -> VrrpPlan {
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
        config: config.check().expect("a configuration"),
        drain: false,
    });
    VrrpPlan {
        routers: routers.collect(),
    }
}

/// Two hosts with 198.51.100.1 and .2 on eth0, or nothing if that may not be made.
fn two_hosts() -> Option<(Host, Host, Runtime)> {
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
fn second_segment(one: &Host, two: &Host) -> Host {
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

/// The outside on eth0 and the inside on eth1, in one group.
fn translating(host: &Host, last: u8, priority: u8) -> VrrpPlan {
    let mut plan = ipv4(host, last, priority);
    let inside = config([203, 0, 113, last].into(), INSIDE, priority);
    plan.routers.push(RouterPlan {
        instance: "inside".into(),
        interface_index: host.link_index("eth1"),
        interface_name: "eth1".into(),
        prefix_lengths: [(INSIDE.parse().expect("an address"), 24)].into(),
        config: inside.check().expect("a configuration"),
        ..plan.routers[0].clone()
    });
    plan
}

fn states(report: &VrrpReport) -> [Option<RouterState>; 2] {
    ["default", "inside"].map(|instance| report.instance_state(instance))
}

#[test]
fn a_group_moves_as_one_and_waits_until_all_of_it_can_run() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let bridge = second_segment(&one, &two);
    let has_inside = |host: &Host| {
        let text = host.ip("-o addr show dev eth1");
        text.contains(&format!(" {INSIDE}/"))
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(translating(&one, 1, 150));
    second.handle.configure(translating(&two, 2, 100));
    let all = |state| move |report: &VrrpReport| states(report) == [Some(state); 2];
    first.wait(&runtime, all(RouterState::Active));
    second.wait(&runtime, all(RouterState::Backup));
    assert!(one.has(VIP) && has_inside(&one) && !two.has(VIP) && !has_inside(&two));

    // The inside fails: the outside, whose link is whole, follows without a gap.
    bridge.ip("link set port1 down");
    until("the outside moves", || {
        let (here, there) = (one.has(VIP), two.has(VIP));
        assert!(here || there || two.has(VIP), "nobody has the outside");
        there && !here
    });
    second.wait(&runtime, all(RouterState::Active));
    first.wait(&runtime, |report| {
        states(report) == [Some(RouterState::Backup), Some(RouterState::Fault)]
    });
    assert!(has_inside(&two) && !has_inside(&one));

    // Nothing can take over that has no inside, even when nobody else is there.
    drop(runtime.block_on(second.handle.stop()));
    assert!(!one.has(VIP) && !two.has(VIP));
    bridge.ip("link set port1 up");
    first.wait(&runtime, all(RouterState::Active));
    assert!(one.has(VIP) && has_inside(&one));
}

fn ipv4(host: &Host, last: u8, priority: u8) -> VrrpPlan {
    plan(
        host,
        vec![config([198, 51, 100, last].into(), VIP, priority)],
    )
}

#[test]
fn one_is_elected_and_hands_over_without_a_gap() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(ipv4(&one, 1, 150));
    second.handle.configure(ipv4(&two, 2, 100));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    assert!(one.has(VIP) && !two.has(VIP));
    let text = one.ip("-d -o addr show dev eth0");
    assert!(text.contains("dynamic noprefixroute"), "{text}");

    // Somebody has the VIP at every moment of a planned stop.
    let stopping = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(first.handle.stop()).expect("a clean end");
    });
    until("the VIP moves", || {
        let (here, there) = (one.has(VIP), two.has(VIP));
        assert!(here || there || two.has(VIP), "nobody has the VIP");
        there && !here
    });
    stopping.join().expect("no panic");
    second.wait_state(&runtime, RouterState::Active);
}

#[test]
fn both_families_run_side_by_side() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let dual = |host: &Host, last: u8, priority| {
        let ipv4 = config([198, 51, 100, last].into(), VIP, priority);
        let ipv6 = config(host.link_local(), VIP6, priority);
        plan(host, vec![ipv4, ipv6])
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(dual(&one, 1, 150));
    second.handle.configure(dual(&two, 2, 100));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    assert!(one.has(VIP) && one.has(VIP6) && !two.has(VIP) && !two.has(VIP6));
    assert!(second.handle.metrics().advertisements_received.get() > 0);

    // An interface that loses its link is a fault; the other side takes over.
    one.ip("link set eth0 down");
    first.wait_state(&runtime, RouterState::Fault);
    assert!(!one.has(VIP));
    two.ip("link set eth0 down");
    one.ip("link set eth0 up");
    two.ip("link set eth0 up");
    until("both have their link-local address again", || {
        [&one, &two].iter().all(|host| {
            let text = host.ip("-6 -o addr show dev eth0 scope link");
            text.contains("fe80") && !text.contains("tentative")
        })
    });
    let active =
        |report: &VrrpReport| report.instance_state("default") == Some(RouterState::Active);
    until("one of them is Active", || {
        active(&first.handle.report().borrow()) != active(&second.handle.report().borrow())
    });
}

#[test]
fn a_vip_deleted_by_hand_is_back_at_once_and_others_stay() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    one.ip("addr add 203.0.113.7/32 dev eth0");
    let mut director = one.start();
    director.handle.configure(ipv4(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    director.happened();
    let restored = director.handle.metrics();
    one.ip(&format!("addr del {VIP}/32 dev eth0"));
    until("the VIP is restored", || restored.vips_restored.get() == 1);
    assert!(one.has(VIP));
    let happened = director.happened();
    let vip: IpAddr = VIP.parse().expect("an address");
    assert!(
        happened.contains(&VrrpEventKind::VipRestored(vip, 32)),
        "{happened:?}"
    );

    // Without a plan our VIP goes, and nothing else.
    director.handle.configure(VrrpPlan::default());
    director.wait(&runtime, |report| report.routers.is_empty());
    assert!(!one.has(VIP));
    assert!(one.has("203.0.113.7") && one.has("198.51.100.1"));
    runtime
        .block_on(director.handle.stop())
        .expect("a clean end");
    assert_eq!(restored.vips_restored.get(), 1);
}

#[test]
fn who_keeps_deleting_a_vip_is_answered_with_pauses_and_reported() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let mut director = one.start();
    director.handle.configure(ipv4(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    let metrics = director.handle.metrics();
    for times in 1..=3 {
        one.ip(&format!("addr del {VIP}/32 dev eth0"));
        until("the VIP is restored", || {
            metrics.vips_restored.get() == times
        });
    }
    let report = director.wait(&runtime, |report| !report.routers[0].fought_vips.is_empty());
    let problem = report.instance_problem("default").expect("a problem");
    assert!(
        problem.starts_with(&format!("another program keeps removing {VIP}")),
        "{problem}"
    );

    let deleted_at = Instant::now();
    one.ip(&format!("addr del {VIP}/32 dev eth0"));
    director.wait(&runtime, |report| !report.routers[0].vips_present);
    assert!(!one.has(VIP), "a refresh added it meanwhile");
    until("the VIP is restored", || metrics.vips_restored.get() == 4);
    // Half a second after the third time, which was moments before.
    assert!(deleted_at.elapsed() > Duration::from_millis(300));
    assert!(one.has(VIP));
    let vip: IpAddr = VIP.parse().expect("an address");
    let told = director.happened();
    let fights = told
        .iter()
        .filter(|kind| **kind == VrrpEventKind::VipFoughtOver(vip));
    assert_eq!(fights.count(), 1, "{told:?}");
}

/// The kernel's time stamp of a VIP is that of the last advertisement: it says until when the peers
/// wait for an agent that was killed.
#[test]
fn vips_are_refreshed_by_advertisements_alone() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let director = one.start();
    let mut slow = config([198, 51, 100, 1].into(), VIP, 254);
    slow.advertisement_interval = Centiseconds::new(300);
    slow.down_advertisements = 2;
    // Becomes Active at once, and again and again changes what the thread reports.
    let mut fast = config([198, 51, 100, 1].into(), INSIDE, 254);
    fast.virtual_router_id = 52;
    let plan = |vips: &[&str]| {
        let mut fast = fast.clone();
        fast.virtual_addresses = vips
            .iter()
            .map(|vip| vip.parse().expect("an address"))
            .collect();
        let mut both = plan(&one, vec![slow.clone(), fast]);
        both.routers[1].instance = "fast".into();
        both.routers[1].group = "fast".into();
        both
    };
    director.handle.configure(plan(&[INSIDE]));
    director.wait(&runtime, |report| {
        report.instance_state("default") == Some(RouterState::Active)
    });
    let seconds_left = || {
        let text = one.ip(&format!("-o addr show dev eth0 to {VIP}"));
        let (_, rest) = text.split_once("valid_lft ").expect("a lifetime");
        let (seconds, _) = rest.split_once("sec").expect("seconds");
        seconds.parse::<u32>().expect("a number")
    };
    let lifetime = seconds_left();
    until("its lifetime goes down", || seconds_left() < lifetime);
    let before = seconds_left();
    director.handle.configure(plan(&[INSIDE, "203.0.113.11"]));
    until("the other has one more", || one.has("203.0.113.11"));
    assert!(
        seconds_left() <= before,
        "refreshed without an advertisement"
    );
    until("the next advertisement refreshes it", || {
        seconds_left() >= lifetime
    });
}

#[test]
fn a_vip_of_somebody_else_is_used_and_left_alone() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    one.ip(&format!("addr add {VIP}/32 dev eth0"));
    let director = one.start();
    director.handle.configure(ipv4(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    let report = director.handle.report().borrow().clone();
    let vip: IpAddr = VIP.parse().expect("an address");
    assert_eq!(report.routers[0].foreign_vips, [vip]);
    assert!(report.routers[0].vips_present);
    runtime
        .block_on(director.handle.stop())
        .expect("a clean end");
    assert!(one.has(VIP));
    assert!(
        one.ip("-o addr show dev eth0")
            .contains(&format!("{VIP}/32 scope global eth0"))
    );
}

#[test]
fn an_agent_that_is_back_soon_goes_on_as_active() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(ipv4(&one, 1, 150));
    second.handle.configure(ipv4(&two, 2, 100));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    let changes = second.handle.metrics();
    let before = changes.role_changes.get();

    // A process that is killed leaves its VIPs in the kernel. So does this one, which for want of a
    // way to kill a thread goes on beside its successor.
    let mut successor = one.start();
    successor.handle.configure(ipv4(&one, 1, 150));
    successor.wait_state(&runtime, RouterState::Active);
    let happened = successor.happened();
    let resumed = happened.iter().any(|kind| {
        matches!(
            kind,
            VrrpEventKind::RoleChanged {
                reason: lvs_vrrp::RoleReason::Resumed,
                ..
            }
        )
    });
    assert!(resumed, "{happened:?}");
    assert_eq!(changes.role_changes.get(), before, "the peer noticed");
}

#[test]
fn vips_that_an_earlier_run_left_are_removed() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let index = one.link_index("eth0");
    one.run(move || {
        let mut message = Vec::new();
        let change = Change::Add {
            vip: Vip {
                interface_index: index,
                address: VIP.parse().expect("an address"),
                prefix_length: 32,
            },
            lifetime_seconds: 60,
        };
        change.encode(1, &mut message);
        let socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE);
        let kernel = netlink_sys::SocketAddr::new(0, 0);
        socket
            .and_then(|socket| socket.send_to(&message, &kernel, 0))
            .expect("sent");
    });
    assert!(one.has(VIP));
    one.ip("addr add 203.0.113.7/32 dev eth0 valid_lft 600 preferred_lft 600");
    let director = one.start();
    let mut other = config([198, 51, 100, 1].into(), "198.51.100.99", 150);
    other.advertisement_interval = Centiseconds::new(100);
    let mut plan = plan(&one, vec![other]);
    plan.routers[0].interface_index = index;
    director.handle.configure(plan);
    director.wait_state(&runtime, RouterState::Backup);
    assert!(!one.has(VIP), "a VIP that no router has was left");
    assert!(
        one.has("203.0.113.7"),
        "an address of somebody else was removed"
    );
}
