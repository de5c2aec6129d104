//! What a lab consists of: nodes, clients and the LANs that join them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// The machines of a lab and the LANs that they are on.
///
/// The control plane has the first address of every LAN. It is the router between them, and the gateway of a
/// machine that names no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Topology {
    /// The LANs, 1 to 8.
    pub networks: Vec<Lan>,
    /// Nodes of the cluster, each with a kernel of its own.
    pub nodes: Vec<Machine>,
    /// Machines that send traffic; they are no nodes.
    pub clients: Vec<Machine>,
}

/// A layer-2 network with one IPv4 prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lan {
    /// Network address.
    pub network: Ipv4Addr,
    /// Length of the prefix in bits, 16 to 24.
    pub prefix_length: u8,
    /// Longest packet in bytes that a machine or the router sends, 1280 to 1500.
    #[serde(default = "default_mtu")]
    pub mtu: u16,
}

/// A machine and its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Host name; at most 11 characters, since an interface is named after it.
    pub name: String,
    /// One address for each LAN that the machine is on, 1 to 4: the first is that of `eth0` and the node's
    /// `InternalIP`, the next that of `eth1`.
    pub addresses: Vec<Ipv4Addr>,
    /// Where the default route leads, an address on the first LAN that need not exist yet; none: the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
}

/// One network card of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Card<'a> {
    /// 0 is `eth0`.
    pub(crate) number: usize,
    /// Place of its LAN in [`Topology::networks`].
    pub(crate) network: usize,
    pub(crate) lan: &'a Lan,
    pub(crate) address: Ipv4Addr,
}

/// The topologies that have a name.
const BUILT_IN: [&str; 7] = ["s1", "s2", "s3", "s4", "s6", "s7", "s8"];

impl Topology {
    /// Two directors, two web servers and a spare node on 192.168.1.0/24.
    #[must_use]
    pub fn s1() -> Self {
        let nodes = [
            ("lb-1", 129),
            ("lb-2", 128),
            ("web-1", 130),
            ("web-2", 131),
            ("spare-1", 132),
        ];
        Self::one_lan([192, 168, 1], &nodes)
    }

    /// Two directors and three real servers on 172.28.14.0/24.
    #[must_use]
    pub fn s2() -> Self {
        let nodes = [
            ("lb-1", 11),
            ("lb-2", 12),
            ("rs-1", 13),
            ("rs-2", 14),
            ("rs-3", 15),
        ];
        Self::one_lan([172, 28, 14], &nodes)
    }

    /// Two directors between the outside 192.168.144.0/24, where the clients are, and the inside 128.10.10.0/24,
    /// where the real servers are. The real servers' default route is 128.10.10.7, an address that the
    /// directors are to share. The spare node is inside too.
    #[must_use]
    pub fn s3() -> Self {
        let outside = |last| Ipv4Addr::new(192, 168, 144, last);
        let inside = |last| Ipv4Addr::new(128, 10, 10, last);
        let behind = |name: &str, last| Machine {
            gateway: Some(inside(7)),
            ..machine(name, &[inside(last)])
        };
        Self {
            networks: vec![lan(outside(0)), lan(inside(0))],
            nodes: vec![
                machine("lb-1", &[outside(5), inside(5)]),
                machine("lb-2", &[outside(6), inside(6)]),
                behind("web-1", 8),
                behind("web-2", 9),
                behind("spare-1", 10),
            ],
            clients: vec![
                machine("client-1", &[outside(20)]),
                machine("client-2", &[outside(21)]),
            ],
        }
    }

    /// Two directors, two web servers and a spare node on 192.168.159.0/24.
    #[must_use]
    pub fn s4() -> Self {
        let nodes = [
            ("lb-1", 100),
            ("lb-2", 101),
            ("web-1", 120),
            ("web-2", 121),
            ("spare-1", 122),
        ];
        Self::one_lan([192, 168, 159], &nodes)
    }

    /// Two directors, two web servers and a spare node on 192.168.6.0/24.
    #[must_use]
    pub fn s6() -> Self {
        let nodes = [
            ("lb-1", 11),
            ("lb-2", 12),
            ("web-1", 31),
            ("web-2", 32),
            ("spare-1", 33),
        ];
        Self::one_lan([192, 168, 6], &nodes)
    }

    /// Two directors and three web servers on 192.168.2.0/24.
    #[must_use]
    pub fn s7() -> Self {
        let nodes = [
            ("lb-1", 98),
            ("lb-2", 99),
            ("web-1", 101),
            ("web-2", 102),
            ("web-3", 103),
        ];
        Self::one_lan([192, 168, 2], &nodes)
    }

    /// Two directors and the clients on 10.8.1.0/24; two web servers and a spare node on 10.8.2.0/24, behind
    /// the router.
    #[must_use]
    pub fn s8() -> Self {
        let near = |last| Ipv4Addr::new(10, 8, 1, last);
        let far = |last| Ipv4Addr::new(10, 8, 2, last);
        Self {
            networks: vec![lan(near(0)), lan(far(0))],
            nodes: vec![
                machine("lb-1", &[near(11)]),
                machine("lb-2", &[near(12)]),
                machine("web-1", &[far(21)]),
                machine("web-2", &[far(22)]),
                machine("spare-1", &[far(23)]),
            ],
            clients: vec![
                machine("client-1", &[near(30)]),
                machine("client-2", &[near(31)]),
            ],
        }
    }

    fn one_lan([a, b, c]: [u8; 3], nodes: &[(&str, u8)]) -> Self {
        let address = |last| Ipv4Addr::new(a, b, c, last);
        let machines = |list: &[(&str, u8)]| {
            list.iter()
                .map(|&(name, last)| machine(name, &[address(last)]))
                .collect()
        };
        Self {
            networks: vec![lan(address(0))],
            nodes: machines(nodes),
            clients: machines(&[("client-1", 20), ("client-2", 21)]),
        }
    }

    /// A built-in topology (`s1`, `s2`, `s3`, `s4`, `s7`, `s8`) or a YAML file.
    ///
    /// # Errors
    /// When it is neither, or breaks a rule of this type.
    pub fn load(name: &str) -> Result<Self> {
        let topology = match name {
            "s1" => Self::s1(),
            "s2" => Self::s2(),
            "s3" => Self::s3(),
            "s4" => Self::s4(),
            "s6" => Self::s6(),
            "s7" => Self::s7(),
            "s8" => Self::s8(),
            path => {
                let text = std::fs::read_to_string(Path::new(path)).with_context(|| {
                    let names = BUILT_IN.join(", ");
                    format!("topology {path:?}: neither one of {names} nor a file")
                })?;
                serde_yaml::from_str(&text).with_context(|| format!("topology {path}"))?
            }
        };
        topology.check()?;
        Ok(topology)
    }

    /// Checks names and addresses.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (1..=8).contains(&self.networks.len()),
            "networks: 1 to 8 are wanted"
        );
        for lan in &self.networks {
            let Lan {
                network,
                prefix_length,
                mtu,
            } = lan;
            ensure!(
                (16..=24).contains(prefix_length),
                "prefixLength {prefix_length} of {network}: 16 to 24 is wanted"
            );
            ensure!(
                (1280..=1500).contains(mtu),
                "mtu {mtu} of {network}: 1280 to 1500 is wanted"
            );
            let holders = self
                .networks
                .iter()
                .filter(|other| other.contains(*network));
            ensure!(holders.count() == 1, "network {network} is in another one");
        }
        ensure!(
            (1..=200).contains(&self.nodes.len()),
            "nodes: at least one and at most 200 are wanted"
        );
        let mut seen: Vec<Ipv4Addr> = self.networks.iter().map(Lan::router).collect();
        let mut names = Vec::new();
        for machine in self.machines() {
            let Machine {
                name,
                addresses,
                gateway,
            } = machine;
            let well_formed = (1..=11).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            ensure!(
                well_formed,
                "name {name:?}: 1 to 11 lower-case letters, digits and '-' are wanted"
            );
            ensure!(!names.contains(&name), "name {name:?} is given twice");
            ensure!(
                (1..=4).contains(&addresses.len()),
                "{name}: 1 to 4 addresses are wanted"
            );
            for address in addresses {
                ensure!(
                    self.networks.iter().any(|lan| lan.contains(*address)),
                    "{name}: address {address} is not in a network of {}",
                    self.cidrs()
                );
                ensure!(
                    !seen.contains(address),
                    "{name}: address {address} is taken"
                );
                seen.push(*address);
            }
            let cards = self.cards(machine);
            ensure!(
                cards.iter().all(|card| {
                    let others = cards.iter().filter(|other| other.network == card.network);
                    others.count() == 1
                }),
                "{name}: two addresses are in the same network"
            );
            if let Some((gateway, card)) = gateway.zip(cards.first()) {
                ensure!(
                    card.lan.contains(gateway),
                    "{name}: gateway {gateway} is not in the network {} of the first address",
                    card.lan.cidr()
                );
            }
            names.push(name);
        }
        Ok(())
    }

    /// Nodes, then clients.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.nodes.iter().chain(&self.clients)
    }

    /// The LANs in the form `192.168.144.0/24, 128.10.10.0/24`.
    #[must_use]
    pub fn cidrs(&self) -> String {
        let cidrs: Vec<_> = self.networks.iter().map(Lan::cidr).collect();
        cidrs.join(", ")
    }

    /// The control plane's host: the first address of each LAN.
    #[must_use]
    pub fn control(&self) -> Machine {
        Machine {
            name: "control".into(),
            addresses: self.networks.iter().map(Lan::router).collect(),
            gateway: None,
        }
    }

    /// The control plane's address on a machine's first LAN.
    #[must_use]
    pub fn router(&self, machine: &Machine) -> Ipv4Addr {
        let cards = self.cards(machine);
        cards
            .first()
            .map_or(Ipv4Addr::UNSPECIFIED, |card| card.lan.router())
    }

    /// A machine's cards, `eth0` first.
    pub(crate) fn cards(&self, machine: &Machine) -> Vec<Card<'_>> {
        let place = |address| {
            let mut numbered = self.networks.iter().enumerate();
            numbered.find(|(_, lan)| lan.contains(address))
        };
        machine
            .addresses
            .iter()
            .enumerate()
            .filter_map(|(number, &address)| {
                let (network, lan) = place(address)?;
                Some(Card {
                    number,
                    network,
                    lan,
                    address,
                })
            })
            .collect()
    }
}

impl Lan {
    /// The network in the form `192.168.1.0/24`.
    #[must_use]
    pub fn cidr(&self) -> String {
        format!("{}/{}", self.network, self.prefix_length)
    }

    /// The first address: the control plane's.
    #[must_use]
    pub fn router(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | 1)
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        let host_bits = 32 - u32::from(self.prefix_length);
        address.to_bits() >> host_bits == self.network.to_bits() >> host_bits
    }
}

impl Machine {
    /// The first address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        let first = self.addresses.first();
        first.copied().unwrap_or(Ipv4Addr::UNSPECIFIED)
    }
}

impl Card<'_> {
    /// Name of the interface.
    pub(crate) fn interface(&self) -> String {
        format!("eth{}", self.number)
    }

    /// `ADDRESS/LENGTH` of both families. The IPv6 network is `fd00::/64` on the first LAN, `fd00:0:0:1::/64`
    /// on the second; the interface identifier is the IPv4 address.
    pub(crate) fn addresses(&self) -> [String; 2] {
        let network = u128::try_from(self.network).unwrap_or_default();
        let bits = 0xfd00 << 112 | network << 64 | u128::from(self.address.to_bits());
        [
            format!("{}/{}", self.address, self.lan.prefix_length),
            format!("{}/64", Ipv6Addr::from_bits(bits)),
        ]
    }

    /// MAC address made from the IPv4 address.
    pub(crate) fn mac(&self) -> String {
        mac(0, self.address)
    }
}

/// A locally administered MAC address; `kind` tells cards of the same IPv4 address apart.
pub(crate) fn mac(kind: u8, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:{kind:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

fn lan(network: Ipv4Addr) -> Lan {
    Lan {
        network,
        prefix_length: 24,
        mtu: default_mtu(),
    }
}

fn machine(name: &str, addresses: &[Ipv4Addr]) -> Machine {
    Machine {
        name: name.to_owned(),
        addresses: addresses.to_vec(),
        gateway: None,
    }
}

fn default_mtu() -> u16 {
    1500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_topologies_keep_their_own_rules() {
        for name in BUILT_IN {
            assert_eq!(Topology::load(name).unwrap().nodes.len(), 5, "{name}");
        }
        let topology = Topology::s2();
        assert_eq!(
            topology.router(&topology.nodes[0]),
            Ipv4Addr::new(172, 28, 14, 1)
        );
    }

    #[test]
    fn a_topology_survives_yaml() {
        for topology in [Topology::s1(), Topology::s3()] {
            let text = serde_yaml::to_string(&topology).unwrap();
            assert_eq!(serde_yaml::from_str::<Topology>(&text).unwrap(), topology);
        }
    }

    #[test]
    fn wrong_topologies_are_refused_with_the_reason() {
        let refused = |change: fn(&mut Topology)| {
            let mut topology = Topology::s3();
            change(&mut topology);
            topology.check().unwrap_err().to_string()
        };
        assert!(refused(|t| t.nodes.clear()).contains("at least one"));
        assert!(refused(|t| t.nodes[0].name = "director-number-1".into()).contains("1 to 11"));
        assert!(
            refused(|t| t.nodes[0].addresses = t.nodes[1].addresses.clone()).contains("is taken")
        );
        assert!(
            refused(|t| t.nodes[0].addresses = vec![Ipv4Addr::new(10, 0, 0, 1)])
                .contains("not in a network")
        );
        assert!(refused(|t| t.nodes[0].addresses.clear()).contains("1 to 4"));
        assert!(
            refused(|t| t.nodes[0].addresses[1] = Ipv4Addr::new(192, 168, 144, 9))
                .contains("same network")
        );
        assert!(refused(|t| t.clients[0].name = "lb-1".into()).contains("twice"));
        assert!(
            refused(|t| t.clients[0].addresses = vec![t.networks[0].router()]).contains("is taken")
        );
        assert!(
            refused(|t| t.nodes[2].gateway = Some(Ipv4Addr::new(192, 168, 144, 1)))
                .contains("gateway")
        );
        assert!(refused(|t| t.networks[1].mtu = 9000).contains("mtu 9000"));
        assert!(refused(|t| t.networks.push(t.networks[0].clone())).contains("in another"));
    }

    #[test]
    fn each_card_has_its_own_addresses_of_both_families() {
        let topology = Topology::s3();
        let cards = topology.cards(&topology.nodes[0]);
        let addresses: Vec<_> = cards.iter().map(Card::addresses).collect();
        assert_eq!(
            addresses,
            [
                ["192.168.144.5/24", "fd00::c0a8:9005/64"],
                ["128.10.10.5/24", "fd00::1:0:0:800a:a05/64"]
            ]
        );
        assert_eq!(cards[0].mac(), "02:00:c0:a8:90:05");
        assert_ne!(cards[0].mac(), mac(1, cards[0].address));
    }
}
