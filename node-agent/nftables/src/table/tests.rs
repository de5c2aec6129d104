use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::rules::{MarkRules, Ports, PortsKind, Protocol};
use crate::wire::uapi::{
    NFPROTO_IPV4, NFPROTO_IPV6, NFT_CMP_EQ, NFT_CMP_GTE, NFT_META_L4PROTO, NFT_META_MARK,
    NFT_META_NFPROTO, NFT_PAYLOAD_NETWORK_HEADER,
};

/// The mark that the rules mean, told from their documentation.
fn meant(rules: &MarkRules, address: IpAddr, protocol: Protocol, port: u16) -> u32 {
    let fits = |ports: Ports| {
        ports.protocol() == protocol
            && match ports.kind() {
                PortsKind::Every => true,
                PortsKind::Range(first, last) => (first..=last).contains(&port),
                PortsKind::One(one) => one == port,
            }
    };
    rules
        .iter()
        .filter(|(of, ports, _)| *of == address && fits(*ports))
        .max_by_key(|(_, ports, _)| match ports.kind() {
            PortsKind::Every => 0,
            PortsKind::Range(..) => 1,
            PortsKind::One(_) => 2,
        })
        .map_or(0, |(_, _, mark)| mark.get())
}

/// What becomes of a rule after an expression.
enum Step {
    BreakOff,
    Next,
    Through(String),
}

/// What the machine of `nf_tables` makes of a packet: its registers, and its mark.
struct Machine {
    registers: [u8; 64],
    mark: [u8; 4],
}

impl Machine {
    fn at(&mut self, register: Register) -> &mut [u8] {
        let Register::Slot(slot) = register else {
            panic!("the verdict has no bytes")
        };
        &mut self.registers[usize::try_from(slot).unwrap() * 4..]
    }

    /// Stores a value padded to whole slots, as the kernel does.
    fn store(&mut self, register: Register, value: &[u8]) {
        let mut padded = value.to_vec();
        padded.resize(value.len().next_multiple_of(4), 0);
        self.at(register)[..padded.len()].copy_from_slice(&padded);
    }

    fn chain(&mut self, table: &Table, name: &str, packet: (IpAddr, Protocol, u16)) {
        'rules: for rule in &table.chains[name].rules {
            for expression in rule {
                match self.step(table, expression, packet) {
                    Step::BreakOff => continue 'rules,
                    Step::Next => {}
                    Step::Through(chain) => self.chain(table, &chain, packet),
                }
            }
        }
    }

    fn step(
        &mut self,
        table: &Table,
        expression: &Expression,
        (address, protocol, port): (IpAddr, Protocol, u16),
    ) -> Step {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let data = match expression {
            Expression::Meta { key, into } => {
                let value = match *key {
                    NFT_META_L4PROTO => protocol.number(),
                    NFT_META_NFPROTO if address.is_ipv4() => NFPROTO_IPV4,
                    NFT_META_NFPROTO => NFPROTO_IPV6,
                    other => panic!("{other}"),
                };
                self.store(*into, &[value]);
                return Step::Next;
            }
            Expression::SetMeta { key, from } => {
                assert_eq!(*key, NFT_META_MARK);
                self.mark = self.at(*from)[..4].try_into().unwrap();
                return Step::Next;
            }
            Expression::Payload {
                base, length, into, ..
            } => {
                let value = if *base == NFT_PAYLOAD_NETWORK_HEADER {
                    octets
                } else {
                    port.to_be_bytes().to_vec()
                };
                assert_eq!(value.len(), usize::try_from(*length).unwrap());
                self.store(*into, &value);
                return Step::Next;
            }
            Expression::Compare {
                register,
                operation,
                value,
            } => {
                let have = &self.at(*register)[..value.len()];
                let holds = match *operation {
                    NFT_CMP_EQ => have == value.as_slice(),
                    NFT_CMP_GTE => have >= value.as_slice(),
                    _ => have <= value.as_slice(),
                };
                return if holds { Step::Next } else { Step::BreakOff };
            }
            Expression::Lookup { map, key, into } => {
                let map = &table.maps[map];
                let length = usize::try_from(map.kind.key_length).unwrap();
                let key = self.at(*key)[..length].to_vec();
                let Some(data) = map.elements.get(&key) else {
                    return Step::BreakOff;
                };
                (into.unwrap(), data.clone())
            }
            Expression::Immediate { into, data } => (*into, data.clone()),
            Expression::Other { name, .. } => panic!("{name}"),
        };
        match data {
            (into, Data::Value(value)) => {
                self.store(into, &value);
                Step::Next
            }
            (_, Data::Verdict(verdict)) => verdict.chain.map_or(Step::Next, Step::Through),
        }
    }
}

proptest! {
    #[test]
    fn the_table_does_what_the_rules_mean(rules in arbitrary::rules()) {
        let Some(table) = Table::new(&rules) else {
            prop_assert!(rules.is_empty());
            return Ok(());
        };
        for address in [[192, 0, 2, 1].into(), [192, 0, 2, 9].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2].into()] {
            for protocol in Protocol::ALL {
                for port in (0..9).chain([1000, u16::MAX]) {
                    for hook in ["prerouting", "output"] {
                        let mut machine = Machine { registers: [0xaa; 64], mark: [0; 4] };
                        machine.chain(&table, hook, (address, protocol, port));
                        prop_assert_eq!(
                            u32::from_ne_bytes(machine.mark),
                            meant(&rules, address, protocol, port),
                            "{} {} {}: {:?}", address, protocol, port, rules
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn registers_have_the_kernels_numbers() {
    for (register, number) in [
        (Register::Verdict, 0),
        (Register::Slot(0), 1),
        (Register::Slot(1), 9),
        (Register::Slot(4), 2),
        (Register::Slot(5), 13),
        (Register::Slot(15), 23),
    ] {
        assert_eq!(register.number(), number);
        assert_eq!(Register::from_number(number), register);
    }
    for number in [5, 7, 24, u32::MAX] {
        assert_eq!(Register::from_number(number).number(), number);
    }
    // The other name of the same place.
    assert_eq!(Register::from_number(12), Register::Slot(4));
}
