//! The lab's network: a switch, the control plane's host and the clients, each a network namespace.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::netns::{Namespace, list};
use crate::topology::{Machine, Topology};

/// The address that pods know the API server by: the first of the Service range.
pub(crate) const API_CLUSTER_IP: &str = "10.96.0.1";

/// The network of the command channels.
const MANAGEMENT_NETWORK: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 0);

/// The callers' address on it, in the switch's namespace.
const MANAGEMENT_CALLER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);

/// The namespaces of one lab.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    lab: String,
}

impl Network {
    pub(crate) fn new(lab: &str) -> Self {
        Self {
            lab: lab.to_owned(),
        }
    }

    /// Holds the bridges and the taps; the kernels run in it.
    pub(crate) fn switch(&self) -> Namespace {
        self.namespace("switch")
    }

    /// Holds etcd, the API server, controller manager and scheduler.
    pub(crate) fn control(&self) -> Namespace {
        self.namespace("control")
    }

    /// A client's host.
    pub(crate) fn namespace(&self, machine: &str) -> Namespace {
        Namespace::new(format!("{}-{machine}", self.lab))
    }

    /// Makes everything but the nodes themselves.
    pub(crate) fn up(&self, topology: &Topology) -> Result<()> {
        let (switch, control) = (self.switch(), self.control());
        switch.add()?;
        control.add()?;
        for client in &topology.clients {
            self.namespace(&client.name).add()?;
        }

        // Without a querier on the LAN, snooping would only delay multicast.
        let mut lines: Vec<String> = vec![
            "link set lo up".into(),
            "link add lan type bridge forward_delay 0 mcast_snooping 0".into(),
            "link add mgmt type bridge forward_delay 0 mcast_snooping 0".into(),
            "link set lan up".into(),
            "link set mgmt up".into(),
            format!("address add {MANAGEMENT_CALLER}/24 dev mgmt"),
        ];
        for (port, namespace) in std::iter::once(("control", control.clone())).chain(
            topology
                .clients
                .iter()
                .map(|client| (client.name.as_str(), self.namespace(&client.name))),
        ) {
            lines.push(format!(
                "link add {port} type veth peer name eth0 netns {}",
                namespace.name
            ));
            lines.push(format!("link set {port} master lan up"));
        }
        for node in &topology.nodes {
            for (tap, bridge) in [(data_tap(node), "lan"), (management_tap(node), "mgmt")] {
                lines.push(format!("tuntap add dev {tap} mode tap"));
                lines.push(format!("link set {tap} master {bridge} up"));
            }
        }
        switch.ip(&lines)?;

        for parameter in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            control.set(parameter, "1")?;
        }
        control.set("ipv4/conf/all/send_redirects", "0")?;
        control.set("ipv4/conf/default/send_redirects", "0")?;
        let mut lines = attach(
            topology,
            &Machine {
                name: "control".into(),
                address: topology.gateway(),
            },
        );
        lines.push(format!("address add {API_CLUSTER_IP}/32 dev lo"));
        for (index, node) in topology.nodes.iter().enumerate() {
            lines.push(format!(
                "route add {} via {}",
                pod_subnet(index),
                node.address
            ));
        }
        control.ip(&lines)?;

        for client in &topology.clients {
            let mut lines = attach(topology, client);
            lines.push(format!("route add default via {}", topology.gateway()));
            self.namespace(&client.name).ip(&lines)?;
        }
        Ok(())
    }

    /// Ends what still runs in the lab's namespaces and removes them. Works on whatever a crash has left.
    pub(crate) fn down(&self) -> Result<()> {
        for namespace in self.all()? {
            for pid in namespace.processes()? {
                crate::process::kill_and_wait(pid)?;
            }
            crate::command::run("ip", &["netns", "delete", &namespace.name])?;
        }
        Ok(())
    }

    /// The namespaces that exist now.
    pub(crate) fn all(&self) -> Result<Vec<Namespace>> {
        list(&format!("{}-", self.lab))
    }

    /// Takes the node's data cable out of the switch.
    pub(crate) fn cut(&self, node: &Machine) -> Result<()> {
        self.switch()
            .ip(&[format!("link set {} nomaster", data_tap(node))])
    }

    /// Puts it back.
    pub(crate) fn restore(&self, node: &Machine) -> Result<()> {
        self.switch()
            .ip(&[format!("link set {} master lan", data_tap(node))])
    }
}

/// The switch's end of a node's data cable.
pub(crate) fn data_tap(node: &Machine) -> String {
    format!("tap-{}", node.name)
}

/// The switch's end of a node's management cable.
pub(crate) fn management_tap(node: &Machine) -> String {
    format!("mgm-{}", node.name)
}

/// The node's address for the command channel; `index` is its place in the topology.
pub(crate) fn management_address(index: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(
        MANAGEMENT_NETWORK.to_bits() | u32::try_from(index + 10).unwrap_or(u32::MAX),
    )
}

/// The node's range of pod addresses.
pub(crate) fn pod_subnet(index: usize) -> String {
    format!("10.244.{}.0/24", index + 1)
}

fn attach(topology: &Topology, machine: &Machine) -> Vec<String> {
    vec![
        "link set lo up".into(),
        format!("link set eth0 address {}", machine.mac(0)),
        "link set eth0 up".into(),
        format!(
            "address add {}/{} dev eth0",
            machine.address, topology.prefix_length
        ),
        format!("address add {}/64 dev eth0 nodad", machine.address6()),
    ]
}
