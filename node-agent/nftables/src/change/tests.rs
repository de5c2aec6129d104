use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::rules::{MarkRules, Ports, Protocol};
use crate::table::{Chain, Expression, Verdict};

/// What the kernel makes of changes; it refuses what the kernel refuses.
#[allow(
    clippy::unwrap_in_result,
    reason = "a test fails where it is; none stands for no table"
)]
fn commit(mut table: Option<Table>, changes: &[Change]) -> Option<Table> {
    for change in changes {
        if *change == Change::AddTable {
            table.get_or_insert_default();
            continue;
        }
        let is = table.as_mut().expect("there is a table");
        match change {
            Change::AddTable => {}
            Change::DeleteTable => table = None,
            Change::AddMap { name, kind } => {
                let map = Map {
                    kind: *kind,
                    ..Map::default()
                };
                assert_eq!(is.maps.insert(name.clone(), map), None);
            }
            Change::AddChain { name, base } => {
                let chain = Chain {
                    base: base.clone(),
                    ..Chain::default()
                };
                assert_eq!(is.chains.insert(name.clone(), chain), None);
            }
            Change::DeleteChain { name } => {
                assert!(!led_to(is, name), "{name} is in use");
                assert!(is.chains.remove(name).is_some());
            }
            Change::FlushChain { name } => is.chains.get_mut(name).unwrap().rules.clear(),
            Change::AddRule { chain, rule } => {
                for expression in rule {
                    match expression {
                        Expression::Lookup { map, .. } => assert!(is.maps.contains_key(map)),
                        Expression::Immediate { data, .. } => leads_somewhere(is, data),
                        _ => {}
                    }
                }
                is.chains.get_mut(chain).unwrap().rules.push(rule.clone());
            }
            Change::AddElements { map, elements, .. } => {
                assert!(!elements.is_empty());
                for (key, data) in elements {
                    leads_somewhere(is, data);
                    let map = is.maps.get_mut(map).unwrap();
                    assert_eq!(map.elements.insert(key.clone(), data.clone()), None);
                }
            }
            Change::DeleteElements { map, keys, .. } => {
                assert!(!keys.is_empty());
                for key in keys {
                    assert!(is.maps.get_mut(map).unwrap().elements.remove(key).is_some());
                }
            }
        }
    }
    table
}

fn leads_somewhere(table: &Table, data: &Data) {
    if let Data::Verdict(Verdict {
        chain: Some(chain), ..
    }) = data
    {
        assert!(table.chains.contains_key(chain), "no chain {chain}");
    }
}

fn led_to(table: &Table, name: &str) -> bool {
    let leads = |data: &Data| matches!(data, Data::Verdict(Verdict { chain: Some(chain), .. }) if chain == name);
    let in_rules = table
        .chains
        .values()
        .flat_map(|chain| chain.rules.iter().flatten())
        .any(|expression| matches!(expression, Expression::Immediate { data, .. } if leads(data)));
    in_rules
        || table
            .maps
            .values()
            .flat_map(|map| map.elements.values())
            .any(leads)
}

proptest! {
    #[test]
    fn changes_lead_to_what_is_wanted(before in arbitrary::rules(), after in arbitrary::rules()) {
        let (before, after) = (Table::new(&before), Table::new(&after));
        let changes = changes(before.as_ref(), after.as_ref());
        prop_assert_eq!(commit(before.clone(), &changes), after.clone());
        prop_assert_eq!(changes.is_empty(), before == after);
        // As long as there is a table, it stays.
        if before.is_some() && after.is_some() {
            prop_assert!(!changes.contains(&Change::DeleteTable));
        }
    }

    #[test]
    fn whatever_is_there_becomes_what_is_wanted(before in arbitrary::table(), after in arbitrary::rules()) {
        let after = Table::new(&after);
        let changes = changes(Some(&before), after.as_ref());
        prop_assert_eq!(commit(Some(before), &changes), after);
    }

    #[test]
    fn a_table_made_anew_needs_nothing_of_what_is_there(before in arbitrary::table(), after in arbitrary::rules()) {
        let Some(after) = Table::new(&after) else { return Ok(()) };
        prop_assert_eq!(commit(Some(before), &replace(&after)), Some(after.clone()));
        prop_assert_eq!(commit(None, &replace(&after)), Some(after));
    }
}

#[test]
fn one_rule_more_is_one_element_more() {
    let mut rules = MarkRules::default();
    let mark = 99.try_into().unwrap();
    let vip = [192, 168, 159, 110].into();
    rules
        .insert(vip, Ports::one(Protocol::Tcp, 80), mark)
        .unwrap();
    let before = Table::new(&rules);
    rules
        .insert(vip, Ports::one(Protocol::Tcp, 443), mark)
        .unwrap();
    let changes = changes(before.as_ref(), Table::new(&rules).as_ref());
    let shown: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["nft add element inet lvs_operator ports_v4 { 192.168.159.110 . tcp . 443 : 0x00000063 }"]
    );
}

#[test]
fn another_mark_replaces_the_element() {
    let table = |mark: u32| {
        let mut rules = MarkRules::default();
        let ports = Ports::Every(Protocol::Sctp);
        let vip = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into();
        rules.insert(vip, ports, mark.try_into().unwrap()).unwrap();
        Table::new(&rules)
    };
    let changes = changes(table(1).as_ref(), table(2).as_ref());
    let shown: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "nft delete element inet lvs_operator protocols_v6 { 2001:db8::1 . sctp }",
            "nft add element inet lvs_operator protocols_v6 { 2001:db8::1 . sctp : 0x00000002 }",
        ]
    );
}
