//! How many connections IPVS knows: the sum of what `/proc/net/ip_vs` counts for each destination.
//!
//! `/proc/net/ip_vs_conn` has a line for each connection, which costs more the more there are.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Fields of a destination's line before those that count its connections: arrow, endpoint, forwarding
/// method, weight.
const FIELDS_BEFORE: usize = 4;

/// Open connections and those about to end, persistence templates not counted.
///
/// # Errors
/// Those of reading the file: without IPVS there is none.
pub fn count(path: &Path) -> io::Result<u64> {
    count_in(BufReader::new(File::open(path)?))
}

fn count_in(text: impl BufRead) -> io::Result<u64> {
    let mut sum = 0u64;
    for line in text.split(b'\n') {
        let line = line?;
        let mut fields = line
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty())
            .peekable();
        if fields.peek() != Some(&b"->".as_slice()) {
            continue;
        }
        sum = fields
            .skip(FIELDS_BEFORE)
            .take(2)
            .filter_map(|field| str::from_utf8(field).ok()?.parse::<u64>().ok())
            .fold(sum, u64::saturating_add);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_all_destinations_are_counted_and_the_titles_not() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0A801DE:0050 wlc persistent 360 FFFFFFFF
  -> C0A80184:0050      Route   1      3          20
  -> C0A80185:0050      Masq    0      100        0
TCP  [20010db8000000000000000000000222]:0050 rr
  -> [2001:0db8:0000:0000:0000:0000:0000:0132]:0050      Route   1      4          5
FWM  00000063 wlc
";
        let count = count_in(text.as_bytes()).expect("counted");
        assert_eq!(count, 3 + 20 + 100 + 4 + 5);
        assert_eq!(
            count_in([0xff, b'\n', b'-', b'>'].as_slice()).expect("counted"),
            0
        );
    }
}
