use std::collections::BTreeMap;

use lvs_crds::v1alpha1::AddressFamily;
use lvs_crds::v1alpha1::condition::reason;
use serde_json::json;

use super::*;
use crate::diff::diff;
use crate::fixture::{device, facts, own, tunnel_server};
use crate::kernel::fou::FouPort;
use crate::kernel::modules::Module;
use crate::plan::real_server;

const GUE: FouPort = FouPort {
    outer: AddressFamily::IPv4,
    port: 6080,
};

/// A node with GUE in its kernel and without `tunl0`.
fn node() -> Observed {
    Observed {
        facts: facts(&["192.168.1.130/24"]),
        fou_ports: Some(BTreeMap::new()),
        ..Observed::default()
    }
}

/// The plan of a real server of GUE without VIPs, whose `rp_filter` somebody else sets.
fn plan_of(observed: &Observed, has_role: bool) -> Plan {
    let bundle = tunnel_server(
        &[],
        &json!([{
            "type": "GUE", "port": 6080, "inner": "IPv4", "outer": "IPv4", "manageRpFilter": false,
        }]),
    );
    let role = bundle.plan.real_server.as_ref().filter(|_| has_role);
    let real_server = real_server::plan(role, &observed.facts).expect("a plan");
    Plan {
        real_server: Some(real_server),
        daemons: Some(Vec::new()),
        ..Plan::default()
    }
}

/// One round of the loop: what was done, and what cannot be done.
fn round(
    observed: &mut Observed,
    ownership: &mut Ownership,
    has_role: bool,
) -> (Vec<String>, Vec<Problem>) {
    let plan = plan_of(observed, has_role);
    let changes = diff(&plan, observed, ownership);
    ownership.claim(&plan, observed, &changes);
    for op in changes.ops() {
        match op {
            Op::LoadModule(Module::Ipip) => {
                let tunl0 = device(3, "tunl0", false);
                observed.facts.interfaces.insert(3, tunl0);
            }
            Op::SetLink(link) => {
                let interface = observed.facts.interfaces.get_mut(&link.index);
                interface.expect("a link").is_up = link.is_up;
            }
            Op::AddFouPort(port) => {
                let ports = observed.fou_ports.as_mut().expect("FOU");
                ports.insert(*port, FouKind::Gue);
            }
            Op::DeleteFouPort(port) => {
                let ports = observed.fou_ports.as_mut().expect("FOU");
                ports.remove(port).expect("a port");
            }
            other => panic!("{other}"),
        }
    }
    ownership.settle(&plan, observed);
    (
        changes.ops().map(ToString::to_string).collect(),
        changes.problems,
    )
}

#[test]
fn the_ends_of_a_tunnel_are_made_and_repaired_and_put_back() {
    let (mut node, mut ownership) = (node(), Ownership::default());
    let (ops, _) = round(&mut node, &mut ownership, true);
    assert_eq!(ops, ["ip fou add port 6080 gue", "modprobe ipip"]);
    let (ops, _) = round(&mut node, &mut ownership, true);
    assert_eq!(ops, ["ip link set tunl0 up"]);
    assert_eq!(round(&mut node, &mut ownership, true), (vec![], vec![]));

    node.facts.interfaces.get_mut(&3).expect("tunl0").is_up = false;
    node.fou_ports = Some(BTreeMap::new());
    let (ops, _) = round(&mut node, &mut ownership, true);
    assert_eq!(ops, ["ip fou add port 6080 gue", "ip link set tunl0 up"]);

    let (ops, _) = round(&mut node, &mut ownership, false);
    assert_eq!(ops, ["ip link set tunl0 down", "ip fou del port 6080"]);
    assert_eq!(round(&mut node, &mut ownership, false), (vec![], vec![]));
    assert_eq!(ownership, Ownership::default());
}

#[test]
fn what_others_have_made_does_as_well_and_stays() {
    let (mut node, mut ownership) = (node(), Ownership::default());
    node.facts.interfaces.insert(3, device(3, "tunl0", true));
    node.fou_ports = Some(BTreeMap::from([(GUE, FouKind::Gue)]));
    assert_eq!(round(&mut node, &mut ownership, true), (vec![], vec![]));
    assert_eq!(round(&mut node, &mut ownership, false), (vec![], vec![]));
    assert_eq!(ownership, Ownership::default());
}

#[test]
fn a_device_that_somebody_else_uses_by_now_stays_up() {
    let (mut node, mut ownership) = (node(), Ownership::default());
    node.facts.interfaces.insert(3, device(3, "tunl0", false));
    round(&mut node, &mut ownership, true);
    let tunl0 = node.facts.interfaces.get_mut(&3).expect("tunl0");
    tunl0.addresses.push(own("10.99.0.1/32"));
    let (ops, _) = round(&mut node, &mut ownership, false);
    assert_eq!(ops, ["ip fou del port 6080"]);
    assert_eq!(round(&mut node, &mut ownership, false), (vec![], vec![]));
    assert_eq!(ownership, Ownership::default());
}

#[test]
fn a_module_that_cannot_be_loaded_is_a_problem_that_names_it() {
    let (mut node, mut ownership) = (node(), Ownership::default());
    node.fou_ports = None;
    node.missing_modules.insert(Module::Ipip);
    let (ops, problems) = round(&mut node, &mut ownership, true);
    assert!(ops.is_empty(), "{ops:?}");
    let [fou, ipip] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    for (problem, module) in [(fou, "modprobe fou"), (ipip, "modprobe ipip")] {
        assert_eq!(problem.reason, reason::UNSUPPORTED_BY_KERNEL);
        assert!(problem.message.contains(module), "{problem:?}");
    }
}

#[test]
fn a_port_of_another_kind_is_left_and_told() {
    let (mut node, mut ownership) = (node(), Ownership::default());
    node.fou_ports = Some(BTreeMap::from([(GUE, FouKind::Direct)]));
    let (ops, problems) = round(&mut node, &mut ownership, true);
    assert_eq!(ops, ["modprobe ipip"]);
    assert!(
        problems[0].message.contains("ip fou del port 6080"),
        "{problems:?}"
    );
    round(&mut node, &mut ownership, false);
    assert_eq!(
        node.fou_ports,
        Some(BTreeMap::from([(GUE, FouKind::Direct)]))
    );
}
