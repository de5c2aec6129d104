use super::*;
use crate::change::Change;
use crate::wire::transaction;

const OWN: u32 = 42;

/// Notifications of a change by a port, as the kernel makes them of requests.
fn notification(port: u32) -> Vec<u8> {
    let mut bytes = transaction(&[Change::AddTable], 1).bytes;
    // The port number of each header: two messages of 20 bytes without attributes around the one about the table.
    let table = bytes.len() - 40;
    for header in [0, 20, 20 + table] {
        bytes[header + 12..header + 16].copy_from_slice(&port.to_ne_bytes());
    }
    bytes
}

#[test]
fn others_changes_of_our_table_are_news() {
    assert!(is_news(&notification(7), OWN));
    assert!(!is_news(&notification(OWN), OWN));
}

#[test]
fn changes_of_other_tables_are_none() {
    let mut bytes = notification(7);
    let place = bytes
        .windows(TABLE.len())
        .position(|window| window == TABLE.as_bytes())
        .unwrap();
    bytes[place] = b'L';
    assert!(!is_news(&bytes, OWN));
}

#[test]
fn what_cannot_be_read_may_be_news() {
    assert!(is_news(&[1, 2, 3], OWN));
    assert!(!is_news(&[], OWN));
}
