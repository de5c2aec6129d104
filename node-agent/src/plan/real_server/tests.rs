use super::*;
use crate::fixture::{facts, real_server};

fn of(vips: &[&str], eth0: &[&str]) -> Result<RealServerPlan, Problem> {
    plan(real_server(vips).plan.real_server.as_ref(), &facts(eth0))
}

#[test]
fn vips_get_a_hosts_prefix_and_arp_is_suppressed_where_it_arrives() {
    let plan = of(&["192.168.1.222", "2001:db8::222"], &["192.168.1.130/24"]).expect("a plan");
    let addresses: Vec<String> = plan.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(
        addresses,
        ["192.168.1.222/32 dev lo", "2001:db8::222/128 dev lo"]
    );
    let sysctls: Vec<String> = plan
        .sysctls
        .iter()
        .map(|(sysctl, value)| format!("{sysctl}={value}"))
        .collect();
    assert_eq!(
        sysctls,
        [
            "net.ipv4.conf.eth0.arp_announce=2",
            "net.ipv4.conf.eth0.arp_ignore=1"
        ]
    );
}

#[test]
fn ipv6_vips_alone_need_no_arp_suppression() {
    let plan = of(&["2001:db8::222"], &[]).expect("a plan");
    assert!(plan.sysctls.is_empty());
    assert_eq!(plan.addresses.len(), 1);
}

#[test]
fn without_the_interface_that_answers_arp_no_vip_is_planned() {
    let problem = of(&["192.168.1.222"], &["10.0.0.1/8"]).expect_err("a problem");
    assert!(problem.message.contains("192.168.1.130"), "{problem:?}");
}

#[test]
fn a_vip_on_lo_does_not_make_lo_the_interface_of_the_node() {
    let mut facts = facts(&["192.168.1.130/24"]);
    let lo = facts.interfaces.get_mut(&1).expect("lo");
    lo.addresses.push(crate::fixture::own("192.168.1.130/32"));
    let role = real_server(&["192.168.1.222"]).plan.real_server;
    let plan = plan(role.as_ref(), &facts).expect("a plan");
    let sysctl = plan.sysctls.keys().next().expect("a sysctl").to_string();
    assert!(sysctl.contains("eth0"), "{sysctl}");
}

#[test]
fn a_node_that_is_no_real_server_has_nothing() {
    assert_eq!(plan(None, &facts(&[])), Ok(RealServerPlan::default()));
}
