use lvs_crds::v1alpha1::condition::reason;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{device, facts, tunnel_server};
use crate::plan::real_server::{RealServerPlan, plan as plan_real_server};

const ADDRESS: &str = "192.168.1.130/24";

fn tunnel(type_: &str, port: u16, inner: &str, outer: &str) -> Value {
    json!({
        "type": type_, "port": port, "inner": inner, "outer": outer, "manageRpFilter": true,
    })
}

fn of(vips: &[&str], tunnels: &Value, facts: &NodeFacts) -> RealServerPlan {
    let bundle = tunnel_server(vips, tunnels);
    plan_real_server(bundle.plan.real_server.as_ref(), facts).expect("a plan")
}

#[test]
fn each_kind_comes_out_of_the_device_that_the_kernel_gives_it_to() {
    let (v4, v6) = ("IPv4", "IPv6");
    for (type_, port, inner, outer, device) in [
        ("IPIP", 0, v4, v4, "tunl0"),
        ("IPIP", 0, v6, v4, "sit0"),
        ("IPIP", 0, v6, v6, "ip6tnl0"),
        ("GUE", 6080, v4, v4, "tunl0"),
        ("GUE", 6080, v6, v4, "sit0"),
        ("GUE", 6080, v6, v6, "ip6tnl0"),
        ("GRE", 0, v4, v4, "gre0"),
        ("GRE", 0, v6, v4, "gre0"),
        ("GRE", 0, v4, v6, "ip6gre0"),
        ("GRE", 0, v6, v6, "ip6gre0"),
    ] {
        let plan = of(
            &["192.168.1.222"],
            &json!([tunnel(type_, port, inner, outer)]),
            &facts(&[ADDRESS]),
        );
        let tunnels = &plan.tunnels;
        let devices: Vec<&str> = tunnels.devices.keys().map(String::as_str).collect();
        assert_eq!(devices, [device], "{type_} {inner} in {outer}");
        let ports: Vec<String> = tunnels.fou_ports.iter().map(ToString::to_string).collect();
        let expected: &[&str] = if type_ == "GUE" { &["port 6080"] } else { &[] };
        assert_eq!(ports, expected, "{type_} {inner} in {outer}");
        assert_eq!(tunnels.problems, []);
    }
}

#[test]
fn ipv4_in_ipv6_needs_a_device_of_the_user() {
    for type_ in ["IPIP", "GUE"] {
        let port = if type_ == "GUE" { 6080 } else { 0 };
        let mut with_device = tunnel(type_, port, "IPv4", "IPv6");
        let plan = of(&[], &json!([with_device]), &facts(&[ADDRESS]));
        let [problem] = plan.tunnels.problems.as_slice() else {
            panic!("{plan:?}");
        };
        assert_eq!(problem.reason, reason::UNSUPPORTED_BY_KERNEL);
        assert!(problem.message.contains("mode any"), "{problem:?}");
        assert!(plan.tunnels.devices.is_empty());

        with_device["device"] = json!("vip6");
        let mut facts = facts(&[ADDRESS]);
        facts.interfaces.insert(9, device(9, "vip6", false));
        let plan = of(&[], &json!([with_device]), &facts);
        assert_eq!(plan.tunnels.problems, []);
        assert!(plan.tunnels.devices.contains_key("vip6"));
    }
}

#[test]
fn a_device_that_the_user_names_must_be_there() {
    let mut named = tunnel("IPIP", 0, "IPv4", "IPv4");
    named["device"] = json!("vip0");
    let plan = of(&["192.168.1.222"], &json!([named]), &facts(&[ADDRESS]));
    let [problem] = plan.tunnels.problems.as_slice() else {
        panic!("{plan:?}");
    };
    assert!(problem.message.contains("vip0"), "{problem:?}");
    assert!(plan.tunnels.devices.is_empty());
    // The VIP is planned all the same.
    assert_eq!(plan.addresses.len(), 1);
}

#[test]
fn a_device_lets_any_client_in_once_it_is_there() {
    let tunnels = json!([tunnel("IPIP", 0, "IPv4", "IPv4")]);
    let vips = ["192.168.1.223", "192.168.1.222", "2001:db8::222"];
    let mut facts = facts(&[ADDRESS]);
    let shown = |plan: &RealServerPlan| -> (Vec<String>, Option<String>) {
        let rp_filter = crate::kernel::sysctls::Sysctl::of_interface_ipv4("tunl0", "rp_filter");
        (
            plan.addresses.iter().map(ToString::to_string).collect(),
            plan.sysctls.get(&rp_filter).cloned(),
        )
    };
    let on_lo = ["192.168.1.222/32 dev lo", "192.168.1.223/32 dev lo"];
    let v6 = "2001:db8::222/128 dev lo";
    let before = of(&vips, &tunnels, &facts);
    assert_eq!(
        shown(&before),
        (
            [&on_lo[..], &[v6]]
                .concat()
                .iter()
                .map(ToString::to_string)
                .collect(),
            None
        )
    );
    facts.interfaces.insert(3, device(3, "tunl0", false));
    let (addresses, rp_filter) = shown(&of(&vips, &tunnels, &facts));
    assert_eq!(
        addresses,
        [on_lo[0], "192.168.1.222/32 dev tunl0", on_lo[1], v6]
    );
    assert_eq!(rp_filter.as_deref(), Some("2"));

    let mut external = tunnels;
    external[0]["manageRpFilter"] = json!(false);
    let (addresses, rp_filter) = shown(&of(&vips, &external, &facts));
    assert_eq!(addresses, [on_lo[0], on_lo[1], v6]);
    assert_eq!(rp_filter, None);
}

#[test]
fn a_vip_on_the_device_itself_waits_for_its_module_and_does_for_rp_filter() {
    let mut bundle = tunnel_server(
        &["192.168.1.222"],
        &json!([tunnel("IPIP", 0, "IPv4", "IPv4")]),
    );
    let role = bundle.plan.real_server.as_mut().expect("a role");
    role.addresses[0].interface = "tunl0".into();
    let mut facts = facts(&[ADDRESS]);
    let plan = plan_real_server(Some(role), &facts).expect("a plan");
    assert!(plan.addresses.is_empty());
    assert!(plan.tunnels.devices.contains_key("tunl0"));
    facts.interfaces.insert(3, device(3, "tunl0", false));
    let plan = plan_real_server(Some(role), &facts).expect("a plan");
    let addresses: Vec<String> = plan.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.168.1.222/32 dev tunl0"]);
}

#[test]
fn ipv6_needs_no_rp_filter() {
    let mut facts = facts(&[ADDRESS]);
    facts.interfaces.insert(3, device(3, "sit0", false));
    let tunnels = json!([tunnel("IPIP", 0, "IPv6", "IPv4")]);
    let plan = of(&["2001:db8::222"], &tunnels, &facts);
    assert!(plan.sysctls.is_empty());
    assert_eq!(plan.addresses.len(), 1);
}
