//! Ends of tunnels: modules, devices, UDP ports of GUE.

use std::collections::BTreeMap;

use lvs_crds::v1alpha1::AddressFamily;
use lvs_node_agent::kernel::fou::{Fou, FouError, FouKind, FouPort};
use lvs_node_agent::kernel::modules::Module;
use lvs_node_agent::kernel::network::{Network, Notices};
use lvs_node_agent::op::LinkState;

use super::{fresh, in_runtime, run};

#[test]
#[ignore = "needs a network namespace of its own and modules"]
fn a_module_is_loaded_by_asking_for_its_device() {
    fresh();
    for module in [
        Module::Ipip,
        Module::Sit,
        Module::Ip6Tunnel,
        Module::IpGre,
        Module::Ip6Gre,
    ] {
        module.load().expect("a module that can be loaded");
        let shown = run("ip", &["link", "show", "dev", module.device()]);
        assert!(!shown.contains(",UP"), "{shown}");
        assert!(run("lsmod", &[]).contains(module.name()), "{module}");
    }
}

#[test]
#[ignore = "needs a network namespace of its own and modules"]
fn a_device_is_set_up_and_down() {
    fresh();
    Module::Ipip.load().expect("a module that can be loaded");
    in_runtime(async {
        let network = Network::open(Notices::Links).expect("a socket");
        for is_up in [true, false] {
            let facts = network.facts().await.expect("facts");
            let tunl0 = facts.named("tunl0").expect("tunl0");
            assert_eq!(tunl0.is_up, !is_up);
            let link = LinkState {
                index: tunl0.index,
                name: tunl0.name.clone(),
                is_up,
            };
            network.set_link(&link).await.expect("set");
            let facts = network.facts().await.expect("facts");
            assert_eq!(facts.named("tunl0").expect("tunl0").is_up, is_up);
        }
    });
}

#[test]
#[ignore = "needs a network namespace of its own and modules"]
fn ports_of_gue_are_those_that_ip_fou_shows() {
    fresh();
    let loaded = std::fs::read_to_string("/proc/modules").expect("modules");
    if !loaded.contains("fou ") {
        let error = Fou::connect().expect_err("no kernel loads it by itself");
        assert!(matches!(error, FouError::NoFamily), "{error}");
        run("modprobe", &["fou"]);
    }
    let mut fou = Fou::connect().expect("the family");
    let port = |outer, port| FouPort { outer, port };
    let (v4, v6) = (AddressFamily::IPv4, AddressFamily::IPv6);
    let every = || (6080..6084).flat_map(|number| [port(v4, number), port(v6, number)]);
    assert_eq!(fou.ports(every()).expect("ports"), BTreeMap::new());
    fou.add(port(v4, 6080)).expect("added");
    fou.add(port(v6, 6081)).expect("added");
    let error = fou.add(port(v4, 6080)).expect_err("it is there");
    assert!(matches!(error, FouError::Refused(_)), "{error}");
    // Those of others, of either kind, are seen too.
    run("ip", &["fou", "add", "port", "6082", "ipproto", "4"]);
    run("ip", &["-6", "fou", "add", "port", "6083", "gue"]);
    let expected = BTreeMap::from([
        (port(v4, 6080), FouKind::Gue),
        (port(v4, 6082), FouKind::Direct),
        (port(v6, 6081), FouKind::Gue),
        (port(v6, 6083), FouKind::Gue),
    ]);
    assert_eq!(fou.ports(every()).expect("ports"), expected);
    let shown = run("ip", &["fou", "show"]);
    assert!(shown.contains("port 6080 gue"), "{shown}");
    fou.delete(port(v4, 6080)).expect("deleted");
    fou.delete(port(v6, 6083)).expect("deleted");
    fou.delete(port(v4, 6080)).expect_err("it is gone");
    let ports = fou.ports(every()).expect("ports");
    let left: Vec<u16> = ports.keys().map(|port| port.port).collect();
    assert_eq!(left, [6082, 6081]);
}

#[test]
#[ignore = "needs a network namespace of its own and modules"]
fn none_of_many_ports_is_missed() {
    fresh();
    run("modprobe", &["fou"]);
    let mut fou = Fou::connect().expect("the family");
    let ports: Vec<FouPort> = (20_000..20_064)
        .map(|port| FouPort {
            outer: AddressFamily::IPv4,
            port,
        })
        .collect();
    for port in &ports {
        fou.add(*port).expect("added");
    }
    let found = fou.ports(ports.iter().copied()).expect("ports");
    assert_eq!(found.len(), ports.len());
}
