use std::num::NonZeroU32;

use lvs_ipvs::{Destination, DestinationKey, Family, Forwarding, Protocol};
use prometheus_client::registry::Registry;
use proptest::prelude::*;

use super::select::{SERIES_OF_SERVER, SERIES_OF_SERVICE};
use super::*;

fn key(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port,
    }
}

fn names(services: u16, servers: usize) -> Names {
    let named = |port| {
        let named = Named {
            name: format!("shop/web-{port}").into(),
            servers,
        };
        (key(port), named)
    };
    Names((1..=services).map(named).collect())
}

const fn limits(level: Level, maximum_series: usize) -> Limits {
    Limits {
        level,
        maximum_series,
    }
}

fn server(weight: u32) -> ObservedDestination {
    let key = DestinationKey {
        address: "2001:db8::1".parse().expect("an address"),
        port: 8080,
    };
    ObservedDestination {
        destination: Destination::new(key, Forwarding::DirectRouting, weight),
        active_connections: 3,
        inactive_connections: 4,
        persistent_connections: 5,
        stats: Stats {
            connections: 6,
            ..Stats::default()
        },
    }
}

/// Gives the same figures to whoever asks.
#[derive(Debug)]
struct Fixed(Snapshot, Level);

impl Collector for Fixed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode::snapshot(&mut encoder, &self.0, self.1)?;
        encode::own(&mut encoder, self.0.dropped, 2)
    }
}

fn text(collector: impl Collector) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    text
}

fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

fn snapshot() -> Snapshot {
    let by_mark = ServiceKey::Mark {
        mark: NonZeroU32::new(7).expect("not 0"),
        family: Family::Ipv6,
    };
    let stats = Stats {
        connections: 1 << 40,
        outgoing_bytes_per_second: 9,
        ..Stats::default()
    };
    let sample = |key, name: &str| ServiceSample {
        key,
        name: name.into(),
        stats,
    };
    Snapshot {
        services: vec![sample(key(80), "shop/web"), sample(by_mark, "shop/marked")],
        servers: vec![(0, server(2)), (1, server(0))],
        dropped: 70,
    }
}

#[test]
fn series_have_the_names_and_labels_that_queries_rely_on() {
    let text = text(Fixed(snapshot(), Level::RealServers));
    let web =
        r#"namespace="shop",virtual_service="web",address="192.0.2.10",port="80",protocol="TCP""#;
    let marked = r#"namespace="shop",virtual_service="marked",mark="7",family="IPv6""#;
    let server = r#"server_address="2001:db8::1",server_port="8080""#;
    for line in [
        format!("lvs_virtual_service_connections_total{{{web}}} 1099511627776"),
        format!("lvs_virtual_service_outgoing_bytes_per_second{{{marked}}} 9"),
        format!("lvs_real_server_connections_total{{{web},{server}}} 6"),
        format!("lvs_real_server_active_connections{{{web},{server}}} 3"),
        format!("lvs_real_server_inactive_connections{{{web},{server}}} 4"),
        format!("lvs_real_server_persistent_connections{{{marked},{server}}} 5"),
        format!("lvs_real_server_weight{{{web},{server}}} 2"),
        format!("lvs_real_server_weight{{{marked},{server}}} 0"),
        "lvs_agent_statistics_dropped_series 70".to_owned(),
        "lvs_agent_statistics_failures_total 2".to_owned(),
    ] {
        assert!(samples(&text).contains(&line.as_str()), "{line}\n{text}");
    }
}

#[test]
fn each_service_and_server_has_as_many_series_as_are_counted() {
    let own = 2;
    let all = text(Fixed(snapshot(), Level::RealServers));
    assert_eq!(
        samples(&all).len(),
        2 * SERIES_OF_SERVICE + 2 * SERIES_OF_SERVER + own
    );
    let services = text(Fixed(snapshot(), Level::VirtualServices));
    assert_eq!(samples(&services).len(), 2 * SERIES_OF_SERVICE + own);
}

#[test]
fn servers_are_left_out_as_a_whole_and_then_services() {
    let names = names(100, 10);
    let all = 100 * SERIES_OF_SERVICE + 1000 * SERIES_OF_SERVER;
    let selection = select(&names, limits(Level::RealServers, all));
    assert_eq!((selection.services.len(), selection.servers), (100, 1000));
    assert_eq!(selection.dropped, 0);
    let selection = select(&names, limits(Level::RealServers, all - 1));
    assert_eq!((selection.services.len(), selection.servers), (100, 0));
    assert_eq!(selection.dropped, 1000 * SERIES_OF_SERVER);
    let selection = select(&names, limits(Level::VirtualServices, 505));
    assert_eq!((selection.services.len(), selection.servers), (50, 0));
    assert_eq!(selection.dropped, 50 * SERIES_OF_SERVICE);
    let selection = select(&names, limits(Level::None, all));
    assert_eq!((selection.services.len(), selection.servers), (0, 0));
}

#[test]
fn a_node_without_services_opens_nothing() {
    let (_sender, receiver) = watch::channel(Arc::default());
    let statistics = Statistics::new(limits(Level::RealServers, 1000), receiver);
    // There may be no IPVS where this runs.
    let (snapshot, failures) = statistics.figures();
    assert_eq!((snapshot.as_ref(), failures), (&Snapshot::default(), 0));
    assert!(statistics.reader.lock().expect("free").client.is_none());
}

#[test]
fn nothing_is_shown_where_nothing_is_wanted() {
    let (_sender, receiver) = watch::channel(Arc::new(names(3, 3)));
    let statistics = Statistics::new(limits(Level::None, 1000), receiver);
    assert_eq!(text(statistics), "# EOF\n");
}

proptest! {
    #[test]
    fn the_limit_holds(services in 0..300_u16, servers in 0..50_usize, maximum_series in 0..20_000_usize) {
        let names = names(services, servers);
        for level in [Level::None, Level::VirtualServices, Level::RealServers] {
            let selection = select(&names, limits(level, maximum_series));
            let shown = selection.services.len() * SERIES_OF_SERVICE + selection.servers * SERIES_OF_SERVER;
            prop_assert!(shown <= maximum_series);
        }
    }
}
