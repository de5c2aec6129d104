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
            "link add mgmt type bridge forward_delay 0 mcast_snooping 0".into(),
            "link set mgmt up".into(),
            format!("address add {MANAGEMENT_CALLER}/24 dev mgmt"),
        ];
        for index in 0..topology.networks.len() {
            let lan = bridge(index);
            lines.push(format!(
                "link add {lan} type bridge forward_delay 0 mcast_snooping 0"
            ));
            lines.push(format!("link set {lan} up"));
        }
        let router = topology.control();
        for machine in std::iter::once(&router).chain(&topology.clients) {
            let namespace = self.namespace(&machine.name);
            for card in topology.cards(machine) {
                let port = format!("{}.{}", machine.name, card.number);
                lines.push(format!(
                    "link add {port} type veth peer name {} netns {}",
                    card.interface(),
                    namespace.name
                ));
                lines.push(format!(
                    "link set {port} master {} up",
                    bridge(card.network)
                ));
            }
        }
        for node in &topology.nodes {
            let cards = topology.cards(node);
            let data = cards
                .iter()
                .map(|card| (data_tap(node, card.number), bridge(card.network)));
            for (tap, bridge) in data.chain([(management_tap(node), "mgmt".into())]) {
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
        let mut lines = attach(topology, &router);
        lines.push(format!("address add {API_CLUSTER_IP}/32 dev lo"));
        for (index, node) in topology.nodes.iter().enumerate() {
            lines.push(format!(
                "route add {} via {}",
                pod_subnet(index),
                node.address()
            ));
        }
        control.ip(&lines)?;

        for client in &topology.clients {
            let mut lines = attach(topology, client);
            lines.push(format!(
                "route add default via {}",
                gateway(topology, client)
            ));
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

    /// Takes the node's data cables out of the switch.
    pub(crate) fn cut(&self, topology: &Topology, node: &Machine) -> Result<()> {
        let cards = topology.cards(node);
        let lines: Vec<_> = cards
            .iter()
            .map(|card| format!("link set {} nomaster", data_tap(node, card.number)))
            .collect();
        self.switch().ip(&lines)
    }

    /// Puts them back.
    pub(crate) fn restore(&self, topology: &Topology, node: &Machine) -> Result<()> {
        let cards = topology.cards(node);
        let lines: Vec<_> = cards
            .iter()
            .map(|card| {
                let (tap, lan) = (data_tap(node, card.number), bridge(card.network));
                format!("link set {tap} master {lan}")
            })
            .collect();
        self.switch().ip(&lines)
    }
}

/// Where a machine's default route leads.
pub(crate) fn gateway(topology: &Topology, machine: &Machine) -> Ipv4Addr {
    machine.gateway.unwrap_or_else(|| topology.router(machine))
}

/// The bridge that is a LAN.
fn bridge(network: usize) -> String {
    format!("lan{network}")
}

/// The switch's end of one of a node's data cables; 15 characters are the longest name of an interface.
pub(crate) fn data_tap(node: &Machine, card: usize) -> String {
    format!("ta{card}-{}", node.name)
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
    let mut lines = vec!["link set lo up".into()];
    for card in topology.cards(machine) {
        let interface = card.interface();
        lines.push(format!(
            "link set {interface} address {} mtu {} up",
            card.mac(),
            card.lan.mtu
        ));
        let [address, address6] = card.addresses();
        lines.push(format!("address add {address} dev {interface}"));
        lines.push(format!("address add {address6} dev {interface} nodad"));
    }
    lines
}
