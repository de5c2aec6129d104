//! Services and destinations, written and read.

use std::thread;

use lvs_ipvs::{
    Client, Command, Destination, Error, Family, Forwarding, Persistence, Protocol, Refusal,
    Service, ServiceFlags,
};

use crate::objects::{destinations, key, mark, name, server, services, web};
use crate::{apply, fresh, read, restore, saved};

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

    for service in &services {
        let found = client.service(&service.key).expect("an answer");
        assert_eq!(found.expect("the service").0, *service);
    }
    let nowhere = key(Protocol::Tcp, "192.0.2.99", 80);
    assert_eq!(client.service(&nowhere).expect("an answer"), None);
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn visitors_see_what_a_table_holds() {
    let mut client = fresh();
    let keys: Vec<_> = (1..=300).map(|number| mark(number, Family::Ipv4)).collect();
    let mut commands: Vec<_> = keys
        .iter()
        .map(|key| Command::AddService(Service::new(*key, name("rr"))))
        .collect();
    commands.extend((0..300_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        Command::AddDestination {
            service: keys[0],
            destination: server(&format!("198.51.{high}.{low}"), 0, Forwarding::Nat, 1),
        }
    }));
    apply(&mut client, &commands);

    let table = client.snapshot().expect("a table");
    let mut seen = Vec::new();
    client
        .for_each_service(|service, _| seen.push(service.key))
        .expect("services");
    seen.sort();
    assert_eq!(seen, keys);

    let mut seen = Vec::new();
    client
        .for_each_destination(&keys[0], |observed| seen.push(observed))
        .expect("destinations");
    seen.sort_by_key(|observed| observed.destination.key);
    assert_eq!(seen.len(), 300);
    assert_eq!(seen, table.get(&keys[0]).expect("the service").destinations);
    client
        .for_each_destination(&mark(999, Family::Ipv4), |_| panic!("no such service"))
        .expect("no destinations");

    let mut entries = table.iter();
    client
        .for_each_entry(|entry| assert_eq!(Some(&entry), entries.next()))
        .expect("entries");
    assert_eq!(entries.next(), None);
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
fn reading_while_others_write_leaves_nothing_out() {
    let mut reader = fresh();
    let service = |number| Service::new(mark(number, Family::Ipv4), name("rr"));
    let constant = 1001..=1300;
    let commands: Vec<_> = constant
        .clone()
        .map(|number| Command::AddService(service(number)))
        .collect();
    apply(&mut reader, &commands);
    // Threads start in the namespace of their maker.
    let writer = thread::spawn(move || {
        let mut client = Client::connect().expect("IPVS in the kernel");
        for round in 0..20 {
            let commands: Vec<_> = (1..=500)
                .map(|number| {
                    if round % 2 == 0 {
                        Command::AddService(service(number))
                    } else {
                        Command::DeleteService(service(number).key)
                    }
                })
                .collect();
            apply(&mut client, &commands);
        }
    });
    let (mut tables, mut gave_up) = (0, 0);
    while !writer.is_finished() || tables == 0 {
        match reader.services() {
            Ok(services) => {
                tables += 1;
                let keys: Vec<_> = services.iter().map(|(service, _)| service.key).collect();
                assert!(keys.is_sorted_by(|left, right| left < right));
                let found = keys
                    .iter()
                    .filter(|key| **key >= mark(1001, Family::Ipv4))
                    .count();
                assert_eq!(found, constant.clone().count());
            }
            Err(Error::Inconsistent { .. }) => gave_up += 1,
            Err(error) => panic!("{error}"),
        }
    }
    writer.join().expect("the writer's end");
    println!("{tables} tables read, {gave_up} times given up");
    assert_eq!(reader.services().expect("a table").len(), constant.count());
}
