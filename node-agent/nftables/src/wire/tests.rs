use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::change::{Change, changes};
use crate::table::Table;

/// Changes that make a table as the kernel would dump it, in its order.
fn dumped(table: &Table) -> Vec<Change> {
    let mut list = vec![Change::AddTable];
    for (name, map) in &table.maps {
        let (name, kind) = (name.clone(), map.kind);
        list.push(Change::AddMap { name, kind });
    }
    for (name, chain) in &table.chains {
        let (name, base) = (name.clone(), chain.base.clone());
        list.push(Change::AddChain { name, base });
    }
    for (name, chain) in &table.chains {
        list.extend(chain.rules.iter().map(|rule| Change::AddRule {
            chain: name.clone(),
            rule: rule.clone(),
        }));
    }
    for (name, map) in &table.maps {
        list.push(Change::AddElements {
            map: name.clone(),
            kind: map.kind,
            elements: map.elements.clone(),
        });
    }
    list
}

/// What the messages of a datagram say.
fn parts(datagram: &[u8]) -> Vec<Part> {
    packets(datagram)
        .filter_map(|message| match message.unwrap().payload {
            Payload::Packet(packet) => read(&packet).unwrap(),
            _ => None,
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read(table in arbitrary::table()) {
        let bytes = transaction(&dumped(&table), 7).bytes;
        prop_assert_eq!(Table::collect(parts(&bytes)), Some(table));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for message in packets(&bytes).flatten() {
            if let Payload::Packet(packet) = message.payload {
                let _ = read(&packet);
                let _ = table_name(&packet);
            }
        }
        // Past the headers, where random bytes seldom come.
        for message in 0..=u8::MAX {
            let packet = Packet { message, family: uapi::NFPROTO_INET, attributes: bytes.clone() };
            let _ = read(&packet);
        }
    }

    #[test]
    fn broken_messages_are_read_or_refused(
        rules in arbitrary::rules(),
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = transaction(&changes(None, Table::new(&rules).as_ref()), 1).bytes;
        prop_assume!(!bytes.is_empty());
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(end.index(bytes.len()));
        for message in packets(&bytes).flatten() {
            if let Payload::Packet(packet) = message.payload {
                let _ = read(&packet);
            }
        }
    }

    #[test]
    fn sequence_numbers_lead_to_changes(rules in arbitrary::rules(), sequence in any::<u32>()) {
        let changes = changes(None, Table::new(&rules).as_ref());
        let transaction = transaction(&changes, sequence);
        let numbers: Vec<_> = packets(&transaction.bytes).map(|message| message.unwrap().sequence).collect();
        prop_assert!(numbers.iter().all(|number| transaction.contains(*number)));
        prop_assert!(!transaction.contains(sequence.wrapping_sub(1)) && !transaction.contains(transaction.next));
        prop_assert_eq!(numbers.first(), Some(&transaction.begin));
        prop_assert_eq!(transaction.change(transaction.begin), None);
        prop_assert_eq!(numbers.last(), Some(&transaction.next.wrapping_sub(1)));
        prop_assert_eq!(transaction.change(transaction.next.wrapping_sub(1)), None);
        let asked: Vec<_> = numbers[1..numbers.len() - 1]
            .iter()
            .map(|number| transaction.change(*number).unwrap())
            .collect();
        // Each change has a message here, for none has more elements than fit into one.
        prop_assert_eq!(asked, (0..changes.len()).collect::<Vec<_>>());
        prop_assert_eq!(transaction.last, *numbers.get(numbers.len() - 2).unwrap());
    }
}

/// Attributes of the element `192.0.2.1 . tcp : 0x63` of the map `protocols_v4`, as `nft` 1.0.6 sends them
/// (`nft --debug=mnl`), but for the number of the set.
const ELEMENT_OF_NFT: &[u8] = &[
    17, 0, 1, 0, b'l', b'v', b's', b'_', b'o', b'p', b'e', b'r', b'a', b't', b'o', b'r', 0, 0, 0,
    0, 17, 0, 2, 0, b'p', b'r', b'o', b't', b'o', b'c', b'o', b'l', b's', b'_', b'v', b'4', 0, 0,
    0, 0, 36, 0, 3, 0x80, 32, 0, 1, 0x80, 16, 0, 1, 0x80, 12, 0, 1, 0, 192, 0, 2, 1, 6, 0, 0, 0,
    12, 0, 2, 0x80, 8, 0, 1, 0, 99, 0, 0, 0,
];

#[cfg(target_endian = "little")]
#[test]
fn an_element_is_written_as_nft_writes_it() {
    let mut rules = crate::MarkRules::default();
    let every = crate::Ports::Every(crate::Protocol::Tcp);
    rules
        .insert([192, 0, 2, 1].into(), every, 99.try_into().unwrap())
        .unwrap();
    let table = Table::new(&rules).unwrap();
    let elements = changes(Some(&table_without_elements(&table)), Some(&table));
    let bytes = transaction(&elements, 1).bytes;
    let sent: Vec<_> = packets(&bytes)
        .filter_map(|message| match message.unwrap().payload {
            Payload::Packet(packet) => Some(packet.attributes),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [ELEMENT_OF_NFT]);
}

fn table_without_elements(table: &Table) -> Table {
    let mut table = table.clone();
    for map in table.maps.values_mut() {
        map.elements.clear();
    }
    table
}

#[test]
fn many_elements_are_many_messages() {
    let mut rules = crate::MarkRules::default();
    for port in 0..5000 {
        let ports = crate::Ports::one(crate::Protocol::Udp, port);
        rules
            .insert([192, 0, 2, 1].into(), ports, 1.try_into().unwrap())
            .unwrap();
    }
    let table = Table::new(&rules).unwrap();
    let transaction = transaction(&changes(None, Some(&table)), 1);
    assert_eq!(Table::collect(parts(&transaction.bytes)), Some(table));
    let lengths = packets(&transaction.bytes).map(|message| match message.unwrap().payload {
        Payload::Packet(packet) => packet.attributes.len(),
        _ => 0,
    });
    assert!(lengths.max().unwrap() < usize::from(u16::MAX));
}
