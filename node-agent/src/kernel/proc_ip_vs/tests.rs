use proptest::prelude::*;

use lvs_ipvs::{Command, DestinationKey, Name, Persistence, ServiceFlags};

use super::*;
use crate::fixture::apply;

/// As Linux 6.12 shows it, with counters of a busy table.
const TEXT: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0A801DE:0050 rr persistent 12500 FFFFFF00
  -> C0A80183:0050      Route   2      17         4
  -> C0A80182:1F90      Masq    0      0          0
TCP  [2001:0db8:0000:0000:0000:0000:0000:0222]:0050 sh
  -> [2001:0db8:0000:0000:0000:0000:0000:0130]:0050      Route   1      3          9
";

fn of_text(text: &str) -> Fingerprint {
    let mut reading = Text::default();
    reading.take(text.as_bytes());
    reading.end()
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn tcp(vip: &str, scheduler: &str) -> Service {
    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: address(vip),
        port: 80,
    };
    Service::new(key, Name::new(scheduler).expect("a name"))
}

fn destination(server: &str, port: u16, forwarding: Forwarding, weight: u32) -> Destination {
    Destination::new(
        DestinationKey {
            address: address(server),
            port,
        },
        forwarding,
        weight,
    )
}

fn table() -> Table {
    let mut table = Table::default();
    let web = Service {
        persistence: Some(Persistence {
            timeout_seconds: 50,
            netmask: Netmask::from_prefix_length(Family::Ipv4, 24).expect("a mask"),
        }),
        ..tcp("192.168.1.222", "rr")
    };
    let web6 = Service {
        flags: ServiceFlags::SCHEDULER_1,
        ..tcp("2001:db8::222", "sh")
    };
    for (service, destinations) in [
        (
            web,
            vec![
                destination("192.168.1.130", 8080, Forwarding::Nat, 0),
                destination("192.168.1.131", 80, Forwarding::DirectRouting, 2),
            ],
        ),
        (
            web6,
            vec![destination(
                "2001:db8::130",
                80,
                Forwarding::DirectRouting,
                1,
            )],
        ),
    ] {
        let key = service.key;
        apply(&mut table, &Command::AddService(service));
        for destination in destinations {
            apply(
                &mut table,
                &Command::AddDestination {
                    service: key,
                    destination,
                },
            );
        }
    }
    table
}

#[test]
fn the_text_of_a_table_has_the_tables_fingerprint() {
    assert_eq!(of_text(TEXT), Fingerprint::of_table(&table()));
    assert_eq!(of_text(""), Fingerprint::of_table(&Table::default()));
}

#[test]
fn counters_do_not_count() {
    let busier = TEXT.replace("17         4", "18        99");
    assert_ne!(busier, TEXT);
    assert_eq!(of_text(&busier), of_text(TEXT));
}

#[test]
fn everything_else_counts() {
    for (before, after) in [
        (" 2      17", " 3      17"),
        ("Masq ", "Route"),
        ("C0A80182", "C0A80184"),
        ("0050 rr", "0050 wlc"),
        ("rr persistent 12500 FFFFFF00", "rr"),
        ("FFFFFF00", "FFFFFFFF"),
        ("0222]:0050", "0222]:0051"),
    ] {
        let changed = TEXT.replace(before, after);
        assert_ne!(changed, TEXT, "{before}");
        assert_ne!(of_text(&changed), of_text(TEXT), "{before}");
    }
}

#[test]
fn a_destination_counts_with_its_service() {
    let mut lines: Vec<&str> = TEXT.lines().collect();
    let moved = lines.remove(5);
    lines.push(moved);
    assert_ne!(of_text(&lines.join("\n")), of_text(TEXT));
}

#[test]
fn a_file_longer_than_the_buffer_is_read_whole() {
    let path = std::env::temp_dir().join(format!("lvs-ip-vs-{}", std::process::id()));
    let service = "TCP  C0A801DE:0050 rr\n";
    let destination =
        |number| format!("  -> C0A8{number:04X}:0050      Route   1      0          0\n");
    let destinations: Vec<String> = (0..2000).map(destination).collect();
    let text = format!("a\nb\nc\n{service}{}", destinations.concat());
    assert!(text.len() > READ_BYTES);
    std::fs::write(&path, &text).expect("a file");
    let mut file = ProcIpVs::open(&path).expect("open");
    for _ in 0..2 {
        assert_eq!(file.fingerprint().expect("read"), of_text(&text));
    }
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn a_table_is_the_sum_of_its_services() {
    let table = table();
    let mut fingerprint = Fingerprint::EMPTY;
    for entry in table.iter() {
        fingerprint.add(Fingerprint::of_entry(entry));
    }
    assert_eq!(fingerprint, Fingerprint::of_table(&table));
}

proptest! {
    #[test]
    fn it_does_not_matter_in_what_pieces_the_text_comes(cuts in prop::collection::vec(0..TEXT.len(), 0..20)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut reading = Text::default();
        let mut from = 0;
        for cut in cuts {
            reading.take(&TEXT.as_bytes()[from..cut]);
            from = cut;
        }
        reading.take(&TEXT.as_bytes()[from..]);
        prop_assert_eq!(reading.end(), of_text(TEXT));
    }

    #[test]
    fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reading = Text::default();
        reading.take(&text);
        reading.end();
    }
}
