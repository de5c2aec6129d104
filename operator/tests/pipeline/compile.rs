//! What the plans say.

use std::collections::BTreeSet;

use lvs_crds::v1alpha1::{InterfaceSelector, revision};
use lvs_operator::digest;
use proptest::prelude::*;

use crate::sim::{Sim, WEB};

fn priorities(sim: &Sim, nodes: &[&str]) -> Vec<i32> {
    nodes
        .iter()
        .map(|node| {
            sim.world.node_plans[*node]
                .spec
                .director
                .as_ref()
                .unwrap()
                .instances[0]
                .priority
        })
        .collect()
}

#[test]
fn priorities_follow_preference_order_or_the_list() {
    let directors = "directors: [{nodeName: lb-1}, {nodeName: lb-2}, {nodeName: spare-1}]";
    for (instance, expected) in [
        ("{name: default}", [100, 90, 80]),
        ("{name: default, preferredDirector: lb-2}", [100, 150, 90]),
        (
            "{name: default, priorities: [{nodeName: spare-1, priority: 200}, {nodeName: lb-2, priority: 100}]}",
            [90, 100, 200],
        ),
    ] {
        let sim = Sim::converged(&format!(
            "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {{name: edge}}
spec:
  {directors}
  interface: {{name: eth0}}
  instances: [{instance}]
"
        ));
        assert_eq!(
            priorities(&sim, &["lb-1", "lb-2", "spare-1"]),
            expected,
            "{instance}"
        );
    }
}

#[test]
fn the_interface_of_an_instance_goes_before_the_directors_and_that_before_the_pairs() {
    let sim = Sim::converged(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: edge}
spec:
  directors: [{nodeName: lb-1}, {nodeName: lb-2, interface: {name: eth1}}]
  interface: {name: eth0}
  instances: [{name: outside}, {name: inside, interface: {subnet: 10.0.0.0/24}}]
",
    );
    let named = |name: &str| InterfaceSelector {
        name: Some(name.to_owned()),
        subnet: None,
    };
    let inside = InterfaceSelector {
        name: None,
        subnet: Some("10.0.0.0/24".to_owned()),
    };
    for (node, expected) in [("lb-1", named("eth0")), ("lb-2", named("eth1"))] {
        let role = sim.world.node_plans[node].spec.director.clone().unwrap();
        assert_eq!(role.interface, expected);
        assert_eq!(role.instances[0].interface, expected);
        assert_eq!(role.instances[1].interface, inside);
    }
}

#[test]
fn both_directors_read_the_same_slices_and_all_digests_are_right() {
    let sim = Sim::converged(WEB);
    for slice in sim.world.slices.values() {
        assert_eq!(
            revision::slice_digest(&slice.spec).unwrap(),
            slice.spec.digest
        );
    }
    let names = sim
        .world
        .slices
        .iter()
        .map(|(name, slice)| (name.as_str(), slice.spec.digest.as_str()));
    let digest = revision::slices_digest(names);
    for node in ["lb-1", "lb-2"] {
        let spec = &sim.world.node_plans[node].spec;
        assert_eq!(spec.director.as_ref().unwrap().slices_digest, digest);
        assert_eq!(revision::node_revision(spec).unwrap(), spec.revision);
    }
}

#[test]
fn a_virtual_router_id_is_allocated_once_and_kept() {
    let yaml = |name: &str, node: &str| {
        format!(
            "
---
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {{name: {name}}}
spec:
  directors: [{{nodeName: {node}}}]
  interface: {{name: eth0}}
  instances: [{{name: a}}, {{name: b}}]
"
        )
    };
    let mut sim = Sim::converged(&(yaml("one", "lb-1") + &yaml("two", "lb-2")));
    let vrids = |sim: &Sim| -> Vec<i32> {
        ["one", "two"]
            .iter()
            .flat_map(|name| sim.pair(name).status.clone().unwrap().instances)
            .map(|instance| instance.virtual_router_id)
            .collect()
    };
    let allocated = vrids(&sim);
    assert_eq!(
        allocated.iter().collect::<BTreeSet<_>>().len(),
        4,
        "{allocated:?}"
    );
    // An older pair that comes to want one of them does not get it from the one that runs with it.
    sim.edit_pair("one", |pair| {
        pair.spec.instances[0].virtual_router_id = Some(allocated[2]);
    });
    sim.converge();
    assert_eq!(vrids(&sim), allocated);
    // A sync id that is not given is the first instance's.
    let role = sim.world.node_plans["lb-2"].spec.director.clone().unwrap();
    assert_eq!(role.connection_sync.sync_id, allocated[2]);
}

#[test]
fn a_pool_that_services_share_stands_once() {
    let mut sim = Sim::converged(WEB);
    for index in 0..20 {
        sim.apply(&format!(
            "
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {{name: web-{index}, namespace: default}}
spec:
  directorPairRef: {{name: edge}}
  frontend: {{addresses: [192.168.2.{index}], ports: [{{name: http, port: 80}}]}}
  backends: [{{name: other-name, realServerSelector: {{matchLabels: {{app: web}}}}}}]
"
        ));
    }
    sim.converge();
    let pools: usize = sim
        .world
        .slices
        .values()
        .map(|slice| slice.spec.pools.len())
        .sum();
    assert_eq!(pools, 1);
    assert_eq!(
        sim.real_server("default/web-1")
            .status
            .as_ref()
            .unwrap()
            .virtual_services,
        21
    );
}

#[test]
fn members_are_of_the_families_of_the_vips() {
    let mut sim = Sim::new(WEB);
    for node in ["web-1", "web-2"] {
        sim.apply(&format!(
            "
apiVersion: v1
kind: Node
metadata: {{name: {node}}}
status:
  addresses: [{{type: InternalIP, address: 192.168.1.13{digit}}}, {{type: InternalIP, address: '2001:db8::{digit}'}}]
  conditions: [{{type: Ready, status: 'True'}}]
",
            digit = &node[4..]
        ));
    }
    sim.apply(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: six, namespace: default}
spec:
  directorPairRef: {name: edge}
  frontend: {addresses: ['2001:DB8:0::99'], ports: [{name: http, port: 80}]}
  backends: [{name: web, realServerSelector: {matchLabels: {app: web}}}]
---
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: both, namespace: default}
spec:
  directorPairRef: {name: edge}
  frontend: {addresses: ['2001:db8::98', 192.168.1.98], ports: [{name: http, port: 80}]}
  backends: [{name: web, realServerSelector: {matchLabels: {app: web}}}]
",
    );
    sim.converge();
    let members = |name: &str| sim.members(name).into_keys().collect::<Vec<_>>();
    assert_eq!(members("default/web"), ["192.168.1.131", "192.168.1.132"]);
    assert_eq!(members("default/six"), ["2001:db8::1", "2001:db8::2"]);
    assert_eq!(members("default/both").len(), 4);
    assert!(
        sim.members("default/both")
            .values()
            .all(|member| member.weight == 1)
    );
    assert_eq!(
        sim.loopback("web-1"),
        [
            "192.168.1.98",
            "192.168.1.222",
            "2001:db8::98",
            "2001:db8::99"
        ],
        "in one spelling"
    );
}

#[test]
fn inline_servers_take_port_and_weight_from_the_pool() {
    let sim = Sim::converged(&WEB.replace(
        "realServerSelector: {matchLabels: {app: web}}",
        "port: 8080, weight: 5, servers: [{address: 10.0.0.1}, {address: 10.0.0.2, port: 81, weight: 0}]",
    ).replace("healthCheck: {}", "forwarding: {method: NAT}"));
    let members = sim.members("default/web");
    let found: Vec<_> = members
        .values()
        .map(|member| (member.port, member.weight, member.checked))
        .collect();
    assert_eq!(found, [(8080, 5, true), (81, 0, true)]);
}

#[test]
fn directors_may_read_the_secrets_that_pairs_name_and_no_others() {
    let mut sim = Sim::new(WEB);
    assert_eq!(sim.decide().secrets_role["rules"], serde_json::json!([]));
    sim.apply(
        "
apiVersion: v1
kind: Secret
metadata: {name: vrrp, namespace: lvs-system}
data: {password: MTExMQ==}
",
    );
    sim.edit_pair("edge", |pair| {
        pair.spec.vrrp = serde_yaml::from_str(
            "{version: 2, authentication: {type: Simple, secretRef: {name: vrrp}}}",
        )
        .unwrap();
    });
    let role = sim.decide().secrets_role;
    assert_eq!(
        role["rules"][0]["resourceNames"],
        serde_json::json!(["vrrp"])
    );
    assert_eq!(role["rules"].as_array().unwrap().len(), 1);
    sim.converge();
    let accepted = sim.pair("edge").status.clone().unwrap().conditions;
    assert_eq!(crate::sim::condition_of(&accepted, "Accepted").0, "True");
}

proptest! {
    /// Snapshots arrive in any order; plans do not depend on it.
    #[test]
    fn plans_depend_on_the_objects_alone(seed in any::<u64>()) {
        let mut sim = Sim::converged(WEB);
        let slices = sim.slices();
        let plans: Vec<_> = sim.world.node_plans.values().map(|plan| plan.spec.clone()).collect();
        let order = |name: &Option<String>| digest::number(&format!("{seed} {name:?}"));
        sim.world.services.sort_by_key(|object| order(&object.metadata.name));
        sim.world.real_servers.sort_by_key(|object| order(&object.metadata.name));
        sim.world.sort();
        sim.converge();
        prop_assert_eq!(slices, sim.slices());
        let after: Vec<_> = sim.world.node_plans.values().map(|plan| plan.spec.clone()).collect();
        prop_assert_eq!(plans, after);
    }
}

#[test]
fn who_waits_for_connections_is_told_of_them_every_five_seconds_unless_the_pair_says_otherwise() {
    let pair = |vrrp: &str, sysctls: &str| {
        let sim = Sim::converged(&format!(
            "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {{name: edge}}
spec:
  directors: [{{nodeName: lb-1}}, {{nodeName: lb-2}}]
  interface: {{name: eth0}}
  vrrp: {vrrp}
  sysctls: {sysctls}
"
        ));
        let role = sim.world.node_plans["lb-1"].spec.director.clone().unwrap();
        role.sysctls.sync_refresh_period_seconds
    };
    let after_sync = "{preemption: {mode: AfterSync}}";
    assert_eq!(pair(after_sync, "{}"), Some(5));
    assert_eq!(pair(after_sync, "{syncRefreshPeriodSeconds: 9}"), Some(9));
    assert_eq!(pair(after_sync, "{mode: Ignore}"), None);
    assert_eq!(pair("{preemption: {mode: Immediate}}", "{}"), None);
}

#[test]
fn by_unicast_each_director_has_the_reported_addresses_of_the_others() {
    let mut sim = Sim::converged(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: edge}
spec:
  directors: [{nodeName: lb-1}, {nodeName: lb-2}, {nodeName: spare-1}]
  interface: {name: eth0}
  instances: [{name: outside}, {name: inside, interface: {name: eth1}}]
",
    );
    let peers = |sim: &Sim, node: &str| -> Vec<Vec<String>> {
        let role = sim.world.node_plans[node].spec.director.clone().unwrap();
        role.instances.into_iter().map(|it| it.peers).collect()
    };
    sim.sources = [
        ("lb-1", "outside", "192.168.1.128"),
        ("lb-2", "outside", "192.168.1.129"),
        ("lb-2", "outside", "fe80::129"),
        ("lb-2", "inside", "10.0.0.129"),
        ("spare-1", "outside", "192.168.1.133"),
    ]
    .map(|(node, instance, address)| (node.to_owned(), instance.to_owned(), address.to_owned()))
    .into();
    sim.converge();
    assert_eq!(
        peers(&sim, "lb-1"),
        [[""; 0], [""; 0]],
        "multicast needs none"
    );
    sim.edit_pair("edge", |pair| {
        pair.spec.vrrp = serde_yaml::from_str("{transport: {mode: Unicast}}").unwrap();
    });
    sim.converge();
    let outside = ["192.168.1.129", "192.168.1.133", "fe80::129"].map(str::to_owned);
    let inside = ["10.0.0.129"].map(str::to_owned);
    assert_eq!(peers(&sim, "lb-1"), [outside.to_vec(), inside.to_vec()]);
    let outside = ["192.168.1.128", "192.168.1.133"].map(str::to_owned);
    assert_eq!(peers(&sim, "lb-2"), [outside.to_vec(), Vec::new()]);
    sim.edit_pair("edge", |pair| {
        pair.spec.directors[2].admin_state = lvs_crds::v1alpha1::AdminState::Disabled;
    });
    sim.converge();
    assert_eq!(peers(&sim, "lb-2")[0], ["192.168.1.128"]);
}

/// Sources of lb-2 and spare-1 as lb-1 knows them: nothing has run on these yet.
#[test]
fn by_unicast_a_director_that_has_not_reported_is_where_the_objects_say() {
    let peers = |directors: &str, interface: &str, instance: &str| {
        let mut sim = Sim::new(&format!(
            "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {{name: edge}}
spec:
  directors: [{{nodeName: lb-1}}, {directors}]
  interface: {interface}
  instances: [{{name: default{instance}}}]
  vrrp: {{transport: {{mode: Unicast}}}}
"
        ));
        // A node in two subnets, and twice in one of them.
        let node = std::sync::Arc::make_mut(sim.world.nodes.get_mut("spare-1").unwrap());
        let addresses = node.status.as_mut().unwrap().addresses.as_mut().unwrap();
        for address in ["10.0.0.140", "10.0.0.141", "2001:db8::140"] {
            addresses.push(k8s_openapi::api::core::v1::NodeAddress {
                type_: "InternalIP".to_owned(),
                address: address.to_owned(),
            });
        }
        sim.operate();
        let role = sim.world.node_plans["lb-1"].spec.director.clone().unwrap();
        role.instances[0].peers.clone()
    };
    let two = "{nodeName: lb-2}, {nodeName: spare-1}";
    let outside = "{subnet: 192.168.1.0/24}";
    assert_eq!(peers(two, outside, ""), ["192.168.1.128", "192.168.1.140"]);
    // The instance's interface is what counts; by its name nothing is known of addresses.
    let inside = ", interface: {subnet: 10.0.0.0/24}";
    assert_eq!(peers(two, outside, inside), [""; 0], "one of two addresses");
    assert_eq!(peers(two, "{name: eth0}", ""), [""; 0]);
    assert_eq!(
        peers(two, "{subnet: 2001:db8::/64}", ""),
        [""; 0],
        "not link-local"
    );
    let own = "{nodeName: lb-2, interface: {name: eth7}}, {nodeName: spare-1}";
    assert_eq!(peers(own, outside, ""), ["192.168.1.140"]);

    let named =
        "{nodeName: lb-2, sourceAddress: fe80::2}, {nodeName: spare-1, sourceAddress: 10.0.0.141}";
    assert_eq!(peers(named, outside, ""), ["10.0.0.141", "fe80::2"]);
    assert_eq!(peers(named, "{name: eth0}", ""), ["10.0.0.141", "fe80::2"]);
    assert_eq!(
        peers(named, "{name: eth0}", ", interface: {name: eth1}"),
        [""; 0],
        "the address is that of the director's own interface"
    );
}

#[test]
fn by_unicast_what_an_agent_reports_is_truer_than_what_the_objects_say() {
    let mut sim = Sim::new(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: edge}
spec:
  directors: [{nodeName: lb-1}, {nodeName: lb-2}]
  interface: {subnet: 192.168.1.0/24}
  vrrp: {transport: {mode: Unicast}}
",
    );
    let peers = |sim: &Sim| {
        let role = sim.world.node_plans["lb-1"].spec.director.clone().unwrap();
        role.instances[0].peers.clone()
    };
    sim.converge();
    assert_eq!(
        peers(&sim),
        ["192.168.1.128"],
        "reported without an address"
    );
    let reported = ("lb-2", "default", "192.168.1.99");
    sim.sources = vec![(reported.0.into(), reported.1.into(), reported.2.into())];
    sim.converge();
    assert_eq!(peers(&sim), ["192.168.1.99"]);
}

#[test]
fn an_instance_watches_what_all_watch_and_what_it_names_itself() {
    let sim = Sim::converged(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: edge}
spec:
  directors: [{nodeName: lb-1}, {nodeName: lb-2}]
  interface: {name: eth0}
  vrrp:
    track: [{name: uplink, interface: eth1}, {name: gateway, weight: -60, ping: {address: 192.0.2.1}}]
  instances:
  - {name: outside}
  - name: inside
    track: [{name: gateway, ping: {address: 10.0.0.1}}, {name: flag, file: {name: out}}]
",
    );
    let role = sim.world.node_plans["lb-2"].spec.director.clone().unwrap();
    assert_eq!(role.vrrp.track, [], "it stands on the instances");
    let tracks: Vec<Vec<(String, i32, i32)>> = role
        .instances
        .iter()
        .map(|it| {
            it.track
                .iter()
                .map(|it| (it.name.clone(), it.weight, it.fall))
                .collect()
        })
        .collect();
    let entry = |name: &str, weight| (name.to_owned(), weight, 3);
    assert_eq!(
        tracks,
        [
            vec![entry("uplink", 0), entry("gateway", -60)],
            vec![entry("uplink", 0), entry("gateway", 0), entry("flag", 0)],
        ]
    );
    let address = |it: &lvs_crds::v1alpha1::Track| it.ping.clone().unwrap().address;
    assert_eq!(address(&role.instances[1].track[1]), "10.0.0.1");
}

#[test]
fn the_routes_of_an_instance_reach_every_director_with_their_defaults() {
    let sim = Sim::converged(
        "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: edge}
spec:
  directors: [{nodeName: lb-1}, {nodeName: lb-2}]
  interface: {name: eth0}
  instances:
  - {name: outside}
  - name: inside
    addresses: [{address: 10.0.0.9}]
    routes: [{destination: 10.1.0.0/16, gateway: 10.0.0.1}]
",
    );
    for node in ["lb-1", "lb-2"] {
        let role = sim.world.node_plans[node].spec.director.clone().unwrap();
        assert_eq!(role.instances[0].routes, []);
        let [route] = role.instances[1].routes.as_slice() else {
            panic!("{:?}", role.instances[1].routes);
        };
        assert_eq!(route.destination, "10.1.0.0/16");
        assert_eq!(route.gateway.as_deref(), Some("10.0.0.1"));
        assert_eq!((route.metric, route.table), (0, 254));
    }
}
