//! Metrics beside what `ipvsadm` lists.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lvs_ipvs::{Family, Protocol, ServiceKey};
use lvs_node_agent::statistics::{Level, Limits, Names, Statistics};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::{fresh, restore, run};

const TABLE: &str = "\
-A -t 192.0.2.10:80 -s rr -p 60
-a -t 192.0.2.10:80 -r 198.51.100.21:8080 -m -w 3
-a -t 192.0.2.10:80 -r 198.51.100.22:8080 -m -w 1 -x 50 -y 10
-A -t 192.0.2.10:81 -s wlc
-a -t 192.0.2.10:81 -r 198.51.100.21:8080 -m -w 2
-a -t 192.0.2.10:81 -r 198.51.100.22:8080 -m -w 0
-A -f 7 -s rr
-a -f 7 -r 198.51.100.21:0 -g -w 65535
-A -t 192.0.2.99:80 -s rr
-a -t 192.0.2.99:80 -r 198.51.100.21:80 -m -w 1
";

/// Of the last service of the table, somebody else's, there are no statistics.
const FOREIGN: &str = "TCP 192.0.2.99:80";

const ALL: Limits = Limits {
    level: Level::RealServers,
    maximum_series: 10_000,
};

/// Bytes of one answer.
const ANSWER: [u8; 5000] = [b'a'; 5000];

/// A service, as `ipvsadm` names it, and a real server of it.
type Key = (String, Option<String>);

/// Figures by what they are about, and by their names without prefix.
type Figures = BTreeMap<(Key, String), u64>;

fn key(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port,
    }
}

fn names() -> Names {
    let mark = ServiceKey::Mark {
        mark: NonZeroU32::new(7).expect("not 0"),
        family: Family::Ipv4,
    };
    Names::new([
        (key(80), "shop/web".into(), 2),
        (key(81), "shop/other".into(), 2),
        (mark, "shop/marked".into(), 1),
    ])
}

/// What `ipvsadm` lists: the last columns, under these names. A service's line lacks those of connections.
fn listed(options: &[&str], of_services: bool, columns: &[&str]) -> Figures {
    let mut figures = Figures::new();
    let mut service = String::new();
    for line in run("ipvsadm", options).lines().skip(3) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let server = match words.first().zip(words.get(1)) {
            Some((&"->", server)) => Some((*server).to_owned()),
            Some((kind, address)) => {
                service = format!("{kind} {address}");
                None
            }
            None => continue,
        };
        if service == FOREIGN || (server.is_none() && !of_services) {
            continue;
        }
        let values = words.iter().rev().take(columns.len()).rev();
        for (column, value) in columns.iter().zip(values) {
            let value = value.parse().expect("a number");
            let key = (service.clone(), server.clone());
            assert_eq!(figures.insert((key, (*column).to_owned()), value), None);
        }
    }
    figures
}

fn counters() -> Figures {
    let columns = [
        "connections_total",
        "incoming_packets_total",
        "outgoing_packets_total",
        "incoming_bytes_total",
        "outgoing_bytes_total",
    ];
    listed(&["-Ln", "--stats", "--exact"], true, &columns)
}

fn rates() -> Figures {
    let columns = [
        "connections_per_second",
        "incoming_packets_per_second",
        "outgoing_packets_per_second",
        "incoming_bytes_per_second",
        "outgoing_bytes_per_second",
    ];
    listed(&["-Ln", "--rate", "--exact"], true, &columns)
}

fn weights_and_connections() -> Figures {
    let columns = [
        "weight",
        "persistent_connections",
        "active_connections",
        "inactive_connections",
    ];
    listed(&["-Ln", "--persistent-conn"], false, &columns)
}

/// Connections, as they stand beside the thresholds.
fn limited_connections() -> Figures {
    let columns = ["active_connections", "inactive_connections"];
    listed(&["-Ln", "--thresholds"], false, &columns)
}

/// Compares the metrics with a listing, at a time when that does not change. `is_busy` says whether it shows traffic, or
/// there is to be more.
fn compare(listing: fn() -> Figures, is_busy: impl Fn(&dyn Fn(&str) -> u64) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        // The kernel adds up and estimates every two seconds and says nothing when it did.
        let before = listing();
        let (mut shown, _) = by_metrics(ALL);
        let after = listing();
        let total = |name: &str| {
            let named = after.iter().filter(|((_, figure), _)| figure == name);
            named.map(|(_, value)| value).sum()
        };
        if before == after && is_busy(&total) {
            shown.retain(|(_, figure), _| after.keys().any(|(_, listed)| listed == figure));
            assert_eq!(shown, after);
            return;
        }
        assert!(Instant::now() < deadline, "{before:?}\n{after:?}");
        if before == after {
            drop([ask(80), ask(81)]);
        }
    }
}

fn by_metrics(limits: Limits) -> (Figures, String) {
    let (_names, receiver) = watch::channel(Arc::new(names()));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Statistics::new(limits, receiver)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    let mut figures = Figures::new();
    for line in text.lines().filter(|line| line.contains('{')) {
        let (name, rest) = line.split_once('{').expect("labels");
        let (labels, value) = rest.split_once("} ").expect("a value");
        let labels: BTreeMap<&str, &str> = labels
            .split(',')
            .map(|label| label.split_once('=').expect("a label"))
            .map(|(key, value)| (key, value.trim_matches('"')))
            .collect();
        assert_eq!(labels["namespace"], "shop");
        let service = match labels.get("mark") {
            Some(mark) => format!("FWM {mark}"),
            None => format!(
                "{} {}:{}",
                labels["protocol"], labels["address"], labels["port"]
            ),
        };
        let server = labels
            .get("server_address")
            .map(|address| format!("{address}:{}", labels["server_port"]));
        let prefix = match server {
            Some(_) => "lvs_real_server_",
            None => "lvs_virtual_service_",
        };
        let name = name.strip_prefix(prefix).expect("the prefix");
        let value = value.parse().expect("a number");
        let double = figures.insert(((service, server), name.to_owned()), value);
        assert_eq!(double, None, "{line}");
    }
    (figures, text)
}

/// Answers everybody who connects.
fn serve(address: &str) {
    let listener = TcpListener::bind(address).expect("a listener");
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut asked = [0; 100];
            stream.read_exact(&mut asked).expect("a request");
            stream.write_all(&ANSWER).expect("an answer");
            open.push(stream);
        }
    });
}

fn ask(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("192.0.2.10", port)).expect("a connection through IPVS");
    stream.write_all(&[b'q'; 100]).expect("a request");
    let mut answer = [0; ANSWER.len()];
    stream.read_exact(&mut answer).expect("an answer");
    stream
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn every_figure_is_what_ipvsadm_lists() {
    fresh();
    for address in ["192.0.2.10/32", "198.51.100.21/32", "198.51.100.22/32"] {
        run("ip", &["address", "add", address, "dev", "lo"]);
    }
    restore(TABLE);
    serve("198.51.100.21:8080");
    serve("198.51.100.22:8080");
    let mut open: Vec<TcpStream> = (0..6).map(|_| ask(80)).collect();
    open.extend((0..5).map(|_| ask(81)));
    // Some are closed.
    open.truncate(8);
    compare(rates, |total| {
        total("connections_per_second") > 0 && total("outgoing_bytes_per_second") > 0
    });
    compare(counters, |total| {
        // Each counts for its service and for its real server.
        total("connections_total") >= 2 * 11 && total("outgoing_bytes_total") > 2 * 11 * 5000
    });
    compare(limited_connections, |total| {
        total("active_connections") == 8
    });
    compare(weights_and_connections, |total| {
        total("persistent_connections") > 0 && total("weight") == 3 + 1 + 2 + 65535
    });
    drop(open);
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn the_limit_keeps_real_servers_out_and_says_so() {
    fresh();
    restore(TABLE);
    // Three services and five real servers.
    let all = 3 * 10 + 5 * 14;
    for (maximum_series, series) in [(all, all), (all - 1, 30), (29, 20)] {
        let (figures, text) = by_metrics(Limits {
            level: Level::RealServers,
            maximum_series,
        });
        assert_eq!(figures.len(), series, "{maximum_series}");
        let dropped = format!("lvs_agent_statistics_dropped_series {}\n", all - series);
        assert!(text.contains(&dropped), "{maximum_series}: {text}");
    }
}
