//! Plans and facts for tests.

use std::collections::BTreeMap;

use lvs_crds::v1alpha1::{RouterState, revision};
use lvs_ipvs::{Command, Table};
use serde_json::{Value, json};

use crate::bundle::PlanBundle;
use crate::facts::{Interface, InterfaceAddress, NodeFacts};
use crate::model;
use crate::vrrp::{Family, RouterReport};

/// Applies a command to a whole table.
pub(crate) fn apply(table: &mut Table, command: &Command) {
    let Some(key) = command.changed_service() else {
        return;
    };
    let mut entry = table.entries.remove(&key);
    model::apply(&mut entry, command);
    table.entries.extend(entry.map(|entry| (key, entry)));
}

/// A router for IPv4 that is Active and with which all is well.
pub(crate) fn active_router(instance: &str) -> RouterReport {
    RouterReport {
        instance: instance.into(),
        family: Family::Ipv4,
        interface: "eth0".into(),
        state: RouterState::Active,
        vips_present: true,
        foreign_vips: Vec::new(),
        fought_vips: Vec::new(),
        refused_routes: Vec::new(),
        send_error: None,
        split_brain: None,
        conflicts: Vec::new(),
        lost_peer: None,
        failed_tracks: Vec::new(),
        fault: None,
    }
}

/// An address that somebody else gave to an interface, for good.
pub(crate) fn own(address: &str) -> InterfaceAddress {
    let (address, prefix_length) = address.split_once('/').expect("address/prefix");
    InterfaceAddress {
        address: address.parse().expect("an address"),
        prefix_length: prefix_length.parse().expect("a prefix length"),
        protocol: None,
        is_permanent: true,
    }
}

/// The facts of a node with `lo` (1) and `eth0` (2), which has the given addresses.
pub(crate) fn facts(eth0: &[&str]) -> NodeFacts {
    let interface = |index, name: &str, addresses: Vec<InterfaceAddress>| Interface {
        index,
        name: name.to_owned(),
        is_loopback: name == "lo",
        is_up: true,
        addresses,
    };
    let interfaces = [
        interface(1, "lo", vec![own("127.0.0.1/8"), own("::1/128")]),
        interface(2, "eth0", eth0.iter().map(|address| own(address)).collect()),
    ];
    NodeFacts {
        interfaces: interfaces
            .map(|interface| (interface.index, interface))
            .into(),
    }
}

/// A director of the pair `edge` whose one slice has these services and pools.
pub(crate) fn director(services: &Value, pools: &Value) -> PlanBundle {
    let slice = json!({"digest": "slice", "services": services, "pools": pools});
    let plan = json!({
        "formatVersion": 1, "revision": "r1",
        "director": {
            "pair": "edge", "interface": {"subnet": "192.168.1.0/24"},
            "instances": [{
                "name": "default", "virtualRouterID": 51, "priority": 100,
                "interface": {"subnet": "192.168.1.0/24"},
            }],
            "vrrp": {}, "connectionSync": {"syncID": 51},
            "slicesDigest": revision::slices_digest([("edge-0", "slice")]),
        },
    });
    PlanBundle {
        name: "lb-1".into(),
        plan: serde_json::from_value(plan).expect("a plan"),
        generation: 1,
        slices: BTreeMap::from([(
            "edge-0".into(),
            serde_json::from_value(slice).expect("a slice"),
        )]),
    }
}

/// The service `default/web` on 192.168.1.222:80 with the pool `web`, with `changes` on top.
pub(crate) fn web(changes: &Value) -> Value {
    let mut service = json!({
        "name": "default/web", "uid": "u1", "instance": "default",
        "addresses": ["192.168.1.222"], "ports": [{"name": "http", "port": 80}],
        "forwarding": {"method": "DR"}, "scheduler": {"name": "rr"}, "pools": ["web"],
    });
    for (field, value) in changes.as_object().expect("an object") {
        service[field] = value.clone();
    }
    service
}

/// The pool `web` of 192.168.1.130 with weight 1 and 192.168.1.131 with weight 2.
pub(crate) fn pool() -> Value {
    json!([{"name": "web", "members": [
        {"address": "192.168.1.130", "weight": 1},
        {"address": "192.168.1.131", "weight": 2},
    ]}])
}

/// A director with the service [`web`].
pub(crate) fn web_director(changes: &Value) -> PlanBundle {
    director(&json!([web(changes)]), &pool())
}

/// A real server at 192.168.1.130 with these VIPs on `lo`.
pub(crate) fn real_server(vips: &[&str]) -> PlanBundle {
    let addresses: Vec<Value> = vips
        .iter()
        .map(|vip| json!({"address": vip, "interface": "lo", "suppressArp": true}))
        .collect();
    let plan = json!({
        "formatVersion": 1, "revision": "r1",
        "realServer": {"nodeAddress": "192.168.1.130", "addresses": addresses},
    });
    PlanBundle {
        name: "web-1".into(),
        plan: serde_json::from_value(plan).expect("a plan"),
        generation: 1,
        slices: BTreeMap::new(),
    }
}

/// The same with tunnels that end there.
pub(crate) fn tunnel_server(vips: &[&str], tunnels: &Value) -> PlanBundle {
    let mut bundle = real_server(vips);
    if let Some(role) = &mut bundle.plan.real_server {
        role.tunnels = serde_json::from_value(tunnels.clone()).expect("tunnels");
    }
    bundle
}

/// A device without addresses.
pub(crate) fn device(index: u32, name: &str, is_up: bool) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        is_loopback: false,
        is_up,
        addresses: Vec::new(),
    }
}
