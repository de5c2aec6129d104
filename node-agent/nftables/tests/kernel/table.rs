//! The table itself: what it looks like, what is found in it, and that nothing else is touched.

use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::{Duration, Instant};

use lvs_nftables::{Client, MarkRules, Ports, Protocol, Refusal, Table, changes};
use nix::poll::{PollFd, PollFlags, poll};

use crate::{kernel_test, new_namespace, rules, run};

const TCP: Protocol = Protocol::Tcp;

fn range(protocol: Protocol, first: u16, last: u16) -> Ports {
    Ports::Range {
        protocol,
        first,
        last,
    }
}

/// Every kind of rule, in both families.
fn examples() -> MarkRules {
    rules(&[
        ("192.168.159.110", Ports::one(TCP, 80), 99),
        ("192.168.159.110", Ports::one(TCP, 443), 99),
        ("192.0.2.1", Ports::Every(TCP), 1),
        ("192.0.2.1", range(TCP, 1000, 2000), 2),
        ("192.0.2.1", Ports::one(TCP, 1500), 3),
        ("2001:db8::1", Ports::Every(Protocol::Sctp), 4),
        ("2001:db8::1", range(Protocol::Udp, 5060, 5061), 5),
        ("2001:db8::1", range(Protocol::Udp, 10_000, 20_000), 5),
        ("2001:db8::1", Ports::one(Protocol::Udp, 53), u32::MAX),
    ])
}

kernel_test! {
    fn nft_shows_what_was_meant() {
        new_namespace();
        let rules = examples();
        let mut client = Client::connect().unwrap();
        assert_eq!(client.observe().unwrap(), None);
        client.apply(&rules).unwrap();
        let shown = run("nft list table inet lvs_operator");
        println!("{shown}");
        assert_eq!(shown, include_str!("table.nft"));
        assert_eq!(client.observe().unwrap(), Table::new(&rules));
        assert_eq!(client.apply(&rules).unwrap(), []);
    }
}

kernel_test! {
    /// What `nft` makes of the same text is the same table: nothing is left out of the comparison that matters to `nft`.
    fn what_nft_makes_of_the_text_is_adopted() {
        new_namespace();
        let rules = examples();
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/table.nft");
        run(&format!("nft -f {text}"));
        let mut client = Client::connect().unwrap();
        assert_eq!(client.observe().unwrap(), Table::new(&rules));
        assert_eq!(client.apply(&rules).unwrap(), []);
    }
}

kernel_test! {
    fn every_foreign_change_is_found_and_mended() {
        new_namespace();
        let rules = examples();
        let mut client = Client::connect().unwrap();
        client.apply(&rules).unwrap();
        let foreign = [
            "delete element inet lvs_operator ports_v4 { 192.168.159.110 . tcp . 80 }",
            "add element inet lvs_operator ports_v4 { 192.168.159.110 . tcp . 81 : 99 }",
            "delete element inet lvs_operator ports_v4 { 192.168.159.110 . tcp . 80 }; \
             add element inet lvs_operator ports_v4 { 192.168.159.110 . tcp . 80 : 98 }",
            "flush map inet lvs_operator protocols_v6",
            "flush chain inet lvs_operator marks",
            "insert rule inet lvs_operator marks accept",
            "add rule inet lvs_operator marks tcp dport 80 drop",
            "add rule inet lvs_operator ranges_192.0.2.1 udp dport 1-2 meta mark set 7",
            "add chain inet lvs_operator more; add rule inet lvs_operator marks jump more",
            "add chain inet lvs_operator more { type filter hook input priority 0; }",
            "add map inet lvs_operator more { type mark : mark; }",
            "add set inet lvs_operator more { type mark; }",
            "flush chain inet lvs_operator prerouting",
            "add table inet lvs_operator { flags dormant; }",
            "flush table inet lvs_operator",
            "delete table inet lvs_operator",
            "flush ruleset",
        ];
        for change in foreign {
            run(&format!("nft '{change}'"));
            let observed = client.observe().unwrap();
            assert_ne!(observed, Table::new(&rules), "{change}");
            let made = client.apply(&rules).unwrap();
            assert_eq!(client.observe().unwrap(), Table::new(&rules), "{change}: {made:?}");
            assert_eq!(run("nft list table inet lvs_operator"), include_str!("table.nft"), "{change}");
        }
    }
}

kernel_test! {
    /// A change of one rule is a change of what it needs, and leads where making everything anew leads.
    fn changes_lead_from_any_rules_to_any_others() {
        new_namespace();
        let mut client = Client::connect().unwrap();
        let all: Vec<_> = examples().iter().collect();
        let mut seed = 1_u32;
        for _ in 0..100 {
            // A linear congruential generator chooses: the run can be repeated.
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut chosen = MarkRules::default();
            for (index, (address, ports, mark)) in all.iter().enumerate() {
                let bits = seed.rotate_right(u32::try_from(index).unwrap() * 3) & 7;
                let other = mark.get().wrapping_add(1).try_into().unwrap_or(*mark);
                // Two ranges of one address keep the mark that they share nothing else with.
                match bits {
                    0..=2 => {}
                    3..=5 => chosen.insert(*address, *ports, *mark).unwrap(),
                    _ => chosen.insert(*address, *ports, other).unwrap(),
                }
            }
            client.apply(&chosen).unwrap();
            assert_eq!(client.observe().unwrap(), Table::new(&chosen));
        }
        client.remove().unwrap();
    }
}

kernel_test! {
    fn others_tables_stay_as_they_are_and_nothing_of_ours_is_left() {
        new_namespace();
        run("nft -f - <<'END'
table inet foreign {
    comment \"not ours\"
    set hosts { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1 }; }
    map marks { type ipv4_addr . inet_proto . inet_service : mark; elements = { 192.168.159.110 . tcp . 80 : 7 }; }
    chain prerouting { type filter hook prerouting priority mangle; ip saddr @hosts counter packets 3 bytes 4 accept; }
}
table ip lvs_operator {
    chain prerouting { type nat hook prerouting priority dstnat; tcp dport 81 redirect to 80; }
}
END");
        let foreign = || run("nft -a list table inet foreign; nft -a list table ip lvs_operator");
        let before = foreign();
        let mut client = Client::connect().unwrap();
        client.apply(&examples()).unwrap();
        client.apply(&rules(&[("192.0.2.1", Ports::one(TCP, 80), 7)])).unwrap();
        assert_eq!(foreign(), before);
        assert!(client.remove().unwrap());
        assert!(!client.remove().unwrap());
        assert_eq!(foreign(), before);
        assert_eq!(run("nft list tables"), "table inet foreign\ntable ip lvs_operator\n");
        assert_eq!(client.observe().unwrap(), None);
    }
}

kernel_test! {
    fn a_watch_tells_others_changes_of_our_table() {
        new_namespace();
        let mut client = Client::connect().unwrap();
        let watch = client.watch().unwrap();
        let readable = || {
            let mut descriptors = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
            poll(&mut descriptors, 0_u16).unwrap() == 1
        };
        client.apply(&examples()).unwrap();
        assert!(!watch.changed().unwrap(), "our own change is no news");
        assert!(!readable());
        run("nft add table ip lvs_operator; nft add table inet other");
        assert!(readable());
        assert!(!watch.changed().unwrap(), "others' tables are no news");
        for change in [
            "add element inet lvs_operator ports_v4 { 1.2.3.4 . tcp . 5 : 6 }",
            "add rule inet lvs_operator marks accept",
            "add chain inet lvs_operator other",
            "add map inet lvs_operator other { type mark : mark; }",
            "flush chain inet lvs_operator prerouting",
            "delete table inet lvs_operator",
            "add table inet lvs_operator",
            "flush ruleset",
        ] {
            run(&format!("nft '{change}'"));
            assert!(readable(), "{change}");
            assert!(watch.changed().unwrap(), "{change}");
            assert!(!readable(), "{change}");
        }
    }
}

kernel_test! {
    fn without_the_capability_it_is_not_permitted() {
        const INNER: &str = "LVS_NFTABLES_WITHOUT_CAPABILITY";
        if std::env::var_os(INNER).is_some() {
            let error = Client::connect().unwrap_err();
            assert_eq!(error.refusal(), Some(Refusal::NotPermitted), "{error}");
            return;
        }
        new_namespace();
        let name = "table::without_the_capability_it_is_not_permitted";
        let output = Command::new("setpriv")
            .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin", "--reuid=65534", "--clear-groups"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored"])
            .env(INNER, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }
}

kernel_test! {
    /// 1,000 marks on 10 ports each.
    fn a_thousand_marks_are_one_transaction() {
        new_namespace();
        let mut rules = MarkRules::default();
        for service in 0..1000_u32 {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + service).into();
            for port in 0..10 {
                let mark = (service + 1).try_into().unwrap();
                rules.insert(address, Ports::one(TCP, 8000 + port), mark).unwrap();
            }
        }
        let mut client = Client::connect().unwrap();
        let timed = |what: &str, action: &mut dyn FnMut()| -> Duration {
            let start = Instant::now();
            action();
            let took = start.elapsed();
            println!("{what}: {took:?}");
            took
        };
        let bytes = lvs_nftables::wire::transaction(&changes(None, Table::new(&rules).as_ref()), 1).bytes.len();
        println!("transaction: {bytes} bytes");
        timed("10,000 elements made", &mut || drop(client.apply(&rules).unwrap()));
        timed("10,000 elements read and compared", &mut || assert_eq!(client.apply(&rules).unwrap(), []));
        let mut one_more = rules.clone();
        one_more.insert([192, 0, 2, 1].into(), Ports::one(TCP, 80), 2000.try_into().unwrap()).unwrap();
        timed("one element more", &mut || assert_eq!(client.apply(&one_more).unwrap().len(), 1));
        assert_eq!(client.observe().unwrap(), Table::new(&one_more));
    }
}
