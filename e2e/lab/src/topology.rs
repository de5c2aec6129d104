//! What a lab consists of: nodes, clients and the LAN that joins them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// The machines of a lab and their addresses on one LAN.
///
/// The control plane is the LAN's first address and every machine's gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Topology {
    /// Network address of the LAN.
    pub network: Ipv4Addr,
    /// Length of the LAN's prefix in bits, 16 to 24.
    pub prefix_length: u8,
    /// Nodes of the cluster, each with a kernel of its own.
    pub nodes: Vec<Machine>,
    /// Machines that send traffic; they are no nodes.
    pub clients: Vec<Machine>,
}

/// A machine and its address on the LAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Host name; at most 11 characters, since an interface is named after it.
    pub name: String,
    /// Address on the LAN.
    pub address: Ipv4Addr,
}

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
        Self::new(Ipv4Addr::new(192, 168, 1, 0), &nodes)
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
        Self::new(Ipv4Addr::new(172, 28, 14, 0), &nodes)
    }

    fn new(network: Ipv4Addr, nodes: &[(&str, u8)]) -> Self {
        let [a, b, c, _] = network.octets();
        let machines = |list: &[(&str, u8)]| {
            list.iter()
                .map(|&(name, last)| Machine {
                    name: name.to_owned(),
                    address: Ipv4Addr::new(a, b, c, last),
                })
                .collect()
        };
        Self {
            network,
            prefix_length: 24,
            nodes: machines(nodes),
            clients: machines(&[("client-1", 20), ("client-2", 21)]),
        }
    }

    /// A built-in topology (`s1`, `s2`) or a YAML file.
    ///
    /// # Errors
    /// When it is neither, or breaks a rule of this type.
    pub fn load(name: &str) -> Result<Self> {
        let topology = match name {
            "s1" => Self::s1(),
            "s2" => Self::s2(),
            path => {
                let text = std::fs::read_to_string(Path::new(path))
                    .with_context(|| format!("topology {path:?}: neither s1 nor s2 nor a file"))?;
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
            (16..=24).contains(&self.prefix_length),
            "prefixLength {}: 16 to 24 is wanted",
            self.prefix_length
        );
        ensure!(
            (1..=200).contains(&self.nodes.len()),
            "nodes: at least one and at most 200 are wanted"
        );
        let mut seen = vec![self.gateway()];
        let mut names = Vec::new();
        for machine in self.machines() {
            let Machine { name, address } = machine;
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
                self.contains(*address),
                "{name}: address {address} is not in the network {}",
                self.cidr()
            );
            ensure!(
                !seen.contains(address),
                "{name}: address {address} is taken"
            );
            seen.push(*address);
            names.push(name);
        }
        Ok(())
    }

    /// Nodes, then clients.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.nodes.iter().chain(&self.clients)
    }

    /// The LAN in the form `192.168.1.0/24`.
    #[must_use]
    pub fn cidr(&self) -> String {
        format!("{}/{}", self.network, self.prefix_length)
    }

    /// The first address of the LAN: the control plane's, and every machine's gateway.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | 1)
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        let host_bits = 32 - u32::from(self.prefix_length);
        address.to_bits() >> host_bits == self.network.to_bits() >> host_bits
    }
}

impl Machine {
    /// The machine's IPv6 address on the LAN: `fd00::/64` with the IPv4 address as interface identifier.
    #[must_use]
    pub fn address6(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(self.address.to_bits()))
    }

    /// Both addresses.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.address.into(), self.address6().into()]
    }

    /// A locally administered MAC address made from the IPv4 address; `card` tells a machine's cards apart.
    pub(crate) fn mac(&self, card: u8) -> String {
        let [a, b, c, d] = self.address.octets();
        format!("02:{card:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_topologies_keep_their_own_rules() {
        for name in ["s1", "s2"] {
            assert_eq!(Topology::load(name).unwrap().nodes.len(), 5);
        }
        assert_eq!(Topology::s2().gateway(), Ipv4Addr::new(172, 28, 14, 1));
    }

    #[test]
    fn a_topology_survives_yaml() {
        let text = serde_yaml::to_string(&Topology::s1()).unwrap();
        assert_eq!(
            serde_yaml::from_str::<Topology>(&text).unwrap(),
            Topology::s1()
        );
    }

    #[test]
    fn wrong_topologies_are_refused_with_the_reason() {
        let refused = |change: fn(&mut Topology)| {
            let mut topology = Topology::s1();
            change(&mut topology);
            topology.check().unwrap_err().to_string()
        };
        assert!(refused(|t| t.nodes.clear()).contains("at least one"));
        assert!(refused(|t| t.nodes[0].name = "director-number-1".into()).contains("1 to 11"));
        assert!(refused(|t| t.nodes[0].address = t.nodes[1].address).contains("is taken"));
        assert!(
            refused(|t| t.nodes[0].address = Ipv4Addr::new(10, 0, 0, 1))
                .contains("not in the network")
        );
        assert!(refused(|t| t.clients[0].name = "lb-1".into()).contains("twice"));
        assert!(refused(|t| t.clients[0].address = t.gateway()).contains("is taken"));
    }

    #[test]
    fn addresses_of_both_families_and_both_cards_differ() {
        let machine = &Topology::s1().nodes[0];
        assert_eq!(machine.address6().to_string(), "fd00::c0a8:181");
        assert_eq!(machine.mac(0), "02:00:c0:a8:01:81");
        assert_ne!(machine.mac(0), machine.mac(1));
    }
}
