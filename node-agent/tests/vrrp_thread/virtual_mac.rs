//! VIPs with a MAC address of their own, on a macvlan device.

use std::time::Instant;

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::device::VirtualDevice;
use lvs_node_agent::vrrp::{VrrpEventKind, VrrpPlan};
use lvs_vrrp::{Config, Preemption};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, recv, socket};
use std::os::fd::AsRawFd;

use crate::hosts::{Host, PATIENCE, VIP, VIP6, config, plan, two_hosts, until};

const MAC: &str = "00:00:5e:00:01:33";
const MAC6: &str = "00:00:5e:00:02:33";

/// Both families, each with a device of its own.
fn virtual_routers(host: &Host, last: u8, priority: u8) -> VrrpPlan {
    let ipv4 = config([198, 51, 100, last].into(), VIP, priority);
    let ipv6 = config(host.link_local(), VIP6, priority);
    let mut plan = plan(host, vec![ipv4, ipv6]);
    for router in &mut plan.routers {
        let vrid = router.config.virtual_router_id;
        router.virtual_device = VirtualDevice::of(router.family, vrid, router.interface_index);
    }
    plan
}

fn device(host: &Host, digit: u8) -> String {
    format!("vrrp{digit}-51-{}", host.link_index("eth0"))
}

fn is_up(host: &Host, device: &str) -> bool {
    host.ip("-o link show")
        .lines()
        .any(|line| line.contains(&format!(" {device}@")) && line.contains(",UP"))
}

fn has_device(host: &Host, device: &str) -> bool {
    host.ip("-o link show").contains(&format!(" {device}@"))
}

fn has_both(host: &Host) -> bool {
    let on = |digit, vip: &str| {
        let device = device(host, digit);
        is_up(host, &device)
            && host
                .ip(&format!("-o addr show dev {device}"))
                .contains(&format!(" {vip}/"))
    };
    on(4, VIP) && on(6, VIP6)
}

/// What the agent's loop does: the interface answers ARP for its own addresses alone.
fn silence(host: &Host) {
    host.run(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "1"))
        .expect("as root");
}

/// Whether `host` reaches the VIPs, by whichever MAC addresses.
fn learns(host: &Host, mac: &str, vip: &str) -> bool {
    let _ = host.run({
        let vip = vip.to_owned();
        move || {
            std::process::Command::new("ping")
                .args(["-c1", "-W1", &vip])
                .output()
        }
    });
    let neighbours = host.ip(&format!("neigh show {vip} dev eth0"));
    neighbours.contains(mac) && !neighbours.contains("FAILED")
}

/// The Ethernet source of the next advertisement of each family that arrives at `host`.
fn sources_of_advertisements(host: &Host) -> [String; 2] {
    host.run(|| {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::empty(),
            SockProtocol::EthAll,
        )
        .expect("a packet socket");
        let start = Instant::now();
        let mut sources = [None, None];
        while sources.contains(&None) {
            assert!(start.elapsed() < PATIENCE, "no advertisement: {sources:?}");
            let mut frame = [0; 2048];
            let length = recv(
                socket.as_raw_fd(),
                &mut frame,
                nix::sys::socket::MsgFlags::empty(),
            )
            .expect("a frame");
            let family = match &frame[..length] {
                [0x01, 0, 0x5e, 0, 0, 0x12, ..] => 0,
                [0x33, 0x33, 0, 0, 0, 0x12, ..] => 1,
                _ => continue,
            };
            let bytes: Vec<String> = frame[6..12].iter().map(|b| format!("{b:02x}")).collect();
            sources[family] = Some(bytes.join(":"));
        }
        sources.map(Option::unwrap_or_default)
    })
}

#[test]
fn the_mac_address_stays_when_the_vips_move() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    for host in [&one, &two] {
        silence(host);
        host.ip("addr add 2001:db8::ff/64 dev eth0 nodad");
    }
    let (first, second) = (one.start(), two.start());
    first.handle.configure(virtual_routers(&one, 1, 150));
    first.wait_state(&runtime, RouterState::Active);
    second.handle.configure(virtual_routers(&two, 2, 100));
    second.wait_state(&runtime, RouterState::Backup);
    assert!(has_both(&one), "{}", one.ip("addr show"));
    assert!(!one.ip("-o addr show dev eth0").contains(VIP));
    // A Backup Router takes no frames: its devices are there and down.
    for digit in [4, 6] {
        let device = device(&two, digit);
        assert!(has_device(&two, &device) && !is_up(&two, &device));
    }
    // Nothing was made of the virtual MAC address (RFC 9568 section 7.4).
    assert!(!one.ip("-6 -o addr show").contains("5eff:fe00"));
    assert_eq!(
        sources_of_advertisements(&two),
        [MAC, MAC6].map(String::from)
    );
    until("the IPv4 VIP answers with its MAC address", || {
        learns(&two, MAC, VIP)
    });
    until("the IPv6 VIP answers with its MAC address", || {
        learns(&two, MAC6, VIP6)
    });

    runtime.block_on(first.handle.stop()).expect("a clean end");
    second.wait_state(&runtime, RouterState::Active);
    assert!(has_both(&two), "{}", two.ip("addr show"));
    for digit in [4, 6] {
        assert!(!has_device(&one, &device(&one, digit)));
    }
    until("the successor answers with the same", || {
        learns(&one, MAC, VIP) && learns(&one, MAC6, VIP6)
    });
    assert_eq!(
        sources_of_advertisements(&one),
        [MAC, MAC6].map(String::from)
    );
}

/// Two Active Routers have one MAC address, and each must hear the other's advertisements.
#[test]
fn an_active_router_hears_another_that_has_its_mac_address() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let (first, second) = (one.start(), two.start());
    first.handle.configure(virtual_routers(&one, 1, 100));
    first.wait_state(&runtime, RouterState::Active);
    let mut stronger = virtual_routers(&two, 2, 150);
    for router in &mut stronger.routers {
        let mut config = Config::clone(&router.config);
        config.preemption = Preemption::Immediate;
        router.config = config.check().expect("a configuration");
    }
    second.handle.configure(stronger);
    second.wait_state(&runtime, RouterState::Active);
    first.wait_state(&runtime, RouterState::Backup);
    assert!(has_both(&two) && !has_both(&one));
}

#[test]
fn a_device_that_somebody_deletes_or_sets_down_is_back() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let mut director = one.start();
    director.handle.configure(virtual_routers(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    assert!(has_both(&one));
    director.happened();
    for digit in [4, 6] {
        one.ip(&format!("link del {}", device(&one, digit)));
        until("the deleted device is back", || has_both(&one));
    }
    for digit in [4, 6] {
        one.ip(&format!("link set {} down", device(&one, digit)));
        until("the device is up again", || has_both(&one));
    }
    until("it stays so", || has_both(&one));
    let told = director.happened();
    let restored = |kind: &&VrrpEventKind| matches!(kind, VrrpEventKind::DeviceRestored(_));
    assert_eq!(told.iter().filter(restored).count(), 4, "{told:?}");
    assert_eq!(
        director.handle.report().borrow().instance_state("default"),
        Some(RouterState::Active)
    );
}

#[test]
fn a_device_of_somebody_else_with_that_name_is_left_and_reported() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let name = device(&one, 4);
    one.ip(&format!("link add {name} type veth peer name other"));
    let director = one.start();
    let mut planned = virtual_routers(&one, 1, 150);
    planned.routers.truncate(1);
    director.handle.configure(planned);
    director.wait_state(&runtime, RouterState::Fault);
    let fault = director.handle.report().borrow().routers[0].fault.clone();
    let fault = fault.expect("a fault");
    assert!(
        fault.contains(&name) && fault.contains("remove or rename it"),
        "{fault}"
    );
    one.ip(&format!("link del {name}"));
    director.wait_state(&runtime, RouterState::Active);
    assert!(is_up(&one, &name));
}

#[test]
fn what_an_earlier_run_left_is_adopted_or_deleted() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let index = one.link_index("eth0");
    for (name, mac) in [
        (device(&one, 4), MAC.to_owned()),
        (format!("vrrp4-52-{index}"), "00:00:5e:00:01:34".to_owned()),
        ("vrrp.53".to_owned(), "00:00:5e:00:01:35".to_owned()),
    ] {
        one.ip(&format!(
            "link add link eth0 name {name} address {mac} type macvlan mode vepa"
        ));
    }
    let before = one.link_index(&device(&one, 4));
    let director = one.start();
    director.handle.configure(virtual_routers(&one, 1, 150));
    director.wait_state(&runtime, RouterState::Active);
    assert_eq!(one.link_index(&device(&one, 4)), before);
    assert!(!has_device(&one, &format!("vrrp4-52-{index}")));
    assert!(has_device(&one, "vrrp.53"), "it is keepalived's");

    // Off and on again while it runs.
    let mut plain = virtual_routers(&one, 1, 150);
    for router in &mut plain.routers {
        router.virtual_device = None;
    }
    director.handle.configure(plain);
    until("the VIPs are on the interface", || {
        one.has(VIP) && one.has(VIP6)
    });
    assert!(!has_device(&one, &device(&one, 4)) && !has_device(&one, &device(&one, 6)));
    director.handle.configure(virtual_routers(&one, 1, 150));
    until("the VIPs are on their devices", || {
        has_device(&one, &device(&one, 4)) && has_device(&one, &device(&one, 6)) && has_both(&one)
    });
    assert!(!one.has(VIP) && !one.has(VIP6));
}

#[test]
fn the_device_follows_the_interface_below() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let director = one.start();
    let mut planned = virtual_routers(&one, 1, 150);
    // The IPv6 router's source goes with the link.
    planned.routers.truncate(1);
    let device = device(&one, 4);
    director.handle.configure(planned);
    director.wait_state(&runtime, RouterState::Active);
    assert!(is_up(&one, &device));

    // The cable.
    two.ip("link set eth0 down");
    director.wait_state(&runtime, RouterState::Fault);
    until("the device is at rest", || {
        has_device(&one, &device) && !is_up(&one, &device)
    });
    two.ip("link set eth0 up");
    director.wait_state(&runtime, RouterState::Active);
    assert!(is_up(&one, &device));
    assert!(
        one.ip(&format!("-o addr show dev {device}"))
            .contains(&format!(" {VIP}/"))
    );
}
