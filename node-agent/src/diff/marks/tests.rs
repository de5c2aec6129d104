use std::num::NonZeroU32;

use lvs_nftables::{MarkRules, Ports, Protocol};

use super::*;
use crate::diff::diff;
use crate::ownership::Ownership;
use crate::plan::marks::MarkPlan;

/// Marks 99 on these ports.
fn plan(ports: &[u16], is_whole: bool) -> Plan {
    let mut rules = MarkRules::default();
    for port in ports {
        let mark = NonZeroU32::new(99).expect("a mark");
        rules
            .insert(
                [192, 0, 2, 1].into(),
                Ports::one(Protocol::Tcp, *port),
                mark,
            )
            .expect("no conflict");
    }
    Plan {
        marks: MarkPlan { rules, is_whole },
        daemons: Some(Vec::new()),
        ..Plan::default()
    }
}

fn with(table: Option<Table>) -> Observed {
    Observed {
        marks: ObservedMarks::Known(table),
        ..Observed::default()
    }
}

fn table(ports: &[u16]) -> Option<Table> {
    Table::new(&plan(ports, true).marks.rules)
}

fn compare(plan: &Plan, observed: &Observed) -> Diff {
    diff(plan, observed, &Ownership::default())
}

fn shown(ops: &[Op]) -> Vec<String> {
    ops.iter().map(ToString::to_string).collect()
}

#[test]
fn marks_are_set_before_the_services_and_deleted_after_them() {
    let changes = compare(&plan(&[443], true), &with(table(&[80])));
    let [before] = &shown(&changes.before)[..] else {
        panic!("{changes:?}");
    };
    assert!(
        before.starts_with("nft add element inet lvs_operator ports_v4"),
        "{before}"
    );
    assert!(before.contains("443"), "{before}");
    let [after] = &shown(&changes.after)[..] else {
        panic!("{changes:?}");
    };
    assert!(
        after.starts_with("nft delete element inet lvs_operator ports_v4"),
        "{after}"
    );
    assert!(after.contains("80"), "{after}");
}

#[test]
fn what_is_as_planned_is_left() {
    assert!(compare(&plan(&[80, 443], true), &with(table(&[80, 443]))).is_empty());
    assert!(compare(&plan(&[], true), &with(None)).is_empty());
    let not_looked_at = Observed::default();
    assert!(compare(&plan(&[80], true), &not_looked_at).is_empty());
}

#[test]
fn a_new_table_is_one_op_and_so_is_its_end() {
    let changes = compare(&plan(&[80], true), &with(None));
    assert_eq!((changes.before.len(), changes.after.len()), (1, 0));
    let text = changes.before[0].to_string();
    assert!(text.contains("more in the same transaction"), "{text}");
    let changes = compare(&plan(&[], true), &with(table(&[80])));
    assert_eq!(shown(&changes.before), [] as [&str; 0]);
    assert_eq!(
        shown(&changes.after),
        ["nft delete table inet lvs_operator"]
    );
}

#[test]
fn nothing_is_deleted_while_the_plan_is_not_whole() {
    let changes = compare(&plan(&[443], false), &with(table(&[80])));
    assert_eq!((changes.before.len(), changes.after.len()), (1, 0));
    assert!(compare(&plan(&[], false), &with(table(&[80]))).is_empty());
}

#[test]
fn what_others_put_into_the_table_is_deleted() {
    let mut found = table(&[80]).expect("a table");
    found.chains.entry("theirs".into()).or_default();
    let changes = compare(&plan(&[80], true), &with(Some(found)));
    assert!(changes.before.is_empty(), "{changes:?}");
    assert_eq!(
        shown(&changes.after),
        ["nft delete chain inet lvs_operator theirs"]
    );
}
