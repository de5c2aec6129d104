//! What the marks are for: several ports balanced as one (scenario S4, persistence joined by a firewall mark).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lvs_nftables::{Client, MarkRules, Ports, Protocol, Table, changes};

use crate::hosts::{CLIENTS, SERVERS, VIP, address, ask, enter, lan, on, serve};
use crate::{kernel_test, new_namespace, rules, run};

const MARK: u32 = 99;
/// Mark that no virtual service has.
const COUNTED: u32 = 98;
/// Port of the packets that are counted.
const COUNTED_PORT: u16 = 5353;

/// Ports 80 and 443 of the VIP joined by mark 99, as in the scenario, and a range to that.
fn joined() -> MarkRules {
    let vip = VIP.to_string();
    rules(&[
        (&vip, Ports::one(Protocol::Tcp, 80), MARK),
        (&vip, Ports::one(Protocol::Tcp, 443), MARK),
        (
            &vip,
            Ports::Range {
                protocol: Protocol::Tcp,
                first: 9000,
                last: 9010,
            },
            MARK,
        ),
        (&vip, Ports::one(Protocol::Udp, COUNTED_PORT), COUNTED),
    ])
}

/// The LAN, servers on it, and the virtual service of mark 99.
fn balanced() {
    new_namespace();
    lan();
    for (name, _) in SERVERS {
        for port in [80, 443, 9005, 9011] {
            serve(name, port);
        }
    }
    serve("director", 8080);
    run(&format!("ipvsadm -A -f {MARK} -s rr -p 360"));
    for (_, host) in SERVERS {
        run(&format!("ipvsadm -a -f {MARK} -r {} -g", address(host)));
    }
}

kernel_test! {
    fn one_client_reaches_one_server_on_all_joined_ports() {
        balanced();
        // Without marks the director answers for its address itself: nobody listens there.
        let refused = on("client", || ask(CLIENTS[0], 80).unwrap_err().kind());
        assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);

        let mut client = Client::connect().unwrap();
        for change in client.apply(&joined()).unwrap() {
            println!("{change}");
        }
        println!("{}", run("nft list table inet lvs_operator"));
        let answers: Vec<BTreeSet<String>> = on("client", || {
            CLIENTS
                .iter()
                .map(|client| {
                    (0..10)
                        .flat_map(|_| [80, 443, 9005])
                        .map(|port| ask(*client, port).unwrap())
                        .collect()
                })
                .collect()
        });
        println!("{}", run("ipvsadm -Ln; ipvsadm -Ln --stats"));
        for (client, servers) in CLIENTS.iter().zip(&answers) {
            println!("192.168.159.{client}: 30 connections to ports 80, 443 and 9005, all answered by {servers:?}");
            assert_eq!(servers.len(), 1, "{client}: {answers:?}");
        }
        let all: BTreeSet<_> = answers.iter().flatten().collect();
        assert_eq!(all.len(), 2, "the clients spread: {answers:?}");

        // Other ports are not balanced: the director's own server answers, and where there is none nobody does.
        assert_eq!(on("client", || ask(CLIENTS[0], 8080).unwrap()), "director");
        let refused = on("client", || ask(CLIENTS[0], 9011).unwrap_err().kind());
        assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);

        assert!(client.remove().unwrap());
        let refused = on("client", || ask(CLIENTS[0], 80).unwrap_err().kind());
        assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
        assert_eq!(run("nft list ruleset"), "");
    }
}

kernel_test! {
    /// Packets that the director itself sends are marked too, and narrower rules go before wider ones.
    fn the_narrowest_rule_decides_in_both_hooks() {
        new_namespace();
        let vips = ["192.0.2.1", "2001:db8::1"];
        let mut list = Vec::new();
        for vip in vips {
            let range = |first, last| Ports::Range { protocol: Protocol::Udp, first, last };
            list.push((vip, Ports::Every(Protocol::Udp), 1));
            list.push((vip, range(1000, 2000), 2));
            list.push((vip, range(3000, 65_535), 3));
            list.push((vip, Ports::one(Protocol::Udp, 1500), 4));
        }
        let mut client = Client::connect().unwrap();
        client.apply(&rules(&list)).unwrap();
        let mut count = String::new();
        for hook in ["input", "output"] {
            let per_mark: [String; 5] = std::array::from_fn(|mark| {
                format!("udp dport != 0 meta mark {mark} counter name {hook}_{mark};")
            });
            for mark in 0..5 {
                writeln!(count, "counter {hook}_{mark} {{ }}").unwrap();
            }
            let rules = per_mark.join(" ");
            writeln!(
                count,
                "chain {hook} {{ type filter hook {hook} priority filter; {rules} }}"
            )
            .unwrap();
        }
        run(&format!("nft 'table inet count {{\n{count}}}'"));
        run("ip address add 192.0.2.1/32 dev lo; ip address add 192.0.2.2/32 dev lo; \
             ip -6 address add 2001:db8::1/128 dev lo nodad");
        // Which counters a packet to the address and port moves.
        let counted = |vip: &str, port: u16| -> BTreeSet<String> {
            let source = if vip.contains(':') { "::" } else { "0.0.0.0" };
            run("nft reset counters");
            UdpSocket::bind((source, 0)).unwrap().send_to(b"x", (vip, port)).unwrap();
            let shown = run("nft list counters");
            let mut name = "";
            let mut moved = BTreeSet::new();
            for line in shown.lines().map(str::trim) {
                if let Some(rest) = line.strip_prefix("counter ") {
                    name = rest.split(' ').next().unwrap();
                } else if line.starts_with("packets ") && !line.starts_with("packets 0 ") {
                    moved.insert(name.to_owned());
                }
            }
            moved
        };
        let marked = |mark: u32| BTreeSet::from([format!("input_{mark}"), format!("output_{mark}")]);
        for (port, mark) in [(1, 1), (999, 1), (1000, 2), (1500, 4), (2000, 2), (2001, 1), (3000, 3), (65_535, 3)] {
            for vip in vips {
                assert_eq!(counted(vip, port), marked(mark), "{vip} port {port}");
            }
        }
        assert_eq!(counted("192.0.2.2", 1500), marked(0), "another address");
    }
}

/// Connections that a run under load opens.
const CONNECTIONS: u64 = 500;

/// What a run under load came to.
#[derive(Debug)]
struct Loss {
    applied: u32,
    connections: u64,
    failed: u64,
    packets: u64,
    unmarked: u64,
}

impl Loss {
    /// Whether there was a load to speak of.
    fn check_load(&self) {
        assert!(self.applied >= 20, "{self:?}");
        assert!(self.connections >= CONNECTIONS / 2, "{self:?}");
        assert!(self.packets >= 10_000, "{self:?}");
    }
}

/// Changes the table for as long as it takes to open so many connections, and counts connections that failed and
/// packets that went by without their mark.
fn under_load(connections: u64, mut change: impl FnMut(u32)) -> Loss {
    run(&format!(
        "nft 'table ip count {{ \
           chain prerouting {{ type filter hook prerouting priority filter; \
             ip daddr {VIP} udp dport {COUNTED_PORT} meta mark {COUNTED} counter drop; \
             ip daddr {VIP} udp dport {COUNTED_PORT} counter drop; \
             ip daddr {VIP} tcp dport 80 meta mark != {MARK} counter; }}\n}}'"
    ));
    let stop = Arc::new(AtomicBool::new(false));
    let (opened, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let flood = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            enter("client");
            let socket = UdpSocket::bind((address(CLIENTS[1]), 0)).unwrap();
            while !stop.load(Ordering::Relaxed) {
                socket.send_to(b"x", (VIP, COUNTED_PORT)).unwrap();
            }
        })
    };
    let hammer = {
        let (stop, opened, failed) = (Arc::clone(&stop), Arc::clone(&opened), Arc::clone(&failed));
        thread::spawn(move || {
            enter("client");
            while !stop.load(Ordering::Relaxed) {
                opened.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = ask(CLIENTS[0], 80) {
                    println!("connection failed: {error}");
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    let mut applied = 0;
    let start = Instant::now();
    while opened.load(Ordering::Relaxed) < connections && start.elapsed() < Duration::from_secs(30)
    {
        change(applied);
        applied += 1;
    }
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    hammer.join().unwrap();
    let shown = run("nft list table ip count");
    let mut counters = shown.lines().filter_map(|line| {
        let (_, rest) = line.split_once("counter packets ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    });
    let mut next = || counters.next().unwrap();
    let (marked, unmarked, unmarked_web) = (next(), next(), next());
    run("nft delete table ip count");
    Loss {
        applied,
        connections: opened.load(Ordering::Relaxed),
        failed: failed.load(Ordering::Relaxed),
        packets: marked + unmarked,
        unmarked: unmarked + unmarked_web,
    }
}

/// The joined ports and others that come and go: elements, ranges, a whole family.
fn variant(number: u32) -> MarkRules {
    let mut rules = joined();
    let mut insert = |address: std::net::IpAddr, ports, mark: u32| {
        rules
            .insert(address, ports, mark.try_into().unwrap())
            .unwrap();
    };
    for service in 0..number % 7 {
        let port = u16::try_from(20_000 + number % 100).unwrap();
        insert(
            [10, 0, 0, u8::try_from(service).unwrap()].into(),
            Ports::one(Protocol::Tcp, port),
            1 + service,
        );
        insert(VIP.into(), Ports::one(Protocol::Sctp, port), 1 + number % 5);
        let range = Ports::Range {
            protocol: Protocol::Udp,
            first: port,
            last: port + 10,
        };
        insert(
            [10, 0, 1, u8::try_from(service).unwrap()].into(),
            range,
            1 + service,
        );
        insert(
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
            Ports::Every(Protocol::Sctp),
            7,
        );
    }
    rules
}

kernel_test! {
    fn no_packet_loses_its_mark_while_rules_of_others_change() {
        balanced();
        let mut client = Client::connect().unwrap();
        client.apply(&joined()).unwrap();
        let loss = under_load(CONNECTIONS, |number| {
            client.apply(&variant(number)).unwrap();
        });
        println!("changed under load: {loss:?}");
        loss.check_load();
        assert_eq!((loss.failed, loss.unmarked), (0, 0), "{loss:?}");
    }
}

kernel_test! {
    /// The repair of a table whose frame somebody changed. It is one transaction, but a packet that is inside the old
    /// table while the kernel switches to the new one finds the rest of the old one empty: hence [`changes`] edits
    /// whatever can be edited.
    fn a_table_made_anew_costs_less_than_a_packet_each_time() {
        balanced();
        let mut client = Client::connect().unwrap();
        client.apply(&joined()).unwrap();
        let loss = under_load(CONNECTIONS, |number| {
            let wanted = Table::new(&variant(number));
            client.commit(&changes(None, wanted.as_ref())).unwrap();
        });
        println!("made anew under load: {loss:?}");
        loss.check_load();
        assert!(loss.failed + loss.unmarked <= u64::from(loss.applied), "{loss:?}");
    }
}
