//! Tables at random: what is applied is what is read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_ipvs::{
    Command, Destination, DestinationKey, Family, Forwarding, Netmask, Persistence, Protocol,
    Service, ServiceFlags, ServiceKey, Tunnel, TunnelFlags, TunnelKind,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::objects::{self, name};
use crate::{apply, fresh, read, saved};

const TABLES: u32 = 1000;
/// How often `ipvsadm` is asked too: starting a program costs as much as many tables.
const TABLES_PER_LISTING: u32 = 20;

/// All of the kernel's, and none.
const SCHEDULERS: [&str; 14] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "none",
];

type Table = BTreeMap<ServiceKey, (Service, BTreeMap<DestinationKey, Destination>)>;

/// A unicast address of a family.
fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        // 1.0.0.0 to 126.255.255.254, less what ends in 255 and might be taken for a broadcast address.
        Family::Ipv4 => (1..=126_u8, any::<[u8; 2]>(), 0..=254_u8)
            .prop_map(|(a, [b, c], d)| Ipv4Addr::new(a, b, c, d).into())
            .boxed(),
        // 2000::/3
        Family::Ipv6 => any::<u128>()
            .prop_map(|bits| Ipv6Addr::from_bits(bits >> 3 | 1 << 125).into())
            .boxed(),
    }
}

fn family() -> impl Strategy<Value = Family> {
    select(vec![Family::Ipv4, Family::Ipv6])
}

fn service_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    // Larger ones ipvsadm prints as negative numbers.
    let mark = 1..=i32::MAX.unsigned_abs();
    prop_oneof![
        4 => (protocol, family().prop_flat_map(address), any::<u16>()).prop_map(
            |(protocol, address, port)| ServiceKey::Address { protocol, address, port }
        ),
        1 => (mark, family()).prop_map(|(number, family)| objects::mark(number, family)),
    ]
}

fn persistence(family: Family) -> impl Strategy<Value = Persistence> {
    let bits = match family {
        Family::Ipv4 => 1..=32_u8,
        Family::Ipv6 => 1..=128,
    };
    (1..=2_678_400_u32, bits).prop_map(move |(timeout_seconds, bits)| Persistence {
        timeout_seconds,
        netmask: Netmask::from_prefix_length(family, bits).expect("a length of the family"),
    })
}

fn service() -> impl Strategy<Value = Service> {
    service_key().prop_flat_map(|key| {
        (
            select(&SCHEDULERS[..]),
            select(vec![
                ServiceFlags::empty(),
                ServiceFlags::ONE_PACKET,
                // ipvsadm prints the third flag of a scheduler for some schedulers only.
                ServiceFlags::SCHEDULER_1,
                ServiceFlags::SCHEDULER_2 | ServiceFlags::ONE_PACKET,
                ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2,
            ]),
            option::of((persistence(key.family()), option::of(Just("sip")))),
        )
            .prop_map(move |(scheduler, flags, persistence)| Service {
                flags,
                persistence: persistence.map(|(persistence, _)| persistence),
                persistence_engine: persistence.and_then(|(_, engine)| engine).map(name),
                ..Service::new(key, name(scheduler))
            })
    })
}

fn tunnel() -> impl Strategy<Value = Tunnel> {
    let flags = select(vec![
        TunnelFlags::empty(),
        TunnelFlags::CHECKSUM,
        TunnelFlags::REMOTE_CHECKSUM,
    ]);
    prop_oneof![
        Just(Tunnel::IPIP),
        (1..=u16::MAX, flags.clone()).prop_map(|(port, flags)| Tunnel {
            kind: TunnelKind::Gue,
            port,
            flags
        }),
        flags.prop_map(|flags| Tunnel {
            kind: TunnelKind::Gre,
            port: 0,
            flags
        }),
    ]
}

fn destination(of: Family) -> impl Strategy<Value = Destination> {
    let direct = prop_oneof![Just(Forwarding::Nat), Just(Forwarding::DirectRouting)];
    let reached = prop_oneof![
        2 => (address(of), direct),
        // Behind a tunnel a server may be of the other family.
        1 => (family().prop_flat_map(address), tunnel().prop_map(Forwarding::Tunnel)),
    ];
    let thresholds = any::<[u32; 2]>().prop_map(|[one, other]| (one.max(other), one.min(other)));
    let limits = prop_oneof![Just((0, 0)), thresholds];
    (reached, any::<u16>(), 0..=i32::MAX.unsigned_abs(), limits).prop_map(
        |((address, forwarding), port, weight, (upper_threshold, lower_threshold))| Destination {
            upper_threshold,
            lower_threshold,
            ..Destination::new(DestinationKey { address, port }, forwarding, weight)
        },
    )
}

fn table() -> impl Strategy<Value = Table> {
    let entry = service().prop_flat_map(|service| {
        let of = service.key.family();
        (Just(service), vec(destination(of), 0..8))
    });
    vec(entry, 0..6).prop_map(|entries| {
        entries
            .into_iter()
            .map(|(service, destinations)| {
                let destinations = destinations.into_iter().map(|d| (d.key, d)).collect();
                (service.key, (service, destinations))
            })
            .collect()
    })
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn a_thousand_tables_come_back() {
    let mut client = fresh();
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let (mut services, mut destinations) = (0, 0);
    for number in 0..TABLES {
        let wanted = table().new_tree(&mut runner).expect("a table").current();
        let commands: Vec<_> = wanted
            .values()
            .flat_map(|(service, destinations)| {
                let key = service.key;
                let destinations =
                    destinations
                        .values()
                        .map(move |destination| Command::AddDestination {
                            service: key,
                            destination: *destination,
                        });
                std::iter::once(Command::AddService(service.clone())).chain(destinations)
            })
            .collect();
        apply(&mut client, &commands);

        let found: Table = client
            .snapshot()
            .expect("a table")
            .entries
            .into_iter()
            .map(|(key, entry)| {
                let destinations = entry.destinations.iter().map(|observed| {
                    assert_eq!(observed.active_connections, 0);
                    (observed.destination.key, observed.destination)
                });
                (key, (entry.service, destinations.collect()))
            })
            .collect();
        assert_eq!(found, wanted, "table {number}");
        if number % TABLES_PER_LISTING == 0 {
            assert_eq!(read(&mut client), saved(), "table {number}");
        }

        services += wanted.len();
        destinations += commands.len() - wanted.len();
        let deletions: Vec<_> = wanted.into_keys().map(Command::DeleteService).collect();
        apply(&mut client, &deletions);
    }
    println!("{TABLES} tables with {services} services and {destinations} destinations");
}
