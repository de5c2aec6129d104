//! From the kernel's messages to the table.

use crate::table::Table;
use crate::wire::Part;

impl Table {
    /// The table that the parts make up; none if the table itself is not among them. Rules and elements stand after
    /// their chains and maps, as they are asked for; what is of a chain or map that vanished meanwhile is left out.
    #[must_use]
    pub fn collect(parts: impl IntoIterator<Item = Part>) -> Option<Self> {
        let mut found = false;
        let mut table = Self::default();
        for part in parts {
            match part {
                Part::Generation(_) => {}
                Part::Table(flags) => {
                    found = true;
                    table.flags = flags;
                }
                Part::Chain(name, base) => table.chains.entry(name).or_default().base = base,
                Part::Rule(chain, rule) => {
                    if let Some(chain) = table.chains.get_mut(&chain) {
                        chain.rules.push(rule);
                    }
                }
                Part::Map(name, kind) => table.maps.entry(name).or_default().kind = kind,
                Part::Elements(map, elements) => {
                    if let Some(map) = table.maps.get_mut(&map) {
                        map.elements.extend(elements);
                    }
                }
            }
        }
        found.then_some(table)
    }
}
