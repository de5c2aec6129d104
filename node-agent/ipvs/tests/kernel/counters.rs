//! Counters of real traffic.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lvs_ipvs::{Client, Command, Forwarding, Service};

use crate::objects::{name, server, web};
use crate::{apply, fresh, run};

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
