use serde_json::{Value, json};

use super::*;
use crate::fixture::{device, director, facts, own, pool, web};

fn of(sysctls: &Value, changes: &Value) -> (Vec<String>, Vec<String>) {
    let mut bundle = director(&json!([web(changes)]), &pool());
    let role = bundle.plan.director.as_mut().expect("a director");
    role.sysctls = serde_json::from_value(sysctls.clone()).expect("sysctls");
    let services = Services::resolve(&bundle, &Services::default());
    let facts = facts(&["192.168.1.129/24"]);
    let plan = plan(bundle.plan.director.as_ref(), &services, &facts);
    let lines = |sysctls: &BTreeMap<Sysctl, String>| {
        let lines = sysctls
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        lines.collect()
    };
    (lines(&plan.managed), lines(&plan.checked))
}

#[test]
fn what_is_named_is_set_checked_or_left_alone() {
    let named = |mode| json!({"mode": mode, "conntrack": true, "sloppyTCP": false, "dropEntry": 2});
    let vs = |text: &str| format!("net.ipv4.vs.{text}");
    let named_lines = vec![vs("conntrack=1"), vs("drop_entry=2"), vs("sloppy_tcp=0")];
    let mut managed = named_lines.clone();
    managed.insert(0, vs("conn_reuse_mode=3"));
    managed.insert(3, vs("expire_nodest_conn=1"));
    assert_eq!(of(&named("Managed"), &json!({})), (managed, vec![]));
    assert_eq!(of(&named("CheckOnly"), &json!({})), (vec![], named_lines));
    assert_eq!(of(&named("Ignore"), &json!({})), (vec![], vec![]));
}

#[test]
fn connections_that_are_told_of_anew_do_not_wait_for_the_number_of_their_packets() {
    let checked = |seconds: i32| {
        let sysctls = json!({"mode": "CheckOnly", "syncRefreshPeriodSeconds": seconds});
        of(&sysctls, &json!({})).1
    };
    let vs = |text: &str| format!("net.ipv4.vs.{text}");
    assert_eq!(checked(0), [vs("sync_refresh_period=0")]);
    assert_eq!(
        checked(5),
        [vs("sync_refresh_period=5"), vs("sync_threshold=3\t0")]
    );
}

#[test]
fn nat_needs_forwarding_of_its_families_wherever_it_is_named() {
    let reuse = json!({"connReuseMode": 1, "expireNodestConn": false});
    let lines = [
        "net.ipv4.ip_forward=1",
        "net.ipv4.vs.conn_reuse_mode=1",
        "net.ipv4.vs.expire_nodest_conn=0",
    ];
    let nat = json!({"method": "NAT"});
    let expected = (lines.map(str::to_owned).to_vec(), vec![]);
    assert_eq!(of(&reuse, &json!({"forwarding": nat})), expected);
    let fallback = json!({"fallback": {"address": "10.0.0.9", "forwarding": nat}});
    assert_eq!(of(&reuse, &fallback), expected);
    let mark = json!({
        "forwarding": nat, "addresses": [], "ports": [],
        "firewallMark": {"mark": 1, "family": "IPv6", "managed": false},
    });
    let (managed, _) = of(&reuse, &mark);
    assert_eq!(managed[2], "net.ipv6.conf.all.forwarding=1");
}

#[test]
fn the_interface_is_silent_about_vips_that_have_a_mac_address_of_their_own() {
    let mut bundle = director(&json!([]), &json!([]));
    let role = bundle.plan.director.as_mut().expect("a director");
    let mut facts = facts(&["192.168.1.129/24"]);
    let of = |role: &DirectorRole, facts: &NodeFacts| {
        let managed = plan(Some(role), &Services::default(), facts).managed;
        let lines = managed
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(of(role, &facts), [""; 0]);
    role.vrrp.virtual_mac = VirtualMac::Macvlan;
    let silent = [
        "net.ipv4.conf.eth0.arp_announce=2",
        "net.ipv4.conf.eth0.arp_ignore=1",
    ];
    assert_eq!(of(role, &facts), silent);

    // Its device takes no address and no route from a Router Advertisement.
    let index = facts.named("eth0").expect("it is there").index;
    let name = format!("vrrp4-51-{index}");
    facts.interfaces.insert(99, device(99, &name, true));
    for interface in facts.interfaces.values_mut() {
        interface
            .addresses
            .retain(|address| address.address.is_ipv4());
    }
    assert_eq!(of(role, &facts), silent, "there is no IPv6");
    let eth0 = facts.interfaces.get_mut(&index).expect("it is there");
    eth0.addresses.push(own("fe80::129/64"));
    let accept_ra = format!("net.ipv6.conf.{name}.accept_ra=0");
    assert_eq!(of(role, &facts), [silent[0], silent[1], accept_ra.as_str()]);
    role.sysctls.mode = SysctlMode::Ignore;
    assert_eq!(of(role, &facts), [accept_ra]);
}
