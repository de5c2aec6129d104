//! The client against a kernel, beside `ipvsadm`.
//!
//! Each test has a network namespace of its own, so it needs root, a kernel with all IPVS modules and `ipvsadm`. The
//! lab's light lane has them: `lab light -- TEST-BINARY --ignored`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::unix::process::CommandExt as _;
use std::process::{Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lvs_ipvs::{
    Client, Command, Destination, DestinationKey, Error, Family, Forwarding, Name, Netmask,
    Persistence, Protocol, Refusal, Service, ServiceFlags, ServiceKey, SyncDaemon, SyncRole,
    Timeouts, Tunnel, TunnelFlags, TunnelKind,
};
use nix::sched::{CloneFlags, unshare};

/// Moves the test's thread, and what it starts, to a new network namespace and connects to its IPVS.
fn fresh() -> Client {
    unshare(CloneFlags::CLONE_NEWNET).expect("root is needed: run in the light lane");
    run("ip", &["link", "set", "lo", "up"]);
    Client::connect().expect("IPVS in the kernel")
}

/// Standard output of a program that must succeed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Process::new(program)
        .args(arguments)
        .output()
        .expect("an installed program");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Feeds lines of `ipvsadm-save` to `ipvsadm`.
fn restore(lines: &str) {
    let mut child = Process::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .expect("ipvsadm");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(lines.as_bytes())
        .expect("a reader");
    assert!(child.wait().expect("an end").success());
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// What `ipvsadm-save` says, sorted.
fn saved() -> Vec<String> {
    sorted(
        run("ipvsadm-save", &["-n"])
            .lines()
            .map(str::to_owned)
            .collect(),
    )
}

/// What the client reads, in the form of `ipvsadm-save`, sorted.
fn read(client: &mut Client) -> Vec<String> {
    let table = client.snapshot().expect("a table");
    let lines = table.iter().flat_map(|entry| {
        let key = entry.service.key;
        let destinations = entry.destinations.iter().map(move |observed| {
            // ipvsadm-save leaves thresholds out.
            let shown = Destination {
                upper_threshold: 0,
                lower_threshold: 0,
                ..observed.destination
            };
            format!("-a {key} {shown}")
        });
        std::iter::once(format!("-A {}", entry.service)).chain(destinations)
    });
    sorted(lines.collect())
}

fn apply(client: &mut Client, commands: &[Command]) {
    for (result, command) in client.apply(commands).into_iter().zip(commands) {
        result.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

/// The kernel's refusal of one command.
fn refusal(client: &mut Client, command: Command) -> Refusal {
    let error = client.apply(&[command]).remove(0).expect_err("a refusal");
    error
        .refusal()
        .unwrap_or_else(|| panic!("a refusal, not {error}"))
        .clone()
}

fn name(name: &str) -> Name {
    Name::new(name).expect("a name")
}

fn key(protocol: Protocol, address: &str, port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol,
        address: address.parse().expect("an address"),
        port,
    }
}

fn mark(mark: u32, family: Family) -> ServiceKey {
    ServiceKey::Mark {
        mark: NonZeroU32::new(mark).expect("a mark"),
        family,
    }
}

fn web() -> ServiceKey {
    key(Protocol::Tcp, "192.0.2.10", 80)
}

fn server(address: &str, port: u16, forwarding: Forwarding, weight: u32) -> Destination {
    let key = DestinationKey {
        address: address.parse().expect("an address"),
        port,
    };
    Destination::new(key, forwarding, weight)
}

fn tunnel(kind: TunnelKind, port: u16, flags: TunnelFlags) -> Forwarding {
    Forwarding::Tunnel(Tunnel { kind, port, flags })
}

/// Services with every option that the model has.
fn services() -> Vec<Service> {
    let netmask = |family, bits| Netmask::from_prefix_length(family, bits).expect("a length");
    vec![
        Service::new(web(), name("wlc")),
        Service {
            persistence: Some(Persistence::of_hosts(Family::Ipv4, 50)),
            ..Service::new(key(Protocol::Tcp, "192.0.2.10", 81), name("none"))
        },
        Service {
            persistence: Some(Persistence {
                timeout_seconds: 3600,
                netmask: netmask(Family::Ipv4, 24),
            }),
            ..Service::new(key(Protocol::Tcp, "192.0.2.10", 0), name("wrr"))
        },
        Service {
            flags: ServiceFlags::ONE_PACKET,
            ..Service::new(key(Protocol::Udp, "192.0.2.10", 53), name("rr"))
        },
        Service {
            flags: ServiceFlags::ONE_PACKET,
            persistence: Some(Persistence::of_hosts(Family::Ipv4, 60)),
            persistence_engine: Some(name("sip")),
            ..Service::new(key(Protocol::Udp, "192.0.2.10", 5060), name("rr"))
        },
        Service {
            flags: ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2,
            ..Service::new(key(Protocol::Sctp, "192.0.2.10", 99), name("sh"))
        },
        Service {
            flags: ServiceFlags::SCHEDULER_2,
            ..Service::new(key(Protocol::Tcp, "2001:db8::10", 80), name("mh"))
        },
        Service {
            persistence: Some(Persistence {
                timeout_seconds: 60,
                netmask: netmask(Family::Ipv6, 64),
            }),
            ..Service::new(key(Protocol::Tcp, "2001:db8::10", 81), name("rr"))
        },
        Service {
            flags: ServiceFlags::SCHEDULER_3,
            ..Service::new(mark(7, Family::Ipv4), name("lc"))
        },
        Service::new(mark(7, Family::Ipv6), name("sed")),
    ]
}

/// Destinations with every option that the model has.
fn destinations() -> Vec<(ServiceKey, Destination)> {
    let checksum = TunnelFlags::CHECKSUM;
    vec![
        (
            web(),
            server("198.51.100.21", 80, Forwarding::DirectRouting, 3),
        ),
        (web(), server("198.51.100.22", 8080, Forwarding::Nat, 0)),
        (
            web(),
            server("198.51.100.23", 80, Forwarding::Tunnel(Tunnel::IPIP), 65535),
        ),
        (
            web(),
            server(
                "198.51.100.24",
                80,
                tunnel(TunnelKind::Gue, 6080, checksum),
                1,
            ),
        ),
        (
            web(),
            server(
                "198.51.100.25",
                80,
                tunnel(TunnelKind::Gre, 0, TunnelFlags::empty()),
                1,
            ),
        ),
        (
            web(),
            Destination {
                upper_threshold: 100,
                lower_threshold: 50,
                ..server("198.51.100.26", 80, Forwarding::DirectRouting, 1)
            },
        ),
        (
            web(),
            server("2001:db8::27", 80, Forwarding::Tunnel(Tunnel::IPIP), 1),
        ),
        (
            key(Protocol::Tcp, "2001:db8::10", 80),
            server("2001:db8::21", 80, Forwarding::DirectRouting, 1),
        ),
        (
            mark(7, Family::Ipv6),
            server("2001:db8::21", 80, Forwarding::Nat, 1),
        ),
    ]
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn what_we_write_is_what_we_and_ipvsadm_read() {
    let mut client = fresh();
    let (services, destinations) = (services(), destinations());
    let mut commands: Vec<_> = services.iter().cloned().map(Command::AddService).collect();
    commands.extend(
        destinations
            .iter()
            .map(|(service, destination)| Command::AddDestination {
                service: *service,
                destination: *destination,
            }),
    );
    apply(&mut client, &commands);

    let table = client.snapshot().expect("a table");
    assert_eq!(table.entries.len(), services.len());
    for service in &services {
        let entry = table.get(&service.key).expect("the service");
        assert_eq!(entry.service, *service);
        let wanted: Vec<_> = destinations
            .iter()
            .filter(|(key, _)| *key == service.key)
            .map(|(_, wanted)| *wanted)
            .collect();
        let observed: Vec<_> = entry
            .destinations
            .iter()
            .map(|observed| observed.destination)
            .collect();
        assert_eq!(observed, wanted);
    }
    assert_eq!(read(&mut client), saved());
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn what_ipvsadm_writes_is_what_we_read() {
    let mut client = fresh();
    restore(
        "-A -t 192.0.2.10:80 -s wlc -p 50 -M 255.0.255.0\n\
         -a -t 192.0.2.10:80 -r 198.51.100.21:80 -g -w 3 -x 100 -y 50\n\
         -a -t 192.0.2.10:80 -r 198.51.100.22:8080 -m -w 1\n\
         -a -t 192.0.2.10:80 -r 198.51.100.23:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum\n\
         -A -u 192.0.2.10:5060 -s rr -p 60 --pe sip -o\n\
         -A --sctp-service 192.0.2.10:99 -s sh -b sh-fallback,sh-port\n\
         -A -t [2001:db8::10]:80 -s rr -p 60 -M 64\n\
         -a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -g -w 1\n\
         -A -f 7 -s rr -b flag-1,flag-3\n\
         -A -f 7 -6 -s rr\n",
    );
    assert_eq!(read(&mut client), saved());
    let destinations = client.destinations(&web()).expect("destinations");
    let limits: Vec<_> = destinations
        .iter()
        .map(|observed| {
            (
                observed.destination.upper_threshold,
                observed.destination.lower_threshold,
            )
        })
        .collect();
    assert_eq!(limits, [(100, 50), (0, 0), (0, 0)]);
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn changes_replace_everything_but_the_key() {
    let mut client = fresh();
    let before = Service {
        flags: ServiceFlags::SCHEDULER_1,
        persistence: Some(Persistence::of_hosts(Family::Ipv4, 50)),
        ..Service::new(web(), name("wlc"))
    };
    let first = server("198.51.100.21", 80, Forwarding::DirectRouting, 3);
    let second = server("198.51.100.22", 80, Forwarding::DirectRouting, 3);
    apply(
        &mut client,
        &[
            Command::AddService(before),
            Command::AddDestination {
                service: web(),
                destination: first,
            },
            Command::AddDestination {
                service: web(),
                destination: second,
            },
        ],
    );
    let after = Service {
        flags: ServiceFlags::SCHEDULER_2,
        ..Service::new(web(), name("sh"))
    };
    let changed = Destination {
        weight: 0,
        upper_threshold: 9,
        forwarding: Forwarding::Nat,
        ..first
    };
    apply(
        &mut client,
        &[
            Command::SetService(after.clone()),
            Command::SetDestination {
                service: web(),
                destination: changed,
            },
            Command::DeleteDestination {
                service: web(),
                destination: second.key,
            },
        ],
    );
    let table = client.snapshot().expect("a table");
    let entry = table.get(&web()).expect("the service");
    assert_eq!(entry.service, after);
    assert_eq!(
        entry
            .destinations
            .iter()
            .map(|observed| observed.destination)
            .collect::<Vec<_>>(),
        [changed]
    );

    apply(&mut client, &[Command::DeleteService(web())]);
    assert_eq!(client.services().expect("a table"), []);
    assert_eq!(client.destinations(&web()).expect("a table"), []);
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn every_refusal_says_why() {
    let mut client = fresh();
    let service = || Service::new(web(), name("rr"));
    let good = server("198.51.100.21", 80, Forwarding::DirectRouting, 1);
    let add = |destination| Command::AddDestination {
        service: web(),
        destination,
    };
    let no_scheduler = Service::new(mark(1, Family::Ipv4), name("nosuch"));
    let no_engine = Service {
        persistence: Some(Persistence::of_hosts(Family::Ipv4, 50)),
        persistence_engine: Some(name("nosuch")),
        ..Service::new(mark(1, Family::Ipv4), name("rr"))
    };

    assert_eq!(refusal(&mut client, add(good)), Refusal::NoSuchService);
    assert_eq!(
        refusal(&mut client, Command::SetService(service())),
        Refusal::NoSuchService
    );
    assert_eq!(
        refusal(&mut client, Command::DeleteService(web())),
        Refusal::NoSuchService
    );
    assert_eq!(
        refusal(&mut client, Command::Zero(Some(web()))),
        Refusal::NoSuchService
    );
    apply(&mut client, &[Command::AddService(service())]);
    assert_eq!(
        refusal(&mut client, Command::AddService(service())),
        Refusal::Exists
    );
    assert_eq!(
        refusal(&mut client, Command::AddService(no_scheduler)),
        Refusal::UnknownScheduler {
            scheduler: name("nosuch")
        }
    );
    assert_eq!(
        refusal(&mut client, Command::AddService(no_engine)),
        Refusal::UnknownSchedulerOrEngine {
            scheduler: name("rr"),
            engine: name("nosuch")
        }
    );

    let set = |destination| Command::SetDestination {
        service: web(),
        destination,
    };
    assert_eq!(refusal(&mut client, set(good)), Refusal::NoSuchDestination);
    let delete = Command::DeleteDestination {
        service: web(),
        destination: good.key,
    };
    assert_eq!(refusal(&mut client, delete), Refusal::NoSuchDestination);
    apply(&mut client, &[add(good)]);
    assert_eq!(refusal(&mut client, add(good)), Refusal::Exists);
    assert_eq!(
        refusal(
            &mut client,
            set(Destination {
                weight: 1 << 31,
                ..good
            })
        ),
        Refusal::OutOfRange
    );
    assert_eq!(
        refusal(
            &mut client,
            set(Destination {
                upper_threshold: 1,
                lower_threshold: 2,
                ..good
            })
        ),
        Refusal::OutOfRange
    );
    let multicast = server("224.0.0.1", 80, Forwarding::DirectRouting, 1);
    assert_eq!(refusal(&mut client, add(multicast)), Refusal::Invalid);
    let other_family = server("2001:db8::21", 80, Forwarding::DirectRouting, 1);
    assert_eq!(refusal(&mut client, add(other_family)), Refusal::Invalid);
    let no_port = server(
        "198.51.100.22",
        80,
        tunnel(TunnelKind::Gue, 0, TunnelFlags::empty()),
        1,
    );
    assert_eq!(refusal(&mut client, add(no_port)), Refusal::Invalid);
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn without_the_capability_nothing_is_permitted() {
    if nix::unistd::geteuid().is_root() {
        // Again as another user: capabilities belong to the whole process here.
        let itself = std::env::current_exe().expect("this program");
        let status = Process::new(itself)
            .args([
                "--ignored",
                "--exact",
                "without_the_capability_nothing_is_permitted",
            ])
            .uid(65534)
            .status()
            .expect("this program");
        assert!(status.success());
        return;
    }
    let mut client = Client::connect().expect("the family's number is public");
    let expected = Some(&Refusal::NotPermitted);
    assert_eq!(
        client.services().expect_err("a refusal").refusal(),
        expected
    );
    assert_eq!(client.info().expect_err("a refusal").refusal(), expected);
    assert_eq!(
        refusal(&mut client, Command::Zero(None)),
        Refusal::NotPermitted
    );
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn daemons_start_report_and_stop() {
    let mut client = fresh();
    let master = SyncDaemon::new(SyncRole::Master, name("lo"), 7);
    let backup = SyncDaemon {
        max_length_bytes: Some(1400),
        group: Some("224.0.0.82".parse().expect("an address")),
        port: Some(8849),
        ttl: Some(2),
        ..SyncDaemon::new(SyncRole::Backup, name("lo"), 255)
    };
    assert_eq!(client.daemons().expect("daemons"), []);
    apply(
        &mut client,
        &[
            Command::StartDaemon(master.clone()),
            Command::StartDaemon(backup.clone()),
        ],
    );
    let running = client.daemons().expect("daemons");
    assert_eq!(running.len(), 2);
    assert!(master.is_met_by(&running[0]), "{}", running[0]);
    assert_eq!(running[1], backup);

    assert_eq!(
        refusal(&mut client, Command::StartDaemon(master)),
        Refusal::Exists
    );
    // The kernel does not answer when a daemon is stopped before its thread ran. The last command has an answer.
    let stop = [SyncRole::Backup, SyncRole::Master].map(Command::StopDaemon);
    let results = client.apply(&[&stop[..], &[Command::SetTimeouts(Timeouts::default())]].concat());
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Ok(()) | Err(Error::NoAnswer { .. }))),
        "{results:?}"
    );
    assert!(results[2].is_ok(), "{results:?}");
    assert_eq!(client.daemons().expect("daemons"), []);

    let role = SyncRole::Master;
    assert_eq!(
        refusal(&mut client, Command::StopDaemon(role)),
        Refusal::NoSuchDaemon { role }
    );
    let nowhere = SyncDaemon::new(SyncRole::Master, name("nosuch0"), 7);
    assert_eq!(
        refusal(&mut client, Command::StartDaemon(nowhere)),
        Refusal::NoSuchInterface {
            interface: name("nosuch0")
        }
    );
    assert_eq!(client.daemons().expect("daemons"), []);
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn timeouts_of_zero_stay_as_they_are() {
    let mut client = fresh();
    let before = client.timeouts().expect("timeouts");
    let wanted = Timeouts {
        tcp_seconds: 800,
        tcp_fin_seconds: 0,
        udp_seconds: 200,
    };
    apply(&mut client, &[Command::SetTimeouts(wanted)]);
    let after = client.timeouts().expect("timeouts");
    assert_eq!(
        after,
        Timeouts {
            tcp_fin_seconds: before.tcp_fin_seconds,
            ..wanted
        }
    );
    assert_eq!(
        run("ipvsadm", &["-L", "--timeout"]).trim(),
        format!("Timeout (tcp tcpfin udp): {after}")
    );
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn info_is_the_head_of_ipvsadms_listing() {
    let mut client = fresh();
    let info = client.info().expect("info");
    let listing = run("ipvsadm", &["-Ln"]);
    assert_eq!(
        listing.lines().next(),
        Some(format!("IP Virtual Server version {info}").as_str())
    );
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn traffic_is_counted_and_counters_can_be_zeroed() {
    let mut client = fresh();
    for address in ["192.0.2.10/32", "198.51.100.21/32"] {
        run("ip", &["address", "add", address, "dev", "lo"]);
    }
    apply(
        &mut client,
        &[
            Command::AddService(Service::new(web(), name("rr"))),
            Command::AddDestination {
                service: web(),
                destination: server("198.51.100.21", 8080, Forwarding::Nat, 1),
            },
        ],
    );
    let listener = TcpListener::bind("198.51.100.21:8080").expect("a listener");
    let connections: Vec<_> = (0..3)
        .map(|_| {
            let client = TcpStream::connect("192.0.2.10:80").expect("a connection through IPVS");
            (client, listener.accept().expect("its other end"))
        })
        .collect();

    let observed = |client: &mut Client| {
        let table = client.snapshot().expect("a table");
        let entry = table.get(&web()).expect("the service").clone();
        assert_eq!(entry.destinations.len(), 1);
        (entry.stats, entry.destinations[0].clone())
    };
    // The kernel adds up its counters every two seconds and says nothing when it did.
    let deadline = Instant::now() + Duration::from_secs(20);
    let (service, destination) = loop {
        let (service, destination) = observed(&mut client);
        let counted = service.connections > 0 && destination.stats.connections > 0;
        if counted || Instant::now() > deadline {
            break (service, destination);
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((service.connections, destination.stats.connections), (3, 3));
    assert!(
        service.incoming_packets >= 6 && service.incoming_bytes >= 6 * 40,
        "{service:?}"
    );
    assert_eq!(
        (
            destination.active_connections,
            destination.inactive_connections
        ),
        (3, 0)
    );

    apply(&mut client, &[Command::Zero(Some(web()))]);
    let (service, destination) = observed(&mut client);
    assert_eq!((service.connections, destination.stats.connections), (0, 0));
    assert_eq!(destination.active_connections, 3);
    drop(connections);
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn thousands_of_commands_have_a_result_each() {
    let mut client = fresh();
    let service = |number: u16| key(Protocol::Tcp, "192.0.2.10", number);
    let mut commands: Vec<_> = (1..=3000)
        .map(|port| Command::AddService(Service::new(service(port), name("rr"))))
        .collect();
    // Every hundredth is there already.
    for again in (0..3000).step_by(100).rev() {
        commands.insert(again + 1, commands[again].clone());
    }
    for (index, result) in client.apply(&commands).into_iter().enumerate() {
        if index > 0 && commands[index] == commands[index - 1] {
            let error = result.expect_err("the second of two");
            assert_eq!(error.refusal(), Some(&Refusal::Exists));
            assert!(
                error.to_string().starts_with(&commands[index].to_string()),
                "{error}"
            );
        } else {
            result.unwrap_or_else(|error| panic!("{index}: {error}"));
        }
    }
    // 3000 services are a dump of many parts, and as many dumps.
    let table = client.snapshot().expect("a table");
    assert_eq!(table.entries.len(), 3000);

    let destinations: Vec<_> = (0..1000_u16)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            let address = format!("198.51.{high}.{low}");
            Command::AddDestination {
                service: service(1),
                destination: server(&address, 1, Forwarding::DirectRouting, u32::from(number)),
            }
        })
        .collect();
    apply(&mut client, &destinations);
    let weights: Vec<_> = client
        .destinations(&service(1))
        .expect("destinations")
        .iter()
        .map(|observed| observed.destination.weight)
        .collect();
    assert_eq!(weights, (0..1000).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn reading_while_others_write_gives_a_table_or_says_that_it_changed() {
    let mut reader = fresh();
    // Threads start in the namespace of their maker.
    let writer = thread::spawn(|| {
        let mut client = Client::connect().expect("IPVS in the kernel");
        for round in 0..20 {
            let commands: Vec<_> = (1..=500)
                .map(|number| {
                    let key = mark(number, Family::Ipv4);
                    if round % 2 == 0 {
                        Command::AddService(Service::new(key, name("rr")))
                    } else {
                        Command::DeleteService(key)
                    }
                })
                .collect();
            apply(&mut client, &commands);
        }
    });
    let mut tables = 0;
    while !writer.is_finished() || tables == 0 {
        match reader.services() {
            Ok(services) => {
                tables += 1;
                assert!(services.len() <= 500);
            }
            Err(Error::Inconsistent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    writer.join().expect("the writer's end");
    assert_eq!(reader.services().expect("a table"), []);
}
