//! Whatever the kernel reports is a table or an error, and a table can be written and read back.
//!
//! `cargo +nightly fuzz run table`

#![no_main]

use libfuzzer_sys::fuzz_target;
use lvs_nftables::wire::{Part, Payload, packets, read, table_name, transaction};
use lvs_nftables::{Table, changes};

fn parts(datagram: &[u8]) -> Vec<Part> {
    packets(datagram)
        .flatten()
        .filter_map(|message| match message.payload {
            Payload::Packet(packet) => {
                let _ = table_name(&packet);
                read(&packet).ok().flatten()
            }
            _ => None,
        })
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some(mut table) = Table::collect(parts(bytes)) else {
        return;
    };
    // We set no flags, and so none are written.
    table.flags = 0;
    let made = changes(None, Some(&table));
    for change in &made {
        let _ = change.to_string();
    }
    let again = transaction(&made, 1);
    assert_eq!(Table::collect(parts(&again.bytes)), Some(table));
});
