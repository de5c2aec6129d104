//! What leads from one table to another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::table::{Base, Data, Map, MapType, Rule, TABLE, Table};

/// A change of our table. It prints as `nft` would take it, but for the expressions of rules, which print as
/// `nft --debug=netlink` shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes the table; nothing happens if it is there.
    AddTable,
    /// Deletes the table with all that is in it.
    DeleteTable,
    /// Makes a map.
    AddMap {
        /// Its name.
        name: String,
        /// What it maps to what.
        kind: MapType,
    },
    /// Makes a chain.
    AddChain {
        /// Its name.
        name: String,
        /// Where packets enter it.
        base: Option<Base>,
    },
    /// Deletes a chain that nothing leads to any more, with its rules.
    DeleteChain {
        /// Its name.
        name: String,
    },
    /// Deletes the rules of a chain.
    FlushChain {
        /// Its name.
        name: String,
    },
    /// Adds a rule at the end of a chain.
    AddRule {
        /// Name of the chain.
        chain: String,
        /// The rule.
        rule: Rule,
    },
    /// Adds elements, at least one.
    AddElements {
        /// Name of the map.
        map: String,
        /// What it maps to what.
        kind: MapType,
        /// Data by key.
        elements: BTreeMap<Vec<u8>, Data>,
    },
    /// Deletes elements, at least one.
    DeleteElements {
        /// Name of the map.
        map: String,
        /// What it maps to what.
        kind: MapType,
        /// The keys.
        keys: BTreeSet<Vec<u8>>,
    },
}

/// The changes that lead from the table that was observed to the one that is wanted; none of either if there is no
/// table. They are meant as one transaction, in this order.
///
/// As long as maps and hooks are what they should be, only what differs is changed: packets that other elements fit
/// see nothing of it. Otherwise the table is made anew. That is one transaction too, but a packet that is between two
/// steps of the old table while the kernel switches over can find the rest of it empty and go on without a mark.
#[must_use]
pub fn changes(observed: Option<&Table>, wanted: Option<&Table>) -> Vec<Change> {
    match (observed, wanted) {
        (None, None) => Vec::new(),
        (Some(_), None) => vec![Change::DeleteTable],
        (Some(observed), Some(wanted)) if same_frame(observed, wanted) => edit(observed, wanted),
        (_, Some(wanted)) => replace(wanted),
    }
}

/// The changes that make the table anew, whatever the kernel has.
pub(crate) fn replace(wanted: &Table) -> Vec<Change> {
    // Deleting what is not there would be an error.
    let mut changes = vec![Change::AddTable, Change::DeleteTable, Change::AddTable];
    changes.extend(wanted.maps.iter().map(|(name, map)| Change::AddMap {
        name: name.clone(),
        kind: map.kind,
    }));
    let empty = Table {
        maps: wanted
            .maps
            .iter()
            .map(|(name, map)| {
                let map = Map {
                    kind: map.kind,
                    ..Map::default()
                };
                (name.clone(), map)
            })
            .collect(),
        ..Table::default()
    };
    changes.extend(edit(&empty, wanted));
    changes
}

/// Whether everything that [`edit`] does not change is equal.
fn same_frame(one: &Table, other: &Table) -> bool {
    let maps = |table: &Table| -> Vec<_> {
        table
            .maps
            .iter()
            .map(|(name, map)| (name.clone(), map.kind))
            .collect()
    };
    let hooks = |table: &Table| -> Vec<_> {
        table
            .chains
            .iter()
            .filter_map(|(name, chain)| Some((name.clone(), chain.base.clone()?)))
            .collect()
    };
    one.flags == other.flags && maps(one) == maps(other) && hooks(one) == hooks(other)
}

/// Changes of chains, rules and elements, between tables that have the same maps.
fn edit(observed: &Table, wanted: &Table) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, chain) in &wanted.chains {
        if !observed.chains.contains_key(name) {
            changes.push(Change::AddChain {
                name: name.clone(),
                base: chain.base.clone(),
            });
        }
    }
    for (name, chain) in &wanted.chains {
        let before = observed.chains.get(name).map(|chain| &chain.rules);
        if before == Some(&chain.rules) {
            continue;
        }
        if before.is_some_and(|rules| !rules.is_empty()) {
            changes.push(Change::FlushChain { name: name.clone() });
        }
        changes.extend(chain.rules.iter().map(|rule| Change::AddRule {
            chain: name.clone(),
            rule: rule.clone(),
        }));
    }
    for (name, map) in &wanted.maps {
        let Some(before) = observed.maps.get(name) else {
            continue;
        };
        let keys: BTreeSet<_> = before
            .elements
            .iter()
            .filter(|(key, data)| map.elements.get(*key) != Some(data))
            .map(|(key, _)| key.clone())
            .collect();
        if !keys.is_empty() {
            changes.push(Change::DeleteElements {
                map: name.clone(),
                kind: map.kind,
                keys,
            });
        }
        let elements: BTreeMap<_, _> = map
            .elements
            .iter()
            .filter(|(key, data)| before.elements.get(*key) != Some(data))
            .map(|(key, data)| (key.clone(), data.clone()))
            .collect();
        if !elements.is_empty() {
            changes.push(Change::AddElements {
                map: name.clone(),
                kind: map.kind,
                elements,
            });
        }
    }
    // Last: elements and rules that led to them are gone.
    for name in observed.chains.keys() {
        if !wanted.chains.contains_key(name) {
            changes.push(Change::DeleteChain { name: name.clone() });
        }
    }
    changes
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddTable => write!(f, "nft add table inet {TABLE}"),
            Self::DeleteTable => write!(f, "nft delete table inet {TABLE}"),
            Self::AddMap { name, kind } => {
                write!(
                    f,
                    "nft add map inet {TABLE} {name} {{ {}; }}",
                    kind.declaration()
                )
            }
            Self::AddChain { name, base } => {
                write!(f, "nft add chain inet {TABLE} {name}")?;
                match base {
                    None => Ok(()),
                    Some(base) => write!(f, " {base}"),
                }
            }
            Self::DeleteChain { name } => write!(f, "nft delete chain inet {TABLE} {name}"),
            Self::FlushChain { name } => write!(f, "nft flush chain inet {TABLE} {name}"),
            Self::AddRule { chain, rule } => {
                write!(f, "nft add rule inet {TABLE} {chain}")?;
                rule.iter()
                    .try_for_each(|expression| write!(f, " {expression}"))
            }
            Self::AddElements {
                map,
                kind,
                elements,
            } => {
                write!(f, "nft add element inet {TABLE} {map} {{")?;
                for (index, (key, data)) in elements.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} {} : {data}", kind.key(key))?;
                }
                f.write_str(" }")
            }
            Self::DeleteElements { map, kind, keys } => {
                write!(f, "nft delete element inet {TABLE} {map} {{")?;
                for (index, key) in keys.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} {}", kind.key(key))?;
                }
                f.write_str(" }")
            }
        }
    }
}

#[cfg(test)]
mod tests;
